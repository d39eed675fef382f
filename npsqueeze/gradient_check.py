"""Gradient checks: of a forward/backward pair, of a function of many arrays, and of a model."""

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

    The method is told in `npsqueeze.difference_quotients`.

    Derived in tutorials/06_checking_a_gradient.ipynb.

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
        The largest relative error that passes.
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
    arrays = _float64_copies("inputs", inputs)
    names = names or [f"inputs[{k}]" for k in range(len(arrays))]
    generator = _generator(seed)

    def outputs(k: int, place: int, t: float) -> Array:
        moved = arrays[k].copy()
        moved.flat[place] += t
        return _as_output(forward(*arrays[:k], moved, *arrays[k + 1 :])[0])

    def points(k: int, gradient: Array) -> list[Point]:
        x = arrays[k]
        return [
            Point(
                at=tuple(map(int, np.unravel_index(place, x.shape))),
                outputs=partial(outputs, k, place),
                analytic=float(gradient.flat[place]),
                unit=max(1.0, abs(x.flat[place])),
            )
            for place in np.sort(generator.choice(x.size, min(samples, x.size), replace=False))
        ]

    y, dy, result = _run(forward, backward, arrays, names, generator)
    _check_repeatable(y, outputs(0, 0, 0))
    reports = [
        compare(names[k], points(k, gradient), y, dy, ELEMENT_STEPS, tolerance)
        for k, gradient in _by_input(result, arrays, names).items()
    ]
    return judge(Report(tuple(reports), tolerance), _batch_size(arrays))


