import io

import numpy as np
import pytest

from npsqueeze.notebooks import COLOURS, DPI, show_small_figures, small_png

pyplot = pytest.importorskip("matplotlib.pyplot")
Image = pytest.importorskip("PIL.Image")


def figure():
    fig = pyplot.figure(figsize=(4, 3))
    fig.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((40, 40, 3)))
    pyplot.close(fig)
    return fig


def test_a_small_png_has_few_colours_and_is_smaller():
    fig, whole = figure(), io.BytesIO()
    fig.savefig(whole, dpi=DPI)
    png = small_png(fig)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors()) <= COLOURS
    assert len(png) < len(whole.getvalue())


def test_ipython_shows_figures_small():
    ipython = pytest.importorskip("IPython.core.interactiveshell")
    shell = ipython.InteractiveShell.instance()
    try:
        show_small_figures()
        formatter = shell.display_formatter.formatters["image/png"]
        fig = figure()
        assert formatter(fig) == small_png(fig)
    finally:
        ipython.InteractiveShell.clear_instance()


def test_outside_of_ipython_nothing_happens():
    show_small_figures()
