"""Exercises of notebook 02: im2col, col2im, and the backward pass of a convolution."""

import math
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.convolution import (
    COUNTS,
    OPTIONS,
    TRAITS,
    forward_cases,
    kernel_size,
    one_sided,
    out_size,
    windows,
)
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results, Trait, arrays

NOTEBOOK = "02_convolution_as_a_matrix_product.ipynb"


def _backward_cases() -> list[Arguments]:
    draw = np.random.default_rng(2)
    cases = []
    for case in forward_cases():
        y_shape = (len(case["x"]), len(case.pop("b")), *out_size(case))
        cases.append({"dy": draw.normal(size=y_shape)} | case)
    return cases


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


def _im2col_mistake(meaning: str, **change: Any) -> Mistake:
    def wrong(a: Arguments, _: Results) -> dict[str, Array]:
        return {"columns": functional.im2col(*(a | change).values())}

    return Mistake(meaning, wrong)


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
        Mistake(
            "the rows run over (i, j, c); the weights are stored as (c, i, j), and so must be the "
            "rows",
            lambda a, right: {
                "columns": _split(a, right["columns"])
                .transpose(0, 2, 3, 1, 4, 5)
                .reshape(right["columns"].shape)
            },
        ),
        Mistake(
            "the columns run over (q, p); the output is stored as (p, q), and so must be the "
            "columns",
            lambda a, right: {
                "columns": _split(a, right["columns"])
                .transpose(0, 1, 2, 3, 5, 4)
                .reshape(right["columns"].shape)
            },
        ),
        Mistake(
            "the rows run over (c, j, i); the weights are stored as (c, i, j), and so must be the "
            "rows",
            lambda a, right: {
                "columns": _split(a, right["columns"])
                .transpose(0, 1, 3, 2, 4, 5)
                .reshape(right["columns"].shape)
            },
        ),
        Mistake(
            "(N, C, oh, ow, kh, kw) was reshaped at once: transpose it to (N, C, kh, kw, oh, ow) "
            "first, for reshape does not move axes",
            lambda a, right: {
                "columns": _split(a, right["columns"])
                .transpose(0, 1, 4, 5, 2, 3)
                .reshape(right["columns"].shape)
            },
        ),
        Mistake(
            "rows and columns are exchanged: (N, K, P) is wanted, this is (N, P, K)",
            lambda _, right: {"columns": right["columns"].swapaxes(1, 2)},
        ),
        Mistake(
            "all images stand in one matrix (K, N·P); a matrix for each, (N, K, P), is wanted",
            lambda _, right: {"columns": _as_matrix_of_batch(right["columns"], image_first=True)},
        ),
        Mistake(
            "all images stand in one matrix (K, P·N); a matrix for each, (N, K, P), is wanted",
            lambda _, right: {"columns": _as_matrix_of_batch(right["columns"], image_first=False)},
        ),
        Mistake(
            "the windows are flipped: row (c, i, j) holds the pixel at (kh - 1 - i, kw - 1 - j)",
            lambda a, right: {
                "columns": _split(a, right["columns"])[:, :, ::-1, ::-1].reshape(
                    right["columns"].shape
                )
            },
        ),
        Mistake(
            "all of the padding lies below and on the right; half of it belongs above and on the "
            "left",
            lambda a, _: {
                "columns": functional.im2col(*(a | {"x": one_sided(a), "padding": 0}).values())
            },
        ),
        _im2col_mistake("the padding is ignored", padding=0),
        _im2col_mistake("the stride is ignored", stride=1),
        _im2col_mistake("the dilation is ignored", dilation=1),
    ),
    hints=(
        "Start from an array of shape (N, C, kh, kw, oh, ow); the matrix is a reshape of it.",
        "Pad x with zeros first. For a fixed (i, j), the pixels of all windows form a regular "
        "grid.",
        "That grid is padded[:, :, i·dilation : i·dilation + oh·stride : stride, and the same "
        "with j]; mind that a slice may hold one pixel too many: cut it to oh by ow.",
    ),
)


def _assigned(a: Arguments, columns: Array, last_window_wins: bool) -> Array:
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


def _padded(a: Arguments, columns: Array) -> Array:
    """Return col2im of the padded image, not cut."""
    a = _with_x(a) if "x_shape" in a else a
    n, c, height, width = a["x"].shape
    larger = (n, c, height + 2 * a["padding"], width + 2 * a["padding"])
    return functional.col2im(columns, larger, kernel_size(a), a["stride"], 0, a["dilation"])  # type: ignore[arg-type]


