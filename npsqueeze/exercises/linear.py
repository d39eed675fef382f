"""Exercise of notebook 05: the linear layer."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays

NOTEBOOK = "05_linear_and_cross_entropy.ipynb"
MEAN_TWICE = "N times too small: the loss has divided by N already (the mean was taken twice)"


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(13)
    return [
        {
            "dy": draw.normal(size=(n, m)),
            "x": draw.normal(size=(n, d)),
            "w": draw.normal(size=(m, d)),
        }
        for n, d, m in ((4, 5, 3), (1, 5, 3), (6, 1, 3), (3, 3, 3), (5, 2, 7))
    ]


def _mistake(result: str, meaning: str, formula: Callable[..., Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {result: formula(*a.values())})


def _loss(a: Arguments) -> tuple[Any, list[Array]]:
    def loss(x: Array, w: Array, b: Array) -> float:
        return float(np.sum(a["dy"] * functional.linear_forward(x, w, b)[0]))

    return loss, [a["x"], a["w"], np.zeros(len(a["w"]))]


linear_backward = Exercise(
    name="linear_backward",
    notebook=NOTEBOOK,
    solution=functional.linear_backward,
    answer=reference.linear_backward,
    cases=_cases(),
    read=arrays("dx", "dw", "db"),
    traits=(Trait("a batch of one", "a larger batch", lambda a: len(a["x"]) == 1),),
    counts={
        "N (the batch size)": lambda a: len(a["x"]),
        "M (the number of outputs)": lambda a: len(a["w"]),
        "D (the number of inputs)": lambda a: a["x"].shape[1],
    },
    cache=lambda a: functional.linear_forward(a["x"], a["w"], np.zeros(len(a["w"])))[1],
    function=_loss,
    mistakes=(
        _mistake("dx", "w is transposed here: y = x·wᵀ, so dx = dy·w",
                        lambda dy, x, w: dy @ w.T),
        _mistake("dx", "dy meets x here: the slope of y with respect to x is w",
                        lambda dy, x, w: dy.sum(axis=1, keepdims=True) * x),
        _mistake("dw", "dy meets w here: the slope of y with respect to w is x",
                        lambda dy, x, w: dy.sum(axis=0)[:, None] * w),
        _mistake("dw", "transposed: dw has w's shape (M, D), that is dyᵀ·x",
                        lambda dy, x, w: x.T @ dy),
        _mistake("dw", MEAN_TWICE, lambda dy, x, w: dy.T @ x / len(x)),
        _mistake("dw", "only the last row of the batch counts: sum over all",
                        lambda dy, x, w: np.outer(dy[-1], x[-1])),
        _mistake("db", MEAN_TWICE, lambda dy, x, w: dy.mean(axis=0)),
        _mistake("db", "sum over the batch: b was added to every row",
                        lambda dy, x, w: dy),
        _mistake("db", "the sum runs over the outputs; the batch is axis 0",
                        lambda dy, x, w: dy.sum(axis=1)),
        _mistake("db", "one number for all: the sum runs over the batch only (axis 0)",
                        lambda dy, x, w: dy.sum()),
        _mistake("db", "the shape (1, M) remains: b has the shape (M,) (no keepdims)",
                        lambda dy, x, w: dy.sum(axis=0, keepdims=True)),
        _mistake("db", "only the last row of the batch counts: sum over all",
                        lambda dy, x, w: dy[-1]),
    ),
    hints=(
        "y[n, m] = b[m] + Σ_d w[m, d]·x[n, d]: which of the y does one x[n, d] enter, and with "
        "which factor?",
        "The shapes tell the rest: dy is (N, M), x and dx are (N, D), w and dw are (M, D).",
        "dx = dy·w, dw = dyᵀ·x, and db is dy summed over the batch.",
    ),
)  # fmt: skip

EXERCISES = (linear_backward,)
