"""Gradient checks of a forward/backward pair, of a function of many arrays, and of a model."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.difference_quotients import Point, Report, compare, judge
from npsqueeze.errors import GradientError
from npsqueeze.functional import softmax_cross_entropy_backward, softmax_cross_entropy_forward

ELEMENT_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Steps along one element of size at most 1; those of a larger one grow in proportion."""

DIRECTION_STEPS = (1e-5, 1e-6, 1e-7, 1e-8)
"""Steps along a direction through a network: they cross the kinks of many units at once."""


def gradcheck(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    inputs: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-7,
    samples: int = 200,
    seed: int = 0,
) -> Report:
    """Compare a backward pass with centred differences of its forward pass, element by element.

    The error is |a - n| / max(|a|, |n|, 1e-3·max|n|) of the analytic a and the numeric n, where the
    denominator is never so small that rounding would count as an error.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs)`` returns ``(y, cache)``; y is an array or a number, in float64.
    backward : callable
        ``backward(dy, cache)`` returns the gradients: an array for a single input, or a tuple with
        an entry for each input, or for each floating one. An entry None is not checked.
    inputs : tuple of arrays
        Floating ones are checked, as float64; integers (labels) are passed on.
    names : sequence of str, optional
        What the report calls the inputs.
    tolerance : float
        The largest error that passes.
    samples : int
        An input with more elements than this is checked at as many random ones.
    seed : int
        Seeds the cotangent and the choice of elements.

    Raises
    ------
    GradientError
        If a gradient is wrong, missing, misshapen or not finite, if an input is changed in place,
        if `forward` is not repeatable, or if over 20 % of an input's points lie at kinks.
    TypeError, ValueError
        If the inputs are no arrays of numbers, or `forward` does not compute in float64.
    """
    arrays = _float64_copies(inputs)
    names = [f"input {k}" for k in range(len(arrays))] if names is None else list(names)
    generator = np.random.default_rng(seed)

    def evaluate(*moved: Array) -> Array:
        return _as_output(forward(*moved)[0])

    def points(k: int, gradient: Array) -> list[Point]:
        def outputs(place: int, t: float) -> Array:
            moved = arrays[k].copy()
            moved.flat[place] += t
            return evaluate(*arrays[:k], moved, *arrays[k + 1 :])

        size = arrays[k].size
        chosen = np.sort(generator.choice(size, min(samples, size), replace=False))
        return [
            Point(
                tuple(map(int, np.unravel_index(place, gradient.shape))),
                partial(outputs, place),
                float(gradient.flat[place]),
                max(1.0, abs(arrays[k].flat[place])),
            )
            for place in chosen
        ]

    y, dy, result = _run(forward, backward, arrays, names, generator)
    _check_repeatable(y, evaluate(*arrays))
    gradients = _by_input(result, arrays, names)
    reports = [
        compare(names[k], points(k, gradient), y, dy, ELEMENT_STEPS, tolerance)
        for k, gradient in gradients.items()
    ]
    return judge(Report(tuple(reports), tolerance), batch=arrays[0].shape[:1])