def _wrong_corner(a: Arguments, columns: Array) -> Array:
    height, width = a["x_shape"][2:] if "x_shape" in a else a["x"].shape[2:]
    return _padded(a, columns)[:, :, :height, :width]


def emptied(a: Arguments, right: Array) -> Array:
    """Return dx as padded[:, :, padding:-padding, padding:-padding] cuts it."""
    return right if a["padding"] else right[:, :, 0:-0, 0:-0]


def _coverage(a: Arguments) -> Array:
    """Return how many windows see each pixel."""
    columns = np.ones_like(a["columns"])
    return functional.col2im(columns, *list(a.values())[1:])


ASSIGNED = (
    "where windows overlap only the last one counts: add (+=), for a pixel receives from every "
    "window"
)
FANCY = (
    "where windows overlap only one of them counts: assignment, or x[index] += with repeated "
    "indices, which NumPy does once; np.add.at, or a loop over the kernel's positions, adds"
)
TOO_LARGE = "the padding is still there: cut it off at the end"
EMPTIED = (
    "nothing is left where the padding is 0: [padding:-padding] is then [0:-0], an empty slice; "
    "write [padding : padding + H]"
)
CORNER = "the padding is cut off on one side only: start at [padding], not at [0]"

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
        Mistake(
            ASSIGNED, lambda a, _: {"image": _assigned(a, a["columns"], last_window_wins=True)}
        ),
        Mistake(FANCY, lambda a, _: {"image": _assigned(a, a["columns"], last_window_wins=False)}),
        Mistake(
            "the copies of a pixel are averaged; the transpose of copying is adding (col2im is no "
            "inverse of im2col)",
            lambda a, right: {"image": right["image"] / np.maximum(_coverage(a), 1)},
        ),
        Mistake(TOO_LARGE, lambda a, _: {"image": _padded(a, a["columns"])}),
        Mistake(CORNER, lambda a, _: {"image": _wrong_corner(a, a["columns"])}),
        Mistake(EMPTIED, lambda a, right: {"image": emptied(a, right["image"])}),
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


def _dcolumns(a: Arguments, w: Array | None = None, dy: Array | None = None) -> Array:
    """Return the gradient of the columns, Wᵀ·dY, for each image."""
    w, dy = a["w"] if w is None else w, a["dy"] if dy is None else dy
    return w.reshape(len(w), -1).T @ dy.reshape(len(dy), len(w), -1)


def _dx(a: Arguments, dcolumns: Array) -> Array:
    return functional.col2im(dcolumns, a["x"].shape, kernel_size(a), *windows(a))  # type: ignore[arg-type]


def _dw(a: Arguments, images: slice = slice(None), **changed: Any) -> Array:
    a = a | changed
    columns = functional.im2col(a["x"], kernel_size(a), *windows(a))[images]  # type: ignore[arg-type]
    dy = a["dy"][images].reshape(len(columns), len(a["w"]), -1)
    return (dy @ columns.swapaxes(1, 2)).sum(axis=0).reshape(a["w"].shape)


def _dx_mistake(meaning: str, change: Any) -> Mistake:
    return Mistake(meaning, lambda a, right: {"dx": change(a, right["dx"])})


def _dw_mistake(meaning: str, change: Any) -> Mistake:
    return Mistake(meaning, lambda a, right: {"dw": change(a, right["dw"])})


def _db_mistake(meaning: str, change: Any) -> Mistake:
    return Mistake(meaning, lambda a, _: {"db": change(a["dy"])})


def _loss(a: Arguments) -> tuple[Any, list[Array]]:
    def loss(x: Array, w: Array, b: Array) -> float:
        return float(np.sum(a["dy"] * functional.conv2d_forward(x, w, b, *windows(a))[0]))

    return loss, [a["x"], a["w"], np.zeros(len(a["w"]))]


MEAN_TWICE = (
    "N times too small: you took the mean over the batch, but the loss has divided by N already"
)

