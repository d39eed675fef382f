"""A network with what one needs to use it: how it sees pictures, and what its outputs mean."""

from dataclasses import dataclass

from npsqueeze.data.preprocessing import Preprocessing
from npsqueeze.module import Module


@dataclass(frozen=True)
class Pretrained:
    """A trained network; what its file does not tell is None.

    Attributes
    ----------
    model : Module
        In inference mode.
    preprocessing : Preprocessing, optional
    classes : tuple of str, optional
        The name of each output.
    origin : str
        Where it comes from.
    """

    model: Module
    preprocessing: Preprocessing | None
    classes: tuple[str, ...] | None
    origin: str
