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

NOTEBOOK = "11_training_on_cifar10.ipynb"
SHARE, FACTOR = "share that is kept", "factor of what is kept"
NEIGHBOURS = "share of equal neighbours along each axis"


def _read_draw(value: Any, arguments: Arguments) -> Results:
    """Return what tells a draw of dropout by many elements, which are random themselves.

    Raises
    ------
    Trouble
        If y is no multiple of x where it is not 0.
    """
    y = arrays("y", forward=True)(value, arguments)["y"]
    x = arguments["x"]
    if y.shape != x.shape:
        raise Trouble(f"y has shape {y.shape}; expected {x.shape}, the shape of x")
    kept = y != 0
    factors = (y / x)[kept]
    if not kept.any():
        raise Trouble("y is 0 everywhere")
    if not np.ptp(factors) < 1e-6 * np.abs(factors).max():
        raise Trouble("what is kept is not x times one factor: y = x / (1 - p) there")
    equal = [np.mean(np.diff(kept, axis=axis) == 0) for axis in range(x.ndim)]
    return {
        SHARE: np.array(kept.mean()),
        FACTOR: np.array(factors.mean()),
        NEIGHBOURS: np.array(equal),
    }


def _draw(x: Array, p: float, generator: np.random.Generator) -> Array:
    return reference.dropout(x, generator.random(x.shape) >= p, p)


def _draw_cases() -> list[Arguments]:
    shape = (4, 1500, 40)  # so many rows that even one draw for each shows its p
    return [
        {
            "x": np.random.default_rng(20 + seed).normal(size=shape),
            "p": p,
            "generator": np.random.default_rng(seed),
        }
        for seed, p in enumerate((0.5, 0.2, 0.7))
    ]


def _draw_mistake(meaning: str, **formulas: Callable[[float], float]) -> Mistake:
    """Return the mistake of another `share` or `factor`, functions of p."""
    names = {"share": SHARE, "factor": FACTOR}
    return Mistake(
        meaning, lambda a, _: {names[key]: formula(a["p"]) for key, formula in formulas.items()}
    )


def _same_along(axis: int) -> Callable[[Arguments, Results], Results]:
    """Return the results of one draw that is repeated along an axis."""

    def results(_: Arguments, right: Results) -> Results:
        equal = right[NEIGHBOURS].copy()
        equal[axis] = 1
        return {NEIGHBOURS: equal}

    return results


KEEPS_P = "p is the probability to drop an element; here it is that of keeping it"

dropout_forward = Exercise(
    name="dropout_forward",
    notebook=NOTEBOOK,
    solution=functional.dropout_forward,
    answer=_draw,
    cases=_draw_cases(),
    read=_read_draw,
    traits=(Trait("p = 0.5", "other p", lambda a: a["p"] == 0.5),),
    mistakes=(
        _draw_mistake(KEEPS_P, share=lambda p: p, factor=lambda p: 1 / p),
        _draw_mistake(KEEPS_P, share=lambda p: p),
        _draw_mistake(
            "what is kept is not scaled: divide it by 1 - p, or the mean changes",
            factor=lambda p: 1.0,
        ),
        _draw_mistake(
            "divided by p; the probability of being kept is 1 - p", factor=lambda p: 1 / p
        ),
        _draw_mistake("multiplied by 1 - p; divide", factor=lambda p: 1 - p),
        _draw_mistake("divided by 1 - p twice", factor=lambda p: (1 - p) ** -2),
        _draw_mistake("nothing is dropped", share=lambda p: 1.0),
        Mistake(
            "one draw serves the whole batch: every element needs its own, "
            "generator.random(x.shape)",
            _same_along(0),
        ),
        Mistake(
            "one draw serves a whole row (the last axis): every element needs its own, "
            "generator.random(x.shape)",
            _same_along(-1),
        ),
    ),
    hints=(
        "generator.random(x.shape) gives each element a number of its own, even from 0 to 1.",
        "Such a number is below p with probability p: those elements are dropped, the others kept.",
        "y is x / (1 - p) where it is kept, and 0 elsewhere (np.where).",
    ),
    tolerance=0.1,
)