conv2d_backward = Exercise(
    name="conv2d_backward",
    notebook=NOTEBOOK,
    solution=functional.conv2d_backward,
    answer=reference.conv2d_backward,
    cases=_backward_cases(),
    read=arrays("dx", "dw", "db"),
    traits=TRAITS,
    counts=COUNTS,
    cache=lambda a: functional.conv2d_forward(
        a["x"], a["w"], np.zeros(len(a["w"])), *windows(a)
    )[1],
    function=_loss,
    mistakes=(
        _dx_mistake(ASSIGNED, lambda a, _: _assigned(a, _dcolumns(a), last_window_wins=True)),
        _dx_mistake(FANCY, lambda a, _: _assigned(a, _dcolumns(a), last_window_wins=False)),
        _dx_mistake(TOO_LARGE, lambda a, _: _padded(a, _dcolumns(a))),
        _dx_mistake(CORNER, lambda a, _: _wrong_corner(a, _dcolumns(a))),
        _dx_mistake(EMPTIED, emptied),
        _dx_mistake(
            "the kernel is flipped: in the forward pass w[i, j] met the pixel at (i, j), so that "
            "is where its gradient goes",
            lambda a, _: _dx(a, _dcolumns(a, a["w"][:, :, ::-1, ::-1])),
        ),
        _dx_mistake(
            "only the last filter counts: a pixel receives from all filters (+=)",
            lambda a, _: _dx(a, _dcolumns(a, a["w"][-1:], a["dy"][:, -1:])),
        ),
        _dx_mistake(
            "only the first filter counts: sum over all filters",
            lambda a, _: _dx(a, _dcolumns(a, a["w"][:1], a["dy"][:, :1])),
        ),
        _dw_mistake(MEAN_TWICE, lambda a, dw: dw / len(a["x"])),
        _dw_mistake(
            "only the last image of the batch counts: sum over all (an = where += belongs?)",
            lambda a, _: _dw(a, slice(-1, None)),
        ),
        _dw_mistake(
            "only the first image of the batch counts: sum over all",
            lambda a, _: _dw(a, slice(0, 1)),
        ),
        _dw_mistake(
            "the kernel is flipped: that is the gradient of a convolution, not of a "
            "cross-correlation",
            lambda a, dw: dw[:, :, ::-1, ::-1],
        ),
        _dw_mistake(
            "the pixels stand padding too far up and left: the columns are those of the padded "
            "image, with half of the padding above and on the left",
            lambda a, _: _dw(a, x=one_sided(a), padding=0),
        ),
        _dw_mistake(
            "filters and channels are exchanged: dw is (F, C, kh, kw)",
            lambda a, dw: dw.swapaxes(0, 1),
        ),
        _dw_mistake(
            "(K, F) was reshaped to (F, C, kh, kw): transpose it first",
            lambda a, dw: dw.reshape(len(dw), -1).T.reshape(dw.shape),
        ),
        _dw_mistake("the sum over the images is missing", lambda a, _: _dw_of_each(a)),
        _dw_mistake(
            "only the last window counts: sum over all (an = where += belongs?)",
            lambda a, _: _dw(a, dy=_last_window(a["dy"])),
        ),
        _db_mistake(MEAN_TWICE, lambda dy: dy.sum(axis=(0, 2, 3)) / len(dy)),
        _db_mistake(
            "the mean over images and pixels is taken; b was added to each, so it is the sum",
            lambda dy: dy.mean(axis=(0, 2, 3)),
        ),
        _db_mistake(
            "sum over the pixels too: b[f] was added to every image and to every pixel",
            lambda dy: dy.sum(axis=0),
        ),
        _db_mistake(
            "sum over the images too: b[f] was added to every image and to every pixel",
            lambda dy: dy.sum(axis=(2, 3)),
        ),
        _db_mistake(
            "the sum runs over the filters; each b[f] has a gradient of its own",
            lambda dy: dy.sum(axis=(0, 1, 2, 3)),
        ),
        _db_mistake(
            "only the last image of the batch counts: sum over all", lambda dy: dy[-1].sum((1, 2))
        ),
    ),
    hints=(
        "Start with db: b[f] was added to every y[n, f, p, q], so its gradient is the sum of dy "
        "over n, p and q.",
        "dw: w[f, c, i, j] was multiplied by the pixel x[n, c, p·stride + i·dilation - padding, "
        "…] to give y[n, f, p, q]; its gradient sums dy times that pixel over n, p and q. In "
        "matrices: dW = Σ_n dY·col(x)ᵀ.",
        "dx: every y[n, f, p, q] that saw a pixel sends it dy[n, f, p, q]·w[f, c, i, j]. In "
        "matrices: the columns receive Wᵀ·dY, and col2im adds them up.",
        "Keep a padded dx, add (+=) into it, and cut the padding off at the end: "
        "[padding : padding + H].",
    ),
)  # fmt: skip


def _last_window(dy: Array) -> Array:
    last = np.zeros_like(dy)
    last[:, :, -1, -1] = dy[:, :, -1, -1]
    return last


def _dw_of_each(a: Arguments) -> Array:
    return np.stack([_dw(a, slice(n, n + 1)) for n in range(len(a["x"]))])


EXERCISES = (im2col, col2im, conv2d_backward)
