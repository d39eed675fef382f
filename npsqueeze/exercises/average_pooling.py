"""Exercises of notebook 04: average and global average pooling."""

from collections.abc import Callable

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.max_pooling import (
    COUNTS,
    NOTEBOOK,
    TRAITS,
    beyond,
    cases,
    loss,
    options,
    routed,
    windows,
    with_dy,
)
from npsqueeze.exercises.padding import cutting_mistakes


def _average_mistake(meaning: str, divisor: Callable[[Arguments, int], float]) -> Mistake:
    """Return the mistake of another divisor, of the arguments and the pixels inside the image."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        return {"dx": routed(a, lambda values, _: np.ones_like(values) / divisor(a, len(values)))}

    return Mistake(meaning, wrong)


def _average_assigned(a: Arguments) -> Array:
    dx = np.zeros_like(a["x"])
    divisors = functional.avg_pool2d_forward(a["x"], *options(a))[1].divisor
    for (n, c, p, q), pixels in windows(a):
        for h, w in pixels:
            dx[n, c, h, w] = a["dy"][n, c, p, q] / divisors[p, q]
    return dx


avg_pool2d_backward = Exercise(
    name="avg_pool2d_backward",
    notebook=NOTEBOOK,
    solution=functional.avg_pool2d_backward,
    answer=reference.avg_pool2d_backward,
    cases=with_dy(cases(np.random.default_rng(10), ties=False), np.random.default_rng(11)),
    read=arrays("dx"),
    traits=TRAITS[1:],
    counts=COUNTS,
    cache=lambda a: functional.avg_pool2d_forward(a["x"], *options(a))[1],
    function=loss(functional.avg_pool2d_forward),
    mistakes=(
        _average_mistake(
            "it is not divided: divide dy by the number of the window's pixels in the padded image",
            lambda a, inside: 1,
        ),
        _average_mistake(
            "the divisor is always k²; a window that hangs over the padded image has fewer "
            "pixels, and its mean was divided by these",
            lambda a, inside: a["kernel_size"] ** 2,
        ),
        _average_mistake(
            "the padding does not count in your divisor; here it does (count_include_pad)",
            lambda a, inside: inside,
        ),
        Mistake(
            "where windows overlap only the last one counts: add (+=), for a pixel counts in "
            "several means",
            lambda a, _: {"dx": _average_assigned(a)},
        ),
        *cutting_mistakes(
            "dx", lambda a: beyond(a, lambda values, _: np.ones_like(values) / len(values))
        ),
        Mistake(
            "only the maximum of each window got the gradient: that is max pooling",
            lambda a, _: {"dx": routed(a, lambda values, places: places == values.argmax())},
        ),
        _average_mistake(
            "divided by k; a window has k² pixels", lambda a, inside: a["kernel_size"]
        ),
        _average_mistake("divided by k² twice", lambda a, inside: a["kernel_size"] ** 4),
    ),
    hints=(
        "y[n, c, p, q] is the sum of its window divided by d: each pixel of the window has the "
        "slope 1/d, so it receives dy[n, c, p, q]/d.",
        "A pixel in several windows receives from each: add (+=).",
        "d is the number of pixels of the window that lie in the padded image: k², but fewer "
        "where it hangs over in ceil mode.",
        "Keep a dx of the padded size, and cut the padding off at the end.",
    ),
)


def _global_cases() -> list[Arguments]:
    draw = np.random.default_rng(12)
    shapes = ((3, 2, 4, 4), (3, 2, 4, 5), (1, 5, 3, 2), (2, 3, 1, 1))
    return [{"dy": draw.normal(size=shape[:2]), "x": draw.normal(size=shape)} for shape in shapes]


def _global_mistake(meaning: str, formula: Callable[[Array, Array], Array]) -> Mistake:
    """Return the mistake of another formula of dy (N, C, 1, 1) and x."""
    return Mistake(meaning, lambda a, _: {"dx": formula(a["dy"][:, :, None, None], a["x"])})


global_avg_pool2d_backward = Exercise(
    name="global_avg_pool2d_backward",
    notebook=NOTEBOOK,
    solution=functional.global_avg_pool2d_backward,
    answer=reference.global_avg_pool2d_backward,
    cases=_global_cases(),
    read=arrays("dx"),
    traits=(
        Trait("channels larger than 1x1", "channels of 1x1", lambda a: a["x"][0, 0].size > 1),
        *TRAITS[-2:],
    ),
    counts=COUNTS,
    cache=lambda a: functional.global_avg_pool2d_forward(a["x"])[1],
    function=loss(functional.global_avg_pool2d_forward),
    mistakes=(
        _global_mistake(
            "it is not divided: each pixel has the weight 1/(H·W) in the mean",
            lambda dy, x: dy + np.zeros_like(x),
        ),
        _global_mistake(
            "each pixel should get its share: the shape of x is wanted, the same number at all "
            "pixels",
            lambda dy, x: dy / x[0, 0].size,
        ),
        _global_mistake(
            "divided by N·C·H·W; the mean was over H·W pixels",
            lambda dy, x: dy / x.size + np.zeros_like(x),
        ),
        _global_mistake(
            "divided by N·C, images times channels; the mean was over the H·W pixels",
            lambda dy, x: dy / dy.size + np.zeros_like(x),
        ),
        _global_mistake(
            "dy is multiplied by x: the slope of a mean does not depend on x",
            lambda dy, x: dy * x / x[0, 0].size,
        ),
        _global_mistake(
            "only the first pixel of each channel gets a gradient; all of them entered the mean",
            lambda dy, x: dy / x[0, 0].size * np.eye(1, x[0, 0].size).reshape(x[0, 0].shape),
        ),
    ),
    hints=(
        "y[n, c] is the sum of the channel's pixels divided by H·W: what is the slope of each?",
        "Every pixel receives dy[n, c]/(H·W): give dy the shape (N, C, 1, 1) and broadcast it to "
        "x's.",
    ),
)

EXERCISES = (avg_pool2d_backward, global_avg_pool2d_backward)
