"""Exercises of notebook 02: im2col and col2im."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.convolution import (
    COUNTS,
    EXCHANGED,
    OPTIONS,
    TRAITS,
    forward_cases,
    kernel_size,
    out_size,
    windows,
)
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.padding import cutting_mistakes, one_sided

NOTEBOOK = "02_convolution_as_a_matrix_product.ipynb"


def _im2col_cases() -> list[Arguments]:
    return [
        {"x": a["x"], "kernel_size": a["w"].shape[2:]} | dict(zip(OPTIONS, windows(a), strict=True))
        for a in forward_cases()
    ]


def _columns_shape(a: Arguments) -> tuple[int, int, int]:
    n, channels = a["x"].shape[:2]
    return n, channels * math.prod(kernel_size(a)), math.prod(out_size(a))


def _col2im_cases() -> list[Arguments]:
    draw = np.random.default_rng(3)
    return [
        {"columns": draw.normal(size=_columns_shape(a)), "x_shape": a["x"].shape}
        | {name: a[name] for name in ("kernel_size", *OPTIONS)}
        for a in _im2col_cases()
    ]


def _with_x(a: Arguments) -> Arguments:
    """Return the arguments of col2im with an x of the shape that they name."""
    return a | {"x": np.empty(a["x_shape"])}


def _as_matrix_of_batch(right: Array, image_first: bool) -> Array:
    """Return all images' columns side by side, (K, N·P)."""
    order = (1, 0, 2) if image_first else (1, 2, 0)
    return right.transpose(order).reshape(right.shape[1], -1)


def _split(a: Arguments, columns: Array) -> Array:
    return columns.reshape(*a["x"].shape[:2], *kernel_size(a), *out_size(a))


# axes of (N, C, kh, kw, oh, ow), in the order in which rows and columns run when they run wrongly
WRONG_ORDERS = (
    ("rows", "(i, j, c)", "(c, i, j), as the weights do", (0, 2, 3, 1, 4, 5)),
    ("rows", "(c, j, i)", "(c, i, j), as the weights do", (0, 1, 3, 2, 4, 5)),
    ("columns", "(q, p)", "(p, q), as the output does", (0, 1, 2, 3, 5, 4)),
)
NOT_TRANSPOSED = (0, 1, 4, 5, 2, 3)


def _ordered(a: Arguments, columns: Array, axes: Sequence[int]) -> Array:
    """Return the columns with rows and columns in another order."""
    return _split(a, columns).transpose(axes).reshape(columns.shape)


def _misread(a: Arguments, axes: Sequence[int]) -> Array:
    """Return what col2im makes of columns whose rows and columns it takes to be so ordered."""
    a = _with_x(a)
    shape = _split(a, a["columns"]).shape
    read = a["columns"].reshape([shape[axis] for axis in axes])
    columns = read.transpose(np.argsort(axes)).reshape(a["columns"].shape)
    return functional.col2im(columns, a["x_shape"], kernel_size(a), *windows(a))  # type: ignore[arg-type]


def _im2col_mistake(meaning: str, change: Callable[[Arguments], Arguments]) -> Mistake:
    """Return the mistake of laying out the windows of changed arguments."""
    return Mistake(meaning, lambda a, _: {"columns": functional.im2col(*(a | change(a)).values())})


def _result_mistake(meaning: str, change: Callable[[Arguments, Array], Array]) -> Mistake:
    """Return the mistake of a right matrix with its numbers in other places."""
    return Mistake(meaning, lambda a, right: {"columns": change(a, right["columns"])})


im2col = Exercise(
    name="im2col",
    notebook=NOTEBOOK,
    solution=functional.im2col,
    answer=reference.im2col,
    cases=_im2col_cases(),
    read=arrays("columns"),
    traits=TRAITS,
    counts=COUNTS,
    mistakes=(
        *(
            _result_mistake(
                f"the {what} run over {wrong}; they should run over {right}",
                lambda a, columns, axes=axes: _ordered(a, columns, axes),  # type: ignore[misc]
            )
            for what, wrong, right, axes in WRONG_ORDERS
        ),
        _result_mistake(
            "(N, C, oh, ow, kh, kw) was reshaped at once: transpose it to (N, C, kh, kw, oh, ow) "
            "first, for reshape moves no axes",
            lambda a, columns: _ordered(a, columns, NOT_TRANSPOSED),
        ),
        _result_mistake(
            "rows and columns are exchanged: (N, K, P) is wanted, this is (N, P, K)",
            lambda _, columns: columns.swapaxes(1, 2),
        ),
        _result_mistake(
            "all images stand in one matrix (K, N·P); a matrix for each, (N, K, P), is wanted",
            lambda _, columns: _as_matrix_of_batch(columns, image_first=True),
        ),
        _result_mistake(
            "all images stand in one matrix (K, P·N); a matrix for each, (N, K, P), is wanted",
            lambda _, columns: _as_matrix_of_batch(columns, image_first=False),
        ),
        _result_mistake(
            "the windows are flipped: row (c, i, j) holds the pixel at (kh - 1 - i, kw - 1 - j)",
            lambda a, columns: _split(a, columns)[:, :, ::-1, ::-1].reshape(columns.shape),
        ),
        _im2col_mistake(
            "all of the padding lies below and on the right; half of it belongs above and on the "
            "left",
            lambda a: {"x": one_sided(a), "padding": 0},
        ),
        _im2col_mistake("the padding is ignored", lambda _: {"padding": 0}),
        _im2col_mistake("the stride is ignored", lambda _: {"stride": 1}),
        _im2col_mistake("the dilation is ignored", lambda _: {"dilation": 1}),
        _im2col_mistake(EXCHANGED, lambda a: {"stride": a["dilation"], "dilation": a["stride"]}),
    ),
    hints=(
        "Start from an array of shape (N, C, kh, kw, oh, ow); the matrix is a reshape of it.",
        "Pad x with zeros first. For a fixed (i, j), the pixels of all windows form a regular "
        "grid.",
        "That grid is padded[:, :, i·dilation : i·dilation + oh·stride : stride, and the same "
        "with j]; mind that a slice may hold one pixel too many: cut it to oh by ow.",
    ),
)


