"""Exercise of notebook 02: the backward pass of a convolution."""

from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.columns import ASSIGNED, FANCY, NOTEBOOK, assigned, padded_image
from npsqueeze.exercises.convolution import (
    COUNTS,
    TRAITS,
    forward_cases,
    kernel_size,
    out_size,
    windows,
)
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, arrays
from npsqueeze.exercises.padding import cutting_mistakes, one_sided


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(2)
    cases = []
    for case in forward_cases():
        y_shape = (len(case["x"]), len(case.pop("b")), *out_size(case))
        cases.append({"dy": draw.normal(size=y_shape)} | case)
    return cases


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
    return Mistake(meaning, lambda a, _: {"dx": change(a)})


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
    cases=_cases(),
    read=arrays("dx", "dw", "db"),
    traits=TRAITS,
    counts=COUNTS,
    cache=lambda a: functional.conv2d_forward(
        a["x"], a["w"], np.zeros(len(a["w"])), *windows(a)
    )[1],
    function=_loss,
    mistakes=(
        _dx_mistake(ASSIGNED, lambda a: assigned(a, _dcolumns(a), last_window_wins=True)),
        _dx_mistake(FANCY, lambda a: assigned(a, _dcolumns(a), last_window_wins=False)),
        *cutting_mistakes("dx", lambda a: padded_image(a, _dcolumns(a))),
        _dx_mistake(
            "the kernel is flipped: in the forward pass w[i, j] met the pixel at (i, j), so that "
            "is where its gradient goes",
            lambda a: _dx(a, _dcolumns(a, a["w"][:, :, ::-1, ::-1])),
        ),
        _dx_mistake(
            "only the last filter counts: a pixel receives from all filters (+=)",
            lambda a: _dx(a, _dcolumns(a, a["w"][-1:], a["dy"][:, -1:])),
        ),
        _dx_mistake(
            "only the first filter counts: sum over all filters",
            lambda a: _dx(a, _dcolumns(a, a["w"][:1], a["dy"][:, :1])),
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
            "x is padded below and on the right only; half of the padding belongs above and on "
            "the left",
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


EXERCISES = (conv2d_backward,)
