"""Why is my loss stuck? The standard sanity checks on a model, its data and its settings.

The checks are CS231n's ("Neural Networks Part 3: Learning and Evaluation"), one function each,
from what comes first to what follows from it: data, batches, the initial network, its gradients,
short trainings.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze.data import Dataset
from npsqueeze.doctor.batches import check_class_mix, check_form, check_labels, check_statistics
from npsqueeze.doctor.drawing import draw_pictures, draw_range, draw_scales
from npsqueeze.doctor.gradients import check_backward, check_roads, check_updates
from npsqueeze.doctor.initial import (
    check_activations,
    check_dead_units,
    check_gradients,
    check_logits,
    check_weights,
)
from npsqueeze.doctor.learning import check_overfit, check_range, check_rate, range_test
from npsqueeze.doctor.patient import PICTURES, Batch, Patient
from npsqueeze.doctor.pictures import check_balance, check_layout, check_overlap
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding, Report
from npsqueeze.doctor.watching import Passage, watched
from npsqueeze.functional import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from npsqueeze.module import Module
from npsqueeze.optim import AdamW, Optimizer
from npsqueeze.settings import Settings

__all__ = ["OK", "WARNING", "WRONG", "Finding", "Report", "doctor"]


def doctor(
    model: Module,
    train_set: Dataset,
    test_set: Dataset,
    *,
    batch: Callable[[int], Batch] | None = None,
    optimizer: str | Optimizer = "sgd",
    out: str | Path | None = None,
    **settings: Any,
) -> Report:
    """Examine a model, its data and its settings before a training; nothing is changed.

    Parameters
    ----------
    model : SqueezeNet, or any Module of pictures to logits
        As it is before the training.
    train_set, test_set : Dataset
    batch : function of a step to (x, labels), optional
        Your own batches, x (n, 3, H, W) in the model's type; those of `train` if not given.
    optimizer : "sgd", "adamw" or Optimizer
        The optimiser of `train`, or your own with its learning rate.
    out : path, optional
        A folder for pictures: a batch with its labels, the scale of each layer's output and
        gradient, the learning-rate range test.
    settings
        The other fields of `Settings`, as for `train`.

    Returns
    -------
    Report
        To be printed; ``report.wrong`` holds what keeps the training from succeeding.

    Raises
    ------
    ValueError, TypeError
        If a setting is unknown or out of range, the data do not suit the model, or `out` cannot be
        made.
    OSError
        If the pictures cannot be written.

    Examples
    --------
    >>> print(nps.doctor(model, train_set, test_set, lr=0.1))  # doctest: +SKIP
    """
    kind = optimizer
    if isinstance(optimizer, Optimizer):
        kind = "adamw" if isinstance(optimizer, AdamW) else "sgd"
    chosen = Settings(optimizer=str(kind), **settings)
    for name, dataset in (("train_set", train_set), ("test_set", test_set)):
        _check_fit(name, model, dataset)

    def usual_batch(step: int) -> Batch:
        return chosen.batch(train_set, step)

    if not isinstance(optimizer, Optimizer):
        anything: Any = model  # the settings ask for nothing but its parameters
        optimizer = chosen.build_optimizer(anything)
    patient = Patient(model, train_set, test_set, chosen, optimizer, batch or usual_batch)
    folder = None if out is None else Path(out)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{folder}: expected a folder that can be written ({error.strerror})"
            raise ValueError(f"out: {reason}") from error
    with np.errstate(all="ignore"):  # what overflows, a finding tells
        return _examine(patient, folder)


def _examine(patient: Patient, out: Path | None) -> Report:
    """Make all checks that say something, given what those before have found."""
    findings = check_balance(patient.train_set, patient.test_set)
    findings += check_overlap(patient.train_set, patient.test_set)
    before = len(findings)  # so far, nothing that keeps a network from learning
    misshapen = _examine_form(patient)
    if misshapen:
        return Report((*findings, *misshapen, _left_out("the network")))
    findings += _examine_batches(patient)
    drawn = []
    if out is not None:
        x, labels = patient.sample
        drawn += [draw_pictures(x, labels, patient.classes, out / "pictures.png")]
    findings += check_weights(patient.model)
    if findings[-1].severity == WRONG:
        return Report((*findings, _left_out("the network")), tuple(drawn))
    with patient.untouched():
        passages, found = _examine_start(patient)
        if out is not None:
            drawn += [draw_scales(passages, out / "scales.png")]
    findings += found + _examine_gradients(patient, passages)
    if any(finding.severity == WRONG for finding in findings[before:]):
        return Report((*findings, _left_out("short trainings")), tuple(drawn))
    with patient.untouched():
        findings += check_overfit(patient, patient.sample)
    with patient.untouched():
        test = range_test(patient)
    if out is not None:
        drawn += [draw_range(test, patient.optimizer.lr, out / "learning_rate.png")]
    with patient.untouched():
        findings += check_rate(patient, test)
    return Report((*findings, *check_range(patient, test)), tuple(drawn))


def _examine_form(patient: Patient) -> list[Finding]:
    """Return what keeps the batches from being examined at all."""
    shape = patient.train_set.images.shape[1:]
    dtype = patient.model.parameters()[0].data.dtype
    for batch in patient.batches:
        findings = check_form(batch, shape, dtype, len(patient.classes))
        if findings:
            return findings
    return []


def _examine_batches(patient: Patient) -> list[Finding]:
    """Look at the pictures and labels that the training would see, and those of the test."""
    train_set, test_set = patient.train_set, patient.test_set
    every = max(1, len(train_set) // PICTURES)  # evenly, for a file may be sorted by class
    known = train_set.images[::every], train_set.labels[::every]
    named = {"training pictures": known[0], "test pictures": test_set.images}
    findings = check_layout([*named.items(), ("batches", patient.sample[0])])
    findings += check_statistics(patient.sample[0])
    findings += check_class_mix(patient.batches, train_set)
    findings += check_labels(patient.sample, "batches")
    if findings[-1].severity == OK:
        findings += check_labels(known, "test pictures", (test_set.images, test_set.labels))
    return findings


def _examine_start(patient: Patient) -> tuple[list[Passage], list[Finding]]:
    """Send a batch through the network and back, and look at what every layer makes of it."""
    x, labels = patient.batches[0]
    with watched(patient.model) as passages:
        logits = patient.model.forward(x)
        findings = check_logits(logits, labels, patient.classes)
        findings += check_activations(passages) + check_dead_units(passages)
        _, cache = softmax_cross_entropy_forward(logits, labels)
        patient.model.backward(softmax_cross_entropy_backward(1.0, cache))
    return passages, findings + check_gradients(passages)


def _examine_gradients(patient: Patient, passages: Sequence[Passage]) -> list[Finding]:
    """Check every backward pass, and what arrives by it."""
    batch = patient.batches[0]
    with patient.untouched():
        findings = check_backward(patient.model, passages)
    if any(finding.severity == WRONG for finding in findings):
        return findings  # what does not arrive, and where the roads part, follows from it
    findings += check_roads(patient, batch)
    with patient.untouched():
        return findings + check_updates(patient, batch)


def _left_out(what: str) -> Finding:
    text = f"{what}: left out, for what is wrong would show there once more"
    return Finding(WARNING, "not examined", text, "cure that first, and come again")


def _check_fit(name: str, model: Module, dataset: Dataset) -> None:
    """Raise ValueError unless the model gives each class of the data set a logit."""
    shape = model.output_shape(dataset.images.shape)
    if shape != (len(dataset), len(dataset.classes)):
        expected = f"{len(dataset.classes)} logits, one for each class"
        raise ValueError(f"{name}: expected a model with {expected}, got the shape {shape}")
