"""Exercises of notebook 11: dropout, forward and backward."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import (
    Arguments,
    Exercise,
    Mistake,
    Results,
    Trait,
    Trouble,
    arrays,
)
from npsqueeze.functional.dropout import kept

NOTEBOOK = "11_training_on_cifar10.ipynb"


def _forward_cases() -> list[Arguments]:
    draw = np.random.default_rng(30)
    cases = (
        ((4, 5), 0.5, True),
        ((3, 2, 4, 4), 0.25, True),
        ((29,), 0.4, True),
        ((6, 11), 0.8, True),
        ((4, 5), 0.0, True),
        ((6, 7), 0.25, False),
    )
    return [
        {"x": draw.normal(size=shape), "p": p, "key": (3, 1, step), "training": training}
        for step, (shape, p, training) in enumerate(cases)
    ]


def _mask(a: Arguments) -> Array:
    return kept(a["x"].shape, a["p"], a["key"])


def _mask_of_the_rest(a: Arguments) -> Array:
    """Return the mask of the same key with p and 1 - p exchanged."""
    return kept(a["x"].shape, 1 - a["p"], a["key"])


def _read_output(value: Any, arguments: Arguments) -> Results:
    """Return y.

    Raises
    ------
    Trouble
        If it is x under a mask that is not the key's.
    """
    results = arrays("y", forward=True)(value, arguments)
    masks = _mask(arguments), _mask_of_the_rest(arguments)
    if arguments["training"] and _is_masked_otherwise(results["y"], arguments["x"], *masks):
        raise Trouble(
            "its zeros stand elsewhere than those of kept(x.shape, p, key): were they drawn from "
            "another generator or key? The key alone decides"
        )
    return results


def _is_masked_otherwise(result: Array, values: Array, mask: Array, *others: Array) -> bool:
    """Tell whether a result is the values, times a factor, under a mask that is another one.

    That is, neither the mask nor one of the others, nor one that those who misunderstand make of
    the mask or of the values.
    """
    passed = result != 0
    if result.shape != values.shape or not passed.any() or not np.isfinite(result).all():
        return False
    factors = (result / values)[passed]
    known: tuple[Array | np.bool_, ...] = (
        mask,
        *others,
        ~mask,
        values > 0,
        values < 0,
        np.True_,
        mask[:1],
    )
    return bool(np.ptp(factors) < 1e-6 * np.abs(factors).max()) and not any(
        np.array_equal(passed, np.broadcast_to(each, passed.shape)) for each in known
    )


def _forward_mistake(
    meaning: str,
    training: Callable[[Array, Array, float], Array],
    inference: Callable[[Array, Array, float], Array] | None = None,
) -> Mistake:
    """Return the mistake of other formulas of x, its mask and p."""

    def wrong(a: Arguments, right: Results) -> Results:
        formula = training if a["training"] else inference
        return {"y": formula(a["x"], _mask(a), a["p"])} if formula else right

    return Mistake(meaning, wrong)


def _asked_for_the_rest(divisor: Callable[[float], float]) -> Mistake:
    """Return the mistake of another mask, scaled by a number that may itself be wrong."""

    def wrong(a: Arguments, right: Results) -> Results:
        factor = 1 / divisor(a["p"])  # raises for 0: there NumPy's answer depends on the way
        return {"y": a["x"] * _mask_of_the_rest(a) * factor} if a["training"] else right

    return Mistake(
        "the mask was asked for with 1 - p: kept(x.shape, p, key) wants the probability to drop, "
        "and that is p",
        wrong,
    )


def _right(x: Array, mask: Array, p: float) -> Array:
    return x * mask / (1 - p)


IN_INFERENCE = "without training nothing is to be done: y is x"

dropout_forward = Exercise(
    name="dropout_forward",
    notebook=NOTEBOOK,
    solution=functional.dropout_forward,
    answer=lambda x, p, key, training: (
        reference.dropout(x, kept(x.shape, p, key), p) if training else x
    ),
    cases=_forward_cases(),
    read=_read_output,
    traits=(
        Trait("training", "inference", lambda a: a["training"]),
        Trait("p = 0.5", "other p", lambda a: a["p"] == 0.5),
        Trait("p = 0", "other p", lambda a: a["p"] == 0),
    ),
    mistakes=(
        _forward_mistake("what is kept is not scaled: divide it by 1 - p, or the mean changes",
                         lambda x, mask, p: x * mask),
        _forward_mistake("not scaled in training, and made up for in inference: that is dropout "
                         "as it was first published; here training divides by 1 - p, and "
                         "inference has nothing to do",
                         lambda x, mask, p: x * mask, lambda x, mask, p: x * (1 - p)),
        _forward_mistake("divided by p; the probability of being kept is 1 - p",
                         lambda x, mask, p: x * mask / p),
        _forward_mistake("multiplied by 1 - p; divide", lambda x, mask, p: x * mask * (1 - p)),
        _forward_mistake("divided by 1 - p twice", lambda x, mask, p: x * mask / (1 - p) ** 2),
        *(
            _forward_mistake("the mask is the wrong way round: kept(…) is True where x goes on",
                             formula)
            for formula in (
                lambda x, mask, p: x * ~mask / (1 - p),
                lambda x, mask, p: x * ~mask / p,
                lambda x, mask, p: x * ~mask,
            )
        ),
        *(
            _asked_for_the_rest(divisor)
            for divisor in (lambda p: 1 - p, lambda p: p, lambda p: 1)
        ),
        _forward_mistake("that is the factor alone: multiply it by x",
                         lambda x, mask, p: mask / (1 - p)),
        _forward_mistake("the mask of the first example serves the whole batch; each has its own",
                         lambda x, mask, p: x * mask[:1] / (1 - p)),
        _forward_mistake("nothing is dropped", lambda x, mask, p: x),
        _forward_mistake("divided by 1 - p, but nothing is dropped",
                         lambda x, mask, p: x / (1 - p)),
        _forward_mistake("training and inference are exchanged: it is in training that elements "
                         "are dropped", lambda x, mask, p: x, _right),
        _forward_mistake(f"dropped in inference as well: {IN_INFERENCE}", _right, _right),
        _forward_mistake(f"scaled in inference: {IN_INFERENCE}",
                         _right, lambda x, mask, p: x * (1 - p)),
        _forward_mistake(f"scaled in inference: {IN_INFERENCE}",
                         _right, lambda x, mask, p: x / (1 - p)),
    ),
    hints=(
        "kept(x.shape, p, key) is True where an element stays, which happens with probability "
        "1 - p.",
        "In training y is x / (1 - p) where it is kept, and 0 elsewhere (np.where).",
        "Without training y is x: the mean is right already.",
    ),
)  # fmt: skip


def _backward_cases() -> list[Arguments]:
    draw = np.random.default_rng(31)
    cases = []
    for shape, p in (((4, 5), 0.5), ((3, 2, 4, 4), 0.25), ((29,), 0.4), ((6, 11), 0.8)):
        dy = draw.normal(size=shape)
        cases.append({"dy": dy, "mask": draw.random(shape) >= p, "p": p})
    return cases


def _read_gradient(value: Any, arguments: Arguments) -> Results:
    """Return dx.

    Raises
    ------
    Trouble
        If it is dy under a mask of its own.
    """
    results = arrays("dx")(value, arguments)
    if _is_masked_otherwise(results["dx"], arguments["dy"], arguments["mask"]):
        raise Trouble(
            "its zeros stand where those of the forward pass do not: was the mask drawn anew? It "
            "must be the mask of the forward pass, which is given"
        )
    return results


def _mistake(meaning: str, formula: Callable[[Array, Array, float], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"dx": formula(a["dy"], a["mask"], a["p"])})


def _loss(a: Arguments) -> tuple[Any, list[Array]]:
    x = np.random.default_rng(32).normal(size=a["dy"].shape)
    return lambda x: float(np.sum(a["dy"] * reference.dropout(x, a["mask"], a["p"]))), [x]


dropout_backward = Exercise(
    name="dropout_backward",
    notebook=NOTEBOOK,
    solution=functional.dropout_backward,
    answer=reference.dropout_backward,
    cases=_backward_cases(),
    read=_read_gradient,
    traits=(Trait("p = 0.5", "other p", lambda a: a["p"] == 0.5),),
    cache=lambda a: a["mask"] / (1 - a["p"]),
    function=_loss,
    mistakes=(
        _mistake("dy passes everywhere: where x was dropped, nothing of it reached the loss",
                 lambda dy, mask, p: dy),
        _mistake("the mask is missing: where x was dropped, nothing of it reached the loss",
                 lambda dy, mask, p: dy / (1 - p)),
        _mistake("not scaled: the forward pass has divided by 1 - p, so the slope is 1/(1 - p)",
                 lambda dy, mask, p: dy * mask),
        _mistake("scaled twice: the factor is 1/(1 - p) once (in a cache it is already)",
                 lambda dy, mask, p: dy * mask / (1 - p) ** 2),
        _mistake("divided by p; what is kept is kept with probability 1 - p",
                 lambda dy, mask, p: dy * mask / p),
        _mistake("multiplied by 1 - p: a backward pass has the forward's slope, 1/(1 - p), and "
                 "not its inverse", lambda dy, mask, p: dy * mask * (1 - p)),
        *(
            _mistake("the mask is the wrong way round: it is True where x went on", formula)
            for formula in (
                lambda dy, mask, p: dy * ~mask / (1 - p),
                lambda dy, mask, p: dy * ~mask / p,
                lambda dy, mask, p: dy * ~mask,
            )
        ),
        _mistake("that is the slope alone: multiply it by dy",
                 lambda dy, mask, p: mask / (1 - p)),
        *(
            _mistake("the mask is taken from dy; it is chance that decided, and the mask tells how",
                     formula)
            for formula in (
                lambda dy, mask, p: dy * (dy > 0) / (1 - p),
                lambda dy, mask, p: dy * (dy > 0),
            )
        ),
        _mistake("the mask of the first example serves the whole batch; each has its own",
                 lambda dy, mask, p: dy * mask[:1] / (1 - p)),
    ),
    hints=(
        "y = x / (1 - p) where kept, and 0 elsewhere: what is the slope of each?",
        "Where the mask is True, dx is dy / (1 - p); elsewhere it is 0. Nothing is drawn.",
        "An array of zeros has the second already: dx[mask] = … changes only the places of the "
        "first.",
    ),
)  # fmt: skip

EXERCISES = (dropout_forward, dropout_backward)
