"""The errors that are npsqueeze's own; everything else raises `ValueError` or `TypeError`."""

from typing import Any


class DataError(ValueError):
    """A data file is missing, damaged or not what it claims to be."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or belongs to another model."""


class TrainingError(RuntimeError):
    """A training cannot go on, such as after a loss that is no number."""


class GradientError(AssertionError):
    """A gradient check failed: the message names the worst element, both values and their ratio.

    `report` is the whole `Report` of the check, where it got so far as to compare numbers.
    """

    report: Any = None
