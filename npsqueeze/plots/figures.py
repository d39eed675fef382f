"""What all figures share: the colours, an empty figure, a figure written to a file."""

import os
from typing import TYPE_CHECKING

from npsqueeze.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN, TEST, INK, FAINT = "#7a869a", "#0b6fb8", "#1f2933", "#d9dee5"
WRONG = "#b3261e"


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def written(figure: "Figure", path: str | os.PathLike[str] | None) -> "Figure":
    """Return the figure, written to `path` if there is one."""
    if path is not None:
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
    return figure
