"""Exercise of notebook 05: softmax."""

from collections.abc import Callable

import numpy as np

from npsqueeze import functional
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.linear import NOTEBOOK

BATCH_OF_ONE = Trait("a batch of one", "a larger batch", lambda a: len(a["logits"]) == 1)
LARGE = Trait("large logits", "small ones", lambda a: np.abs(a["logits"]).max() > 100)


def logits_of_all_sizes() -> list[Array]:
    """Return logits around 0, and logits beyond the range of exp."""
    draw = np.random.default_rng(14)
    plain = [draw.normal(size=shape) for shape in ((4, 3), (1, 5), (3, 3), (6, 10))]
    # close together: only a shift is needed, no logarithm of a sum
    close = 1000 + draw.normal(size=(3, 4))
    # a row's largest logit may lie far below another row's
    apart = 400 * draw.normal(size=(5, 4)) + np.array([[0], [2000], [-2000], [0], [900]])
    return [*plain, close, apart]


def naive_softmax(z: Array) -> Array:
    """Return the softmax as its formula reads, which overflows."""
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def log_softmax(z: Array) -> Array:
    """Return the logarithm of the softmax, row by row."""
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _mistake(meaning: str, formula: Callable[[Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"p": formula(a["logits"])})


OVERFLOW = (
    "exp overflows for large logits (exp(710) is inf, and inf/inf is NaN): subtract each row's "
    "maximum first, which changes nothing else"
)


def _shift_by_one_for_all(z: Array) -> Array:
    return naive_softmax(z - z.max())


softmax = Exercise(
    name="softmax",
    notebook=NOTEBOOK,
    solution=functional.softmax,
    answer=functional.softmax,
    cases=[{"logits": z} for z in logits_of_all_sizes()],
    read=arrays("p"),
    traits=(LARGE, BATCH_OF_ONE),
    counts={"N (the batch size)": lambda a: len(a["logits"])},
    mistakes=(
        _mistake(OVERFLOW, naive_softmax),
        _mistake(
            "each row's sum lies along the columns: give it the shape (N, 1), by keepdims=True",
            lambda z: (
                np.exp(z - z.max(axis=1, keepdims=True))
                / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)
            ),
        ),
        _mistake(
            "one maximum is subtracted for the whole batch: a row far below it becomes 0/0; each "
            "row needs its own",
            _shift_by_one_for_all,
        ),
        _mistake(
            "the sum runs over the batch (axis 0); each row is a distribution of its own (axis 1)",
            lambda z: functional.softmax(z.T).T,
        ),
        _mistake(
            "the sum runs over all numbers; each row is a distribution of its own (axis 1)",
            lambda z: functional.softmax(z.reshape(1, -1)).reshape(z.shape),
        ),
        _mistake(
            "it is not divided by the sum of its row",
            lambda z: np.exp(z - z.max(axis=1, keepdims=True)),
        ),
        _mistake("it is not divided by the sum of its row", np.exp),
        *(
            _mistake("that is the logarithm of the softmax", formula)
            for formula in (log_softmax, lambda z: np.log(functional.softmax(z)))
        ),
        _mistake(
            "exp is missing: a logit may be negative, exp of it is not",
            lambda z: z / z.sum(axis=1, keepdims=True),
        ),
        _mistake(
            "that is the sigmoid 1/(1 + exp(-z)), each class by itself: the classes of a row share "
            "one sum",
            lambda z: 1 / (1 + np.exp(-z)),
        ),
        _mistake(
            "the largest number of each column was subtracted; only one that is the same for the "
            "whole row cancels out (axis=1)",
            lambda z: np.exp(z - z.max(axis=0)) / np.exp(z - z.max(axis=0)).sum(1, keepdims=True),
        ),
        _mistake(
            "that is 1 for the largest logit and 0 for the others; the softmax is softer",
            lambda z: np.eye(z.shape[1])[z.argmax(axis=1)],
        ),
        _mistake(
            "2 to the power of z is taken; exp has the base e",
            lambda z: functional.softmax(z * np.log(2)),
        ),
        _mistake("the sign of the logits is wrong", lambda z: functional.softmax(-z)),
    ),
    hints=(
        "p[n, k] = exp(z[n, k]) / Σ_j exp(z[n, j]): the sum runs along a row (axis 1, "
        "keepdims=True).",
        "The same number subtracted from all logits of a row cancels out: subtract the row's "
        "maximum, and no exp can overflow.",
    ),
)

EXERCISES = (softmax,)
