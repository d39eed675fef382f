import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from npsqueeze import drawing


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_numbers_writes_each_number_into_its_cell_and_leaves_nan_empty(axes: Axes) -> None:
    drawing.numbers(
        axes, np.array([[1.5, -2.0, np.nan]]), title="x", rows="h", columns="w", form=".1f"
    )
    assert texts(axes) == ["1.5", "-2.0"]
    assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0)]
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [cell.get_xy() for cell in cells] == [(-0.5, -0.5), (0.5, -0.5), (1.5, -0.5)]
    assert [cell.get_hatch() for cell in cells] == [None, None, "////"]
    red, _, blue = cells[0].get_facecolor()[:3]
    assert blue > red  # positive numbers are blue …
    red, _, blue = cells[1].get_facecolor()[:3]
    assert red > blue  # … and negative ones orange
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("x", "w", "h")


def test_numbers_wants_a_matrix(axes: Axes) -> None:
    with pytest.raises(ValueError, match=r"values: expected two dimensions, got shape \(3,\)"):
        drawing.numbers(axes, np.zeros(3))


def test_outline_frames_the_cells_that_it_names(axes: Axes) -> None:
    drawing.numbers(axes, np.zeros((4, 4)))
    drawing.outline(axes, top=1, left=2, height=3, width=2)
    frame = axes.patches[-1]
    assert isinstance(frame, Rectangle)
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (1.5, 0.5, 2, 3)


def test_volumes_names_boxes_and_steps(axes: Axes) -> None:
    drawing.volumes(axes, {"x": (3, 32, 32), "y": (64, 16, 16)}, ["3×3, stride 2"])
    assert {"x\n3×32×32", "y\n64×16×16", "3×3, stride 2"} <= set(texts(axes))
    assert len(axes.patches) == 6  # three faces each


def test_matrices_writes_names_sizes_and_symbols(axes: Axes) -> None:
    drawing.matrices(axes, {"Y": ("F", 4, "P", 9), "W": ("F", 4, "K", 6), "X": ("K", 6, "P", 9)})
    assert sorted(texts(axes)) == sorted("=·YFPWFKXKP")
    assert [(p.get_width(), p.get_height()) for p in axes.patches] == [(9, 4), (6, 4), (9, 6)]
