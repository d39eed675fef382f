"""Figures that a notebook stores: of few dots and few colours, so that many pictures stay small."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 72
COLOURS = 128


def small_png(figure: "Figure") -> bytes:
    """Return a figure as a PNG with a palette of `COLOURS`, at `DPI` dots per inch."""
    from PIL import Image

    file, small = io.BytesIO(), io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight")
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def show_small_figures() -> None:
    """Let IPython show every figure as `small_png`; outside of IPython nothing happens."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    shell = get_ipython()
    if shell is not None:
        pyplot.switch_backend(pyplot.get_backend())  # it brings a way of its own: replace that
        shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)
