"""Exercises of notebook 03: ReLU and He's initial weights."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, init, reference
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

NOTEBOOK = "03_relu_and_initialisation.ipynb"
SHAPES = ((3, 2, 4, 5), (1, 2, 3, 3), (4, 6), (7,))


def _inputs() -> list[Array]:
    draw = np.random.default_rng(5)
    inputs = [draw.normal(size=shape) for shape in SHAPES]
    with_zeros = draw.normal(size=(2, 3, 4, 4))
    with_zeros[0, :, ::2] = 0
    return [*inputs, with_zeros]


HAS_ZEROS = Trait("inputs that are exactly 0", "other inputs", lambda a: bool(np.any(a["x"] == 0)))
HAS_NAN = Trait("inputs with NaN", "numbers", lambda a: bool(np.isnan(a["x"]).any()))


WITH_NAN = np.array([[1.0, np.nan], [-2.0, 3.0]])
WITH_INF = np.array([[1.0, -np.inf], [np.inf, -2.0]])


def _forward_mistake(meaning: str, formula: Callable[[Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"y": formula(a["x"])})


relu_forward = Exercise(
    name="relu_forward",
    notebook=NOTEBOOK,
    solution=functional.relu_forward,
    answer=reference.relu,
    cases=[{"x": x} for x in _inputs()],
    beyond=[{"x": WITH_NAN}, {"x": WITH_INF}],
    read=arrays("y", forward=True),
    traits=(
        HAS_NAN,
        Trait("inputs with inf", "finite ones", lambda a: bool(np.isinf(a["x"]).any())),
        HAS_ZEROS,
    ),
    mistakes=(
        _forward_mistake(
            "NaN is swallowed: `x > 0` is false for it, so a network that has gone wrong looks "
            "healthy; np.maximum passes NaN on",
            lambda x: np.where(x > 0, x, 0),
        ),
        _forward_mistake(
            "0 times -inf is NaN, so a product with the mask fails there: choose (np.where, "
            "np.maximum) instead of multiplying",
            lambda x: x * (x > 0),
        ),
        _forward_mistake("that is the absolute value", np.abs),
        _forward_mistake("that is min(x, 0): the wrong half is kept", lambda x: np.minimum(x, 0)),
        _forward_mistake(
            "that is the mask (0 or 1), not x under the mask", lambda x: (x > 0).astype(float)
        ),
        _forward_mistake(
            "that is a leaky ReLU: below 0 the result is 0", lambda x: np.where(x > 0, x, 0.01 * x)
        ),
        _forward_mistake("nothing is cut off: below 0 the result is 0", lambda x: x),
        _forward_mistake("capped at 1 (or 6): a ReLU grows without end", lambda x: x.clip(0, 1)),
    ),
    hints=("The larger one of x and 0, element by element.", "NumPy calls that np.maximum."),
)


def _backward_cases(inputs: list[Array]) -> list[Arguments]:
    draw = np.random.default_rng(6)
    return [{"dy": draw.normal(size=x.shape), "x": x} for x in inputs]


def _backward_mistake(meaning: str, formula: Callable[[Array, Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"dx": formula(a["dy"], a["x"])})


def _relu_loss(a: Arguments) -> tuple[Any, list[Array]]:
    return lambda x: float(np.sum(a["dy"] * functional.relu_forward(x)[0])), [a["x"]]


relu_backward = Exercise(
    name="relu_backward",
    notebook=NOTEBOOK,
    solution=functional.relu_backward,
    answer=reference.relu_backward,
    cases=_backward_cases(_inputs()),
    beyond=_backward_cases([WITH_NAN]),
    read=arrays("dx"),
    traits=(HAS_ZEROS, HAS_NAN),
    cache=lambda a: functional.relu_forward(a["x"])[1],
    function=_relu_loss,
    mistakes=(
        _backward_mistake(
            "at x = 0 the gradient passes; it should be 0 there, for many inputs are exactly 0 "
            "(behind another ReLU, say)",
            lambda dy, x: dy * (x >= 0),
        ),
        _backward_mistake(
            "at x = 0 half of the gradient passes; it should be 0 there",
            lambda dy, x: dy * ((x > 0) + 0.5 * (x == 0)),
        ),
        _backward_mistake(
            "dy passes everywhere: where x was cut off, nothing of it reached the loss",
            lambda dy, x: dy,
        ),
        _backward_mistake(
            "the mask is taken from dy, not from x: it is x that decided what passed",
            lambda dy, x: dy * (dy > 0),
        ),
        _backward_mistake(
            "only positive dy pass: a gradient may have either sign, and x alone decides",
            lambda dy, x: dy * (x > 0) * (dy > 0),
        ),
        _backward_mistake("the mask is the wrong way round", lambda dy, x: dy * (x < 0)),
        _backward_mistake("the mask is the wrong way round", lambda dy, x: dy * (x <= 0)),
        _backward_mistake(
            "that is the slope alone: multiply it by dy", lambda dy, x: 1.0 * (x > 0)
        ),
        _backward_mistake(
            "dy is multiplied by relu(x); the slope is 1 there, not x",
            lambda dy, x: dy * np.maximum(x, 0),
        ),
        _backward_mistake("below 0 the slope is -1; it is 0", lambda dy, x: dy * np.sign(x)),
        _backward_mistake(
            "where x is NaN dy must pass too, but `x > 0` is false for NaN: ask where x <= 0, and "
            "put 0 there",
            lambda dy, x: dy * (x > 0),
        ),
    ),
    hints=(
        "y = x where x > 0, and y = 0 elsewhere: what is the slope of each piece?",
        "dx is dy times that slope, element by element.",
        "At 0 itself the slope is taken as 0. Where x is NaN, dy passes: ask where x <= 0.",
    ),
)

WEIGHT_SHAPES = ((64, 32, 3, 3), (256, 48, 1, 1), (200, 100), (96, 3, 7, 7))
STD, POSITIVE = "standard deviation", "share of positive weights"
FOURTH_POWER = "tails (mean of ((w - mean)/std)⁴)"


def _read_weights(value: Any, arguments: Arguments) -> Results:
    """Return what tells a distribution by many weights, which are random themselves."""
    w = arrays("w")(value, arguments)["w"]
    if w.shape != arguments["shape"]:
        raise Trouble(f"w has shape {w.shape}; expected {arguments['shape']}")
    w = w.astype(float)
    fourth_power = (((w - w.mean()) / (w.std() or 1.0)) ** 4).mean()
    numbers = w.std(), (w > 0).mean(), fourth_power
    return dict(zip((STD, POSITIVE, FOURTH_POWER), map(np.array, numbers), strict=True))


def _std_mistake(meaning: str, std: Callable[[int, int, tuple[int, ...]], float]) -> Mistake:
    """Return the mistake of another standard deviation, of fan_in, fan_out and shape."""
    return Mistake(meaning, lambda a, _: {STD: std(*init.fans(a["shape"]), a["shape"])})


def _of_absolute_values(shape: tuple[int, ...]) -> dict[str, float]:
    """Return the results of |w| for right weights w: those of the half-normal distribution."""
    mean = math.sqrt(2 / math.pi)
    deviation = math.sqrt(1 - mean**2)
    return {
        STD: deviation * math.sqrt(2 / init.fans(shape)[0]),
        POSITIVE: 1.0,
        FOURTH_POWER: 3.869,
    }


he_normal = Exercise(
    name="he_normal",
    notebook=NOTEBOOK,
    solution=init.he_normal,
    answer=init.he_normal,
    cases=[
        {"shape": shape, "generator": np.random.default_rng(seed)}
        for seed, shape in enumerate(WEIGHT_SHAPES)
    ],
    read=_read_weights,
    traits=(
        Trait("filters (F, C, kh, kw)", "matrices (out, in)", lambda a: len(a["shape"]) == 4),
        Trait("kernels larger than 1x1", "1x1 kernels", lambda a: math.prod(a["shape"][2:]) > 1),
    ),
    mistakes=(
        _std_mistake("that is the variance 2/fan_in; the deviation is its square root",
                     lambda fan_in, fan_out, shape: 2 / fan_in),
        _std_mistake("that is sqrt(1/fan_in): a ReLU cuts half of E[x²], hence the 2",
                     lambda fan_in, fan_out, shape: math.sqrt(1 / fan_in)),
        _std_mistake("that is Xavier's sqrt(2/(fan_in + fan_out)); He's is sqrt(2/fan_in)",
                     lambda fan_in, fan_out, shape: math.sqrt(2 / (fan_in + fan_out))),
        _std_mistake("that is sqrt(2/fan_out); one output adds up fan_in products",
                     lambda fan_in, fan_out, shape: math.sqrt(2 / fan_out)),
        _std_mistake("the fan_in of a convolution is C·kh·kw, not C alone",
                     lambda fan_in, fan_out, shape: math.sqrt(2 / shape[1])),
        _std_mistake("the fan_in is shape[1]·kh·kw: shape[0] counts the filters",
                     lambda fan_in, fan_out, shape: math.sqrt(2 / shape[0])),
        _std_mistake("all weights were counted as fan_in; one output adds up shape[1]·kh·kw",
                     lambda fan_in, fan_out, shape: math.sqrt(2 / math.prod(shape))),
        _std_mistake("that is sqrt(6/fan_in), the bound of a uniform distribution; the deviation "
                     "is sqrt(2/fan_in)", lambda fan_in, fan_out, shape: math.sqrt(6 / fan_in)),
        _std_mistake("that is a standard deviation of 1: scale it by sqrt(2/fan_in)",
                     lambda fan_in, fan_out, shape: 1.0),
        Mistake("uniform, not normal: draw with generator.normal",
                lambda a, _: {FOURTH_POWER: 1.8}),
        Mistake("all weights are positive: their mean should be 0",
                lambda a, _: _of_absolute_values(a["shape"])),
        Mistake("all weights are positive: half of them should be below 0",
                lambda a, _: {POSITIVE: 1.0}),
    ),
    hints=(
        "fan_in is the number of inputs that one output adds up: shape[1] times all that follows.",
        "The variance is 2/fan_in; NumPy's normal takes the standard deviation.",
        "generator.normal(0.0, std, shape)",
    ),
    tolerance=0.06,
)  # fmt: skip

EXERCISES = (relu_forward, relu_backward, he_normal)