def _backward_cases() -> list[Arguments]:
    draw = np.random.default_rng(31)
    cases = []
    for shape, p in (((4, 5), 0.5), ((3, 2, 4, 4), 0.25), ((9,), 0.4), ((6, 7), 0.8)):
        dy = draw.normal(size=shape)
        cases.append({"dy": dy, "kept": draw.random(shape) >= p, "p": p})
    return cases


def _read_gradient(value: Any, arguments: Arguments) -> Results:
    """Return dx.

    Raises
    ------
    Trouble
        If it is dy under a mask that has nothing to do with the arguments.
    """
    results = arrays("dx")(value, arguments)
    dx, dy, kept = results["dx"], arguments["dy"], arguments["kept"]
    passed = dx != 0
    if dx.shape != dy.shape or not passed.any() or not np.isfinite(dx).all():
        return results
    factors = (dx / dy)[passed]
    known = (kept, ~kept, dy > 0, dy < 0, np.True_, kept[:1])
    if np.ptp(factors) < 1e-6 * np.abs(factors).max() and not any(
        np.array_equal(passed, np.broadcast_to(mask, dy.shape)) for mask in known
    ):
        raise Trouble(
            "its zeros stand where those of the forward pass do not: was the mask drawn anew? It "
            "must be the mask of the forward pass, that is kept"
        )
    return results


def _mistake(meaning: str, formula: Callable[[Array, Array, float], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"dx": formula(a["dy"], a["kept"], a["p"])})


def _loss(a: Arguments) -> tuple[Any, list[Array]]:
    x = np.random.default_rng(32).normal(size=a["dy"].shape)
    return lambda x: float(np.sum(a["dy"] * reference.dropout(x, a["kept"], a["p"]))), [x]


dropout_backward = Exercise(
    name="dropout_backward",
    notebook=NOTEBOOK,
    solution=functional.dropout_backward,
    answer=reference.dropout_backward,
    cases=_backward_cases(),
    read=_read_gradient,
    traits=(Trait("p = 0.5", "other p", lambda a: a["p"] == 0.5),),
    cache=lambda a: a["kept"] / (1 - a["p"]),
    function=_loss,
    mistakes=(
        _mistake("dy passes everywhere: where x was dropped, nothing of it reached the loss",
                 lambda dy, kept, p: dy),
        _mistake("the mask is missing: where x was dropped, nothing of it reached the loss",
                 lambda dy, kept, p: dy / (1 - p)),
        _mistake("not scaled: the forward pass has divided by 1 - p, so the slope is 1/(1 - p)",
                 lambda dy, kept, p: dy * kept),
        _mistake("scaled twice: the factor is 1/(1 - p) once (in a cache it is already)",
                 lambda dy, kept, p: dy * kept / (1 - p) ** 2),
        _mistake("divided by p; what is kept is kept with probability 1 - p",
                 lambda dy, kept, p: dy * kept / p),
        _mistake("multiplied by 1 - p: a backward pass has the forward's slope, 1/(1 - p), and "
                 "not its inverse", lambda dy, kept, p: dy * kept * (1 - p)),
        *(
            _mistake("the mask is the wrong way round: kept is True where x went on", formula)
            for formula in (
                lambda dy, kept, p: dy * ~kept / (1 - p),
                lambda dy, kept, p: dy * ~kept / p,
                lambda dy, kept, p: dy * ~kept,
            )
        ),
        _mistake("that is the slope alone: multiply it by dy",
                 lambda dy, kept, p: kept / (1 - p)),
        *(
            _mistake("the mask is taken from dy; it is chance that decided, and kept tells how",
                     formula)
            for formula in (
                lambda dy, kept, p: dy * (dy > 0) / (1 - p),
                lambda dy, kept, p: dy * (dy > 0),
            )
        ),
        _mistake("the mask of the first example serves the whole batch; each has its own",
                 lambda dy, kept, p: dy * kept[:1] / (1 - p)),
    ),
    hints=(
        "y = x / (1 - p) where kept, and 0 elsewhere: what is the slope of each?",
        "dx is dy times that slope, element by element; nothing is drawn.",
    ),
)  # fmt: skip

EXERCISES = (dropout_forward, dropout_backward)
