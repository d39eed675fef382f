"""Exercise of notebook 11: cutout."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import data
from npsqueeze.arrays import Array
from npsqueeze.exercises.dropout import NOTEBOOK
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays


def _hide(x: Array, size: int, rows: Array, columns: Array) -> Array:
    y = x.copy()
    for n, _, h, v in np.ndindex(x.shape):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        if top <= h < top + size and left <= v < left + size:
            y[n, :, h, v] = 0
    return y


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(33)
    inside = ((3, 3, 9, 11), 3, (4, 3, 6), (5, 8, 2))
    even = ((2, 3, 9, 11), 4, (4, 5), (5, 7))
    over_the_edge = ((4, 3, 7, 8), 4, (0, 6, 3, 1), (0, 7, 7, 3))
    larger = ((3, 3, 6, 5), 5, (0, 5, 2), (4, 0, 2))
    return [
        {"x": draw.normal(size=shape), "size": size, "rows": np.array(rows),
         "columns": np.array(columns)}
        for shape, size, rows, columns in (inside, even, over_the_edge, larger)
    ]  # fmt: skip


def _over_the_edge(a: Arguments) -> bool:
    top, left = a["rows"] - a["size"] // 2, a["columns"] - a["size"] // 2
    height, width = a["x"].shape[2:]
    past = max((top + a["size"]).max() - height, (left + a["size"]).max() - width)
    return bool(min(top.min(), left.min()) < 0 or past > 0)


Span = tuple[int, int]


def _spans(first: Callable[[int, int, int], Span]) -> Callable[..., Array]:
    """Return a cutout that asks, for both axes, which slice the middle, size and length give."""

    def cut(x: Array, size: int, rows: Array, columns: Array) -> Array:
        y = x.copy()
        for n, (row, column) in enumerate(zip(rows, columns, strict=True)):
            height = slice(*first(int(row), size, x.shape[2]))
            y[n, :, height, slice(*first(int(column), size, x.shape[3]))] = 0
        return y

    return cut


def _whole_at_the_start(middle: int, size: int, length: int) -> Span:
    start = max(0, middle - size // 2)
    return start, start + size


def _whole_everywhere(middle: int, size: int, length: int) -> Span:
    start = min(max(0, middle - size // 2), length - size)
    return start, start + size


def _mistake(meaning: str, formula: Callable[..., Any]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"y": formula(*a.values())})


def _first_channel(x: Array, size: int, rows: Array, columns: Array) -> Array:
    y = x.copy()
    y[:, 0] = _hide(x, size, rows, columns)[:, 0]
    return y


def _single_pixels(x: Array, size: int, rows: Array, columns: Array) -> Array:
    y = x.copy()
    y[:, :, rows, columns] = 0
    return y


def _cross(x: Array, size: int, rows: Array, columns: Array) -> Array:
    """Return x without the rows and without the columns of the square."""
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, :, max(0, top) : top + size] = 0
        y[n, :, :, max(0, left) : left + size] = 0
    return y


hide_squares = Exercise(
    name="hide_squares",
    notebook=NOTEBOOK,
    solution=data.hide_squares,
    answer=_hide,
    cases=_cases(),
    read=arrays("y"),
    traits=(
        Trait("squares that hang over the edge", "squares inside", _over_the_edge),
        Trait("an even size", "an odd size", lambda a: a["size"] % 2 == 0),
    ),
    mistakes=(
        _mistake("a slice that begins below 0 counts from the other end, and here hides nothing: "
                 "begin it at max(0, …)",
                 _spans(lambda middle, size, _: (middle - size // 2, middle - size // 2 + size))),
        _mistake("a square that begins outside is moved inside, whole: only its beginning is to "
                 "be cut off, its end stays", _spans(_whole_at_the_start)),
        _mistake("a square that hangs over the edge is moved inside, whole; what hangs over is to "
                 "be cut off", _spans(_whole_everywhere)),
        _mistake("rows and columns are the middle of the square, not its corner: it begins size "
                 "// 2 before them",
                 _spans(lambda middle, size, _: (middle, middle + size))),
        _mistake("an odd size loses a pixel: the square ends size behind its beginning, not size "
                 "// 2 behind its middle",
                 _spans(lambda middle, size, _: (max(0, middle - size // 2), middle + size // 2))),
        _mistake("an even size gains a pixel: the square ends size behind its beginning",
                 _spans(lambda middle, size, _: (max(0, middle - size // 2),
                                                 middle + size // 2 + 1))),
        _mistake("the square is one row and column too large: it ends size behind its beginning",
                 _spans(lambda middle, size, _: (max(0, middle - size // 2),
                                                 middle - size // 2 + size + 1))),
        _mistake("the square is one row and column too small: a slice ends before its second "
                 "number",
                 _spans(lambda middle, size, _: (max(0, middle - size // 2),
                                                 middle - size // 2 + size - 1))),
        _mistake("an even size begins a pixel too late: begin at row - size // 2",
                 _spans(lambda middle, size, _: (max(0, middle - (size - 1) // 2),
                                                 middle - (size - 1) // 2 + size))),
        _mistake("rows and columns are exchanged: rows belong to axis 2, columns to axis 3",
                 lambda x, size, rows, columns: _hide(x, size, columns, rows)),
        _mistake("the first picture's square is cut out of all; each has its own",
                 lambda x, size, rows, columns: _hide(
                     x, size, np.full_like(rows, rows[0]), np.full_like(columns, columns[0]))),
        _mistake("single pixels are hidden, in every picture: [:, :, rows, columns] takes rows "
                 "and columns in pairs; each picture needs two slices of its own",
                 _single_pixels),
        _mistake("only one channel is hidden: the square goes through all of them",
                 _first_channel),
        _mistake("all but the square is hidden",
                 lambda x, size, rows, columns: x - _hide(x, size, rows, columns)),
        _mistake("the whole rows and columns of the square are hidden: a pixel must lie in both",
                 _cross),
        _mistake("it is filled with the picture's own mean; 0 is the mean of all pictures",
                 lambda x, size, rows, columns: np.where(
                     _hide(np.ones_like(x), size, rows, columns) == 1, x,
                     x.mean(axis=(2, 3), keepdims=True))),
        _mistake("nothing is hidden", lambda x, size, rows, columns: x),
    ),
    hints=(
        "Picture n loses the rows from rows[n] - size // 2, size of them, as far as they lie in "
        "the picture.",
        "A negative start of a slice counts from the end of the axis: begin at max(0, start).",
        "y = x.copy(), then y[n, :, top:bottom, left:right] = 0 for every n.",
    ),
)  # fmt: skip


EXERCISES = (hide_squares,)