def gradcheck_directional(
    function: Callable[..., float],
    gradients: Sequence[Array],
    arrays: Sequence[Array],
    *,
    directions: int = 10,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Report:
    """Compare Σ gradient·u with the derivative of a function along random directions u.

    A few evaluations check all the gradients of a network together, however many there are. Each
    array moves in proportion to its own root mean square, so that none drowns the others.

    Derived in tutorials/06_checking_a_gradient.ipynb.

    Parameters
    ----------
    function : callable
        ``function(*arrays)`` returns a number, such as a loss.
    gradients, arrays : tuples of float64 arrays
        The gradient of the function with respect to each array, and the arrays.
    directions : int
        How many directions are tried; one that meets a kink is excluded, and counted.
    tolerance, seed
        As for `gradcheck`.

    Raises
    ------
    GradientError, TypeError, ValueError
        As for `gradcheck`.
    """
    arrays = _float64_copies("arrays", arrays)
    claims = _by_input(list(gradients), arrays, [f"arrays[{k}]" for k in range(len(arrays))])
    generator = _generator(seed)

    def outputs(direction: list[Array], t: float) -> Array:
        return _as_output(function(*(x + t * u for x, u in zip(arrays, direction, strict=True))))

    def point(number: int) -> Point:
        direction = [
            generator.standard_normal(x.shape) * (np.sqrt(np.mean(x**2)) or 1) for x in arrays
        ]
        analytic = sum(float(np.sum(claim * direction[k])) for k, claim in claims.items())
        return Point((number,), partial(outputs, direction), analytic)

    points = [point(number) for number in range(directions)]
    y = points[0].outputs(0)
    _check_repeatable(y, points[0].outputs(0))
    report = compare("directions", points, y, np.ones(()), DIRECTION_STEPS, tolerance)
    return judge(Report((report,), tolerance), _batch_size(arrays))


def gradcheck_model(
    model: Any, x: Array, labels: Array, *, directions: int = 10, seed: int = 0
) -> Report:
    """Check all gradients of a model, dx included, under the cross-entropy loss.

    Parameters
    ----------
    model : npsqueeze.layers.Module
        In float64 and without dropout. Its parameters and running statistics are restored
        afterwards; its gradients are cleared.
    x : (N, C, H, W) float64
    labels : (N,) integers
    directions, seed
        As for `gradcheck_directional`.

    Raises
    ------
    GradientError, TypeError, ValueError
        As for `gradcheck`.
    """
    parameters = model.parameters()
    for array in (x, *(parameter.data for parameter in parameters)):
        if array.dtype != np.float64:
            raise TypeError(f"model and x: expected float64 in both, got {array.dtype}")
    state = {name: array.copy() for name, array in model.state_dict().items()}

    def loss_of(x: Array, *values: Array) -> float:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data[...] = value
        return softmax_cross_entropy_forward(model.forward(x), labels)[0]

    try:
        model.zero_grad()
        _, cache = softmax_cross_entropy_forward(model.forward(x), labels)
        dx = model.backward(softmax_cross_entropy_backward(1.0, cache))
        gradients = [dx, *(parameter.grad.copy() for parameter in parameters)]
        arrays = [x, *(parameter.data.copy() for parameter in parameters)]
        return gradcheck_directional(loss_of, gradients, arrays, directions=directions, seed=seed)
    finally:
        model.load_state_dict(state)
        model.zero_grad()


def _run(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    arrays: list[Array],
    names: Sequence[str],
    generator: np.random.Generator,
) -> tuple[Array, Array, Any]:
    """Return y, a random dy and what `backward` returns, and see that nothing changes in place."""

    def check_unchanged(who: str, name: str, after: Array, before: Array) -> None:
        if not np.array_equal(after, before, equal_nan=True):
            raise GradientError(f"{name}: expected {who} to leave it alone, but it was changed")

    handed = [array.copy() for array in arrays]
    result, cache = forward(*handed)
    y = _as_output(result)
    dy = np.asarray(generator.standard_normal(y.shape))
    for name, after, before in zip(names, handed, arrays, strict=True):
        check_unchanged("forward", name, after, before)
    handed_dy = dy.copy()
    gradients = backward(handed_dy if np.ndim(result) else float(dy), cache)
    for name, after, before in zip(
        (*names, "dy"), (*handed, handed_dy), (*arrays, dy), strict=True
    ):
        check_unchanged("backward", name, after, before)
    return y, dy, gradients


def _by_input(result: Any, arrays: list[Array], names: Sequence[str]) -> dict[int, Array]:
    """Return the gradients that a backward pass gave, each under the number of its input."""
    given = list(result) if isinstance(result, tuple | list) else [result]
    while len(given) > len(arrays) and given[-1] is None:  # of an optional input that is not there
        given.pop()
    floating = [k for k, array in enumerate(arrays) if array.dtype == np.float64]
    if len(given) not in (len(arrays), len(floating)):
        raise GradientError(
            f"backward: expected gradients of {', '.join(names[k] for k in floating)}, "
            f"got {len(given)} of them"
        )
    places = floating if len(given) == len(floating) else range(len(arrays))
    pairs = zip(places, given, strict=True)
    gradients = {k: np.asarray(gradient) for k, gradient in pairs if gradient is not None}
    for k, gradient in gradients.items():
        if k not in floating:
            raise GradientError(f"{names[k]}: expected no gradient for integers, got one")
        if gradient.shape != arrays[k].shape:
            raise GradientError(
                f"{names[k]}: expected a gradient of the input's shape {arrays[k].shape}, "
                f"got {gradient.shape}"
            )
    if not gradients:
        raise GradientError("backward: expected a gradient to check, got none")
    return gradients


def _float64_copies(name: str, values: Sequence[Any]) -> list[Array]:
    if not isinstance(values, tuple | list):
        raise TypeError(f"{name}: expected a tuple of arrays, got {type(values).__name__}")
    arrays = [np.array(value) for value in values]
    for k, array in enumerate(arrays):
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}[{k}]: expected an array of real numbers, got {array.dtype}")
        if not array.size:
            raise ValueError(f"{name}[{k}]: expected at least one element, got {array.shape}")
    return [x.astype(np.float64) if x.dtype.kind == "f" else x for x in arrays]


def _as_output(y: Any) -> Array:
    output = np.array(y)  # a copy: the next call may use the same memory
    if output.dtype != np.float64:
        raise TypeError(f"forward: expected float64 for float64 inputs, got {output.dtype}")
    return output


def _check_repeatable(y: Array, again: Array) -> None:
    if not np.all(np.isfinite(y)):
        raise GradientError("forward: expected finite numbers, got NaN or infinity")
    if not np.array_equal(y, again):
        raise GradientError(
            "forward: expected the same result for the same inputs, got two "
            "(is a random mask drawn anew each time?)"
        )


def _generator(seed: int) -> np.random.Generator:
    # A stream of its own: the inputs may well be the first numbers of default_rng(seed).
    return np.random.default_rng(seed).spawn(1)[0]


def _batch_size(arrays: list[Array]) -> int:
    return len(arrays[0]) if arrays[0].ndim else 1