def assigned(a: Arguments, columns: Array, last_window_wins: bool) -> Array:
    """Return what col2im gives with = instead of +=, by the order of its loops."""
    a = _with_x(a) if "x_shape" in a else a
    n, c, height, width = a["x"].shape
    stride, padding, dilation = windows(a)
    split = _split(a, columns)
    padded = np.zeros((n, c, height + 2 * padding, width + 2 * padding))
    (kh, kw), (oh, ow) = kernel_size(a), out_size(a)
    places = [
        (i, j, p, q) for i in range(kh) for j in range(kw) for p in range(oh) for q in range(ow)
    ]
    if last_window_wins:
        places.sort(key=lambda place: place[2:])
    for i, j, p, q in places:
        padded[:, :, p * stride + i * dilation, q * stride + j * dilation] = split[:, :, i, j, p, q]
    return padded[:, :, padding : padding + height, padding : padding + width]


def padded_image(a: Arguments, columns: Array) -> Array:
    """Return col2im of the padded image, not cut."""
    a = _with_x(a) if "x_shape" in a else a
    n, c, height, width = a["x"].shape
    larger = (n, c, height + 2 * a["padding"], width + 2 * a["padding"])
    return functional.col2im(columns, larger, kernel_size(a), a["stride"], 0, a["dilation"])  # type: ignore[arg-type]


def _coverage(a: Arguments) -> Array:
    """Return how many windows see each pixel."""
    columns = np.ones_like(a["columns"])
    return functional.col2im(columns, *list(a.values())[1:])


ASSIGNED = (
    "where windows overlap only the last one counts: add (+=), for a pixel receives from every "
    "window"
)
FANCY = (
    "where windows overlap only one of them counts (=, or += with index arrays): add, by += in a "
    "loop over (i, j) or by np.add.at"
)

col2im = Exercise(
    name="col2im",
    notebook=NOTEBOOK,
    solution=functional.col2im,
    answer=reference.col2im,
    cases=_col2im_cases(),
    read=arrays("image"),
    traits=tuple(
        Trait(present, absent, lambda a, holds=holds: holds(_with_x(a)))  # type: ignore[misc]
        for present, absent, holds in TRAITS
    ),
    counts={"N (the batch size)": lambda a: a["x_shape"][0]},
    mistakes=(
        Mistake(ASSIGNED, lambda a, _: {"image": assigned(a, a["columns"], last_window_wins=True)}),
        Mistake(FANCY, lambda a, _: {"image": assigned(a, a["columns"], last_window_wins=False)}),
        Mistake(
            "the copies of a pixel are averaged; the transpose of copying is adding (col2im is no "
            "inverse of im2col)",
            lambda a, right: {"image": right["image"] / np.maximum(_coverage(a), 1)},
        ),
        *cutting_mistakes("image", lambda a: padded_image(a, a["columns"])),
        *(
            Mistake(
                f"it takes the {what} to run over {wrong}; they run over {right}",
                lambda a, _, axes=axes: {"image": _misread(a, axes)},  # type: ignore[misc]
            )
            for what, wrong, right, axes in WRONG_ORDERS
        ),
        Mistake(
            "it takes the columns for (N, C, oh, ow, kh, kw); they are (N, C, kh, kw, oh, ow)",
            lambda a, _: {"image": _misread(a, NOT_TRANSPOSED)},
        ),
    ),
    hints=(
        "It is im2col with source and target exchanged: every line of im2col that reads a pixel "
        "becomes a line that adds to it.",
        "Reshape columns to (N, C, kh, kw, oh, ow), and add into a zero image of the padded size.",
        "Loop over (i, j): within one (i, j) no two windows share a pixel, so a strided slice may "
        "be added to at once.",
        "At last cut the padding off: [padding : padding + H], [padding : padding + W].",
    ),
)

EXERCISES = (im2col, col2im)