def gradcheck_directional(
    function: Callable[..., float],
    gradients: Sequence[Array],
    arrays: Sequence[Array],
    *,
    directions: int = 10,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Report:
    """Compare Σ gradient·u with the derivative of `function` along random directions u.

    A few evaluations check all the gradients of a network together, however many there are. Each
    array moves in proportion to its own root mean square, so that none drowns the others.

    Parameters
    ----------
    function : callable
        ``function(*arrays)`` returns a number, the loss.
    gradients, arrays : sequences of float64 arrays
        The gradient of the loss with respect to each array, and the arrays.
    directions : int
        How many directions are tried.
    tolerance, seed
        As for `gradcheck`.

    Raises
    ------
    GradientError, TypeError, ValueError
        As for `gradcheck`.
    """
    arrays = _float64_copies(arrays)
    claims = _by_input(list(gradients), arrays, [f"arrays[{k}]" for k in range(len(arrays))])
    generator = np.random.default_rng(seed)

    def outputs(direction: list[Array], t: float) -> Array:
        return _as_output(function(*(x + t * u for x, u in zip(arrays, direction, strict=True))))

    def point(number: int) -> Point:
        direction = [
            (np.sqrt(np.mean(x**2)) or 1.0) * generator.standard_normal(x.shape) for x in arrays
        ]
        analytic = sum(float(np.sum(claim * direction[k])) for k, claim in claims.items())
        return Point((number,), partial(outputs, direction), analytic)

    points = [point(number) for number in range(directions)]
    loss = points[0].outputs(0.0)
    _check_repeatable(loss, points[0].outputs(0.0))
    report = compare("directions", points, loss, np.ones(()), DIRECTION_STEPS, tolerance)
    return judge(Report((report,), tolerance), batch=arrays[0].shape[:1])


def gradcheck_model(
    model: Any,
    x: Array,
    labels: Array,
    *,
    directions: int = 10,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Report:
    """Check all parameter gradients of a model, and dx, under the cross-entropy loss.

    The model's parameters are float64 and its dropout is off; afterwards its parameters and
    running statistics are what they were, and its gradients are zero.

    Parameters
    ----------
    model : npsqueeze.layers.Module
    x : (N, C, H, W) float64
    labels : (N,) integers
    directions, tolerance, seed
        As for `gradcheck_directional`.

    Raises
    ------
    GradientError, TypeError, ValueError
        As for `gradcheck`.
    """
    state = {name: array.copy() for name, array in model.state_dict().items()}
    parameters = model.parameters()

    def loss_of(x: Array, *values: Array) -> float:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data[...] = value
        return softmax_cross_entropy_forward(model.forward(x), labels)[0]

    try:
        model.zero_grad()
        _, cache = softmax_cross_entropy_forward(model.forward(x), labels)
        dx = model.backward(softmax_cross_entropy_backward(1.0, cache))
        return gradcheck_directional(
            loss_of,
            [dx, *(parameter.grad.copy() for parameter in parameters)],
            [x, *(parameter.data.copy() for parameter in parameters)],
            directions=directions,
            tolerance=tolerance,
            seed=seed,
        )
    finally:
        model.load_state_dict(state)
        model.zero_grad()


def _run(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    arrays: list[Array],
    names: list[str],
    generator: np.random.Generator,
) -> tuple[Array, Array, Any]:
    """Return y, a random dy and what `backward` returns, and see that nothing changes in place."""
    handed = {name: array.copy() for name, array in zip(names, arrays, strict=True)}
    before = dict(zip(names, arrays, strict=True))
    y, cache = forward(*handed.values())
    _check_unchanged("forward", handed, before)
    output = _as_output(y).copy()
    dy = np.asarray(generator.standard_normal(output.shape))
    handed["dy"], before["dy"] = dy.copy(), dy
    gradients = backward(handed["dy"] if np.ndim(y) else float(dy), cache)
    _check_unchanged("backward", handed, before)
    return output, dy, gradients


def _by_input(result: Any, arrays: list[Array], names: list[str]) -> dict[int, Array]:
    """Return the gradients that a backward pass gave, each under the number of its input."""
    given = list(result) if isinstance(result, tuple | list) else [result]
    floating = [k for k, array in enumerate(arrays) if array.dtype == np.float64]
    if len(given) not in (len(arrays), len(floating)):
        raise GradientError(
            f"backward: expected {len(floating)} gradients for the floating inputs "
            f"{', '.join(names[k] for k in floating)}, got {len(given)}"
        )
    places = floating if len(given) == len(floating) else range(len(arrays))
    gradients = {
        k: np.asarray(gradient)
        for k, gradient in zip(places, given, strict=True)
        if gradient is not None
    }
    for k, gradient in gradients.items():
        if k not in floating:
            raise GradientError(f"{names[k]}: expected no gradient, for integers, got one")
        if gradient.shape != arrays[k].shape:
            raise GradientError(
                f"{names[k]}: expected a gradient of the input's shape {arrays[k].shape}, "
                f"got {gradient.shape}"
            )
    if not gradients:
        raise GradientError("backward: expected a gradient to check, got none")
    return gradients


def _float64_copies(inputs: Sequence[Any]) -> list[Array]:
    if not isinstance(inputs, tuple | list):
        raise TypeError(f"inputs: expected a tuple of arrays, got {type(inputs).__name__}")
    arrays = [
        np.array(x, dtype=np.float64 if np.asarray(x).dtype.kind == "f" else None) for x in inputs
    ]
    for k, array in enumerate(arrays):
        if array.dtype.kind not in "fiub":
            raise TypeError(f"inputs[{k}]: expected an array of real numbers, got {array.dtype}")
        if not array.size:
            raise ValueError(f"inputs[{k}]: expected at least one element, got shape {array.shape}")
    return arrays


def _as_output(y: Any) -> Array:
    output = np.asarray(y)
    if output.dtype != np.float64:
        raise TypeError(f"forward: expected float64 for float64 inputs, got {output.dtype}")
    return output


def _check_unchanged(who: str, after: dict[str, Array], before: dict[str, Array]) -> None:
    for name, array in after.items():
        if not np.array_equal(array, before[name], equal_nan=True):
            raise GradientError(
                f"{name}: expected {who} to leave it alone, but it changed in place"
            )


def _check_repeatable(y: Array, again: Array) -> None:
    if not np.all(np.isfinite(y)):
        raise GradientError("forward: expected finite numbers, got NaN or infinity")
    if not np.array_equal(y, again):
        raise GradientError(
            "forward: expected the same result for the same inputs, got two "
            "(is a random mask drawn anew each time?)"
        )
