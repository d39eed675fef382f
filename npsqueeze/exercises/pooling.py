"""Exercises of notebook 04: max, average and global average pooling."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.columns import CORNER, EMPTIED, TOO_LARGE, emptied
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays

NOTEBOOK = "04_pooling.ipynb"
OPTIONS = ("kernel_size", "stride", "padding", "ceil_mode")

# (N, C, H, W), kernel_size, stride, padding, ceil_mode: from the simplest to the hardest
SIZES = (
    ((2, 3, 6, 6), 2, 2, 0, False),
    ((2, 3, 5, 5), 3, 1, 0, False),
    ((2, 3, 7, 7), 3, 2, 0, False),
    ((2, 3, 5, 7), 3, 2, 0, False),
    ((1, 3, 7, 7), 3, 2, 0, False),
    ((2, 3, 6, 6), 3, 3, 1, False),
    ((2, 3, 6, 6), 3, 2, 0, True),
    ((2, 3, 7, 8), 2, 3, 0, False),
    ((3, 2, 8, 7), 3, 2, 1, True),
)


def _options(a: Arguments) -> tuple[Any, ...]:
    return tuple(a[name] for name in OPTIONS)


def _hangs_over(a: Arguments) -> bool:
    reach = [size + 2 * a["padding"] - a["kernel_size"] for size in a["x"].shape[2:]]
    return a["ceil_mode"] and any(room % a["stride"] for room in reach)


def _has_ties(a: Arguments) -> bool:
    return len(np.unique(a["x"])) < a["x"].size


TRAITS = (
    Trait("ties", "inputs without ties", _has_ties),
    Trait("a stride other than kernel_size", "stride = kernel_size",
          lambda a: a["stride"] != a["kernel_size"]),
    Trait("windows that overlap", "windows side by side", lambda a: a["stride"] < a["kernel_size"]),
    Trait("padding", "no padding", lambda a: a["padding"] > 0),
    Trait("ceil mode", "floor mode", lambda a: a["ceil_mode"]),
    Trait("windows that hang over the border", "windows inside the image", _hangs_over),
    Trait("a batch of one", "a larger batch", lambda a: len(a["x"]) == 1),
    Trait("images that are not square", "square images", lambda a: np.ptp(a["x"].shape[2:]) > 0),
)  # fmt: skip
COUNTS = {
    "N (the batch size)": lambda a: len(a["x"]),
    "k² (the pixels of a window)": lambda a: a.get("kernel_size", 1) ** 2,
    "H·W (the pixels of a channel)": lambda a: a["x"][0, 0].size,
    "H (the height)": lambda a: a["x"].shape[2],
}


def _cases(draw: np.random.Generator, ties: bool) -> list[Arguments]:
    inputs = [draw.normal(size=shape) for shape, *_ in SIZES]
    # all below zero, where padding with zeros shows
    cases = [
        {"x": x - 3 if padding else x}
        | dict(zip(OPTIONS, (size, stride, padding, ceil_mode), strict=True))
        for x, (_, size, stride, padding, ceil_mode) in zip(inputs, SIZES, strict=True)
    ]
    if ties:
        # like the output of a ReLU: many zeros
        tied = np.maximum(draw.integers(-3, 3, (2, 3, 7, 7)), 0).astype(float)
        cases += [{"x": tied} | dict(zip(OPTIONS, (3, 2, 0, False), strict=True))]
        cases += [{"x": tied[:1]} | dict(zip(OPTIONS, (2, 2, 0, True), strict=True))]
    return cases


def _with_dy(cases: list[Arguments], draw: np.random.Generator) -> list[Arguments]:
    return [{"dy": draw.normal(size=reference.max_pool2d(*a.values()).shape)} | a for a in cases]


Window = tuple[tuple[int, int, int, int], list[tuple[int, int]]]


def _windows(a: Arguments) -> Iterator[Window]:
    """Yield the place (n, c, p, q) of each result, and the pixels (h, w) of its window."""
    _, _, height, width = a["x"].shape
    size, stride, padding, ceil_mode = _options(a)
    rows, columns = (
        functional.output_size(extent, size, stride, padding, ceil_mode=ceil_mode)
        for extent in (height, width)
    )
    for n, c, p, q in np.ndindex(*a["x"].shape[:2], rows, columns):
        corner = p * stride - padding, q * stride - padding
        pixels = [(corner[0] + i, corner[1] + j) for i, j in np.ndindex(size, size)]
        yield (n, c, p, q), [(h, w) for h, w in pixels if 0 <= h < height and 0 <= w < width]


def _forward_mistake(meaning: str, formula: Callable[[Arguments], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"y": formula(a)})


def _zero_padded_maximum(a: Arguments) -> Array:
    padded = np.pad(a["x"], ((0, 0), (0, 0), *2 * ((a["padding"],) * 2,)))
    inner = reference.max_pool2d(padded, a["kernel_size"], a["stride"], 0, a["ceil_mode"])
    right = reference.max_pool2d(*a.values())
    return inner[:, :, : right.shape[2], : right.shape[3]]


def _over_the_channels(y: Array) -> Array:
    return np.broadcast_to(y.max(axis=1, keepdims=True), y.shape)


def _wrapped(a: Arguments) -> Array:
    """Return the maxima where an index below 0 counts from the end."""
    before, after = a["padding"], a["padding"] + a["kernel_size"]
    x = np.pad(a["x"], ((0, 0), (0, 0), *2 * ((before, 0),)), mode="wrap")
    x = np.pad(x, ((0, 0), (0, 0), *2 * ((0, after),)), constant_values=-np.inf)
    right = reference.max_pool2d(*a.values())
    return reference.max_pool2d(x, a["kernel_size"], a["stride"])[
        :, :, : right.shape[2], : right.shape[3]
    ]


max_pool2d_forward = Exercise(
    name="max_pool2d_forward",
    notebook=NOTEBOOK,
    solution=functional.max_pool2d_forward,
    answer=reference.max_pool2d,
    cases=_cases(np.random.default_rng(7), ties=False),
    read=arrays("y", forward=True),
    traits=TRAITS[1:],
    counts=COUNTS,
    mistakes=(
        _forward_mistake(
            "outside the image there should be -inf, not 0: where all pixels are negative, the "
            "padding wins",
            _zero_padded_maximum,
        ),
        _forward_mistake(
            "ceil mode is ignored: a window that hangs over the border is missing",
            lambda a: reference.max_pool2d(*(a | {"ceil_mode": False}).values()),
        ),
        _forward_mistake(
            "ceil mode always: a window that hangs over the border counts in ceil mode only",
            lambda a: reference.max_pool2d(*(a | {"ceil_mode": True}).values()),
        ),
        _forward_mistake(
            "the stride is ignored: the windows stand side by side",
            lambda a: reference.max_pool2d(*(a | {"stride": a["kernel_size"]}).values()),
        ),
        _forward_mistake(
            "the stride is ignored: the windows move by 1",
            lambda a: reference.max_pool2d(*(a | {"stride": 1}).values()),
        ),
        _forward_mistake(
            "the padding is ignored",
            lambda a: reference.max_pool2d(*(a | {"padding": 0}).values()),
        ),
        *(
            _forward_mistake(
                "that is the mean of each window; its largest number is wanted",
                lambda a, counted=counted: reference.avg_pool2d(
                    *a.values(), count_include_pad=counted
                ),  # type: ignore[misc]
            )
            for counted in (True, False)
        ),
        _forward_mistake(
            "the search starts with 0, which wins where all pixels are negative: start with -inf, "
            "or with a pixel of the window",
            lambda a: np.maximum(reference.max_pool2d(*a.values()), 0),
        ),
        _forward_mistake(
            "the maximum runs over the channels too; each channel is pooled by itself",
            lambda a: _over_the_channels(reference.max_pool2d(*a.values())),
        ),
        _forward_mistake(
            "at the upper and left border an index below 0 counts from the other end (x[-1] is the "
            "last row): leave those pixels out",
            lambda a: _wrapped(a),
        ),
        _forward_mistake(
            "that is the minimum of each window",
            lambda a: -reference.max_pool2d(*(a | {"x": -a["x"]}).values()),
        ),
        _forward_mistake(
            "that is the largest magnitude; the largest number is wanted",
            lambda a: reference.max_pool2d(*(a | {"x": np.abs(a["x"])}).values()),
        ),
    ),
    hints=(
        "The size of y: F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode).",
        "Pad x with -inf. In ceil mode a last window may hang over even that: pad more below and "
        "on the right, or cut the window.",
        "Window (p, q) starts at row p·stride and column q·stride of the padded image.",
    ),
)


def _routed(a: Arguments, share: Callable[[Array, Array], Array]) -> Array:
    """Return dx where each window gives its pixels dy times a share of its values and places."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in _windows(a):
        values = np.array([a["x"][n, c, h, w] for h, w in pixels])
        for (h, w), part in zip(pixels, share(values, np.arange(len(values))), strict=True):
            dx[n, c, h, w] += part * a["dy"][n, c, p, q]
    return dx


def _assigned(a: Arguments) -> Array:
    """Return dx with = instead of +=, window after window."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in _windows(a):
        dx[n, c][max(pixels, key=lambda pixel: a["x"][n, c][pixel])] = a["dy"][n, c, p, q]
    return dx


def _assigned_first(a: Arguments) -> Array:
    """Return dx where of several windows the first one counts."""
    dx, taken = np.zeros_like(a["x"]), np.zeros_like(a["x"], bool)
    for (n, c, p, q), pixels in _windows(a):
        place = n, c, *max(pixels, key=lambda pixel: a["x"][n, c][pixel])
        if not taken[place]:
            dx[place], taken[place] = a["dy"][n, c, p, q], True
    return dx


def _dx_mistake(meaning: str, share: Callable[[Array, Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"dx": _routed(a, share)})


def _beyond(a: Arguments, share: Callable[[Array, Array], Array]) -> Array:
    """Return dx of the padded image."""
    edges = (0, 0), (0, 0), *2 * ((a["padding"],) * 2,)
    padded = np.pad(a["x"], edges, constant_values=-np.inf)
    return _routed(a | {"x": padded, "padding": 0}, share)


def _padding_mistakes(share: Callable[[Array, Array], Array]) -> tuple[Mistake, ...]:
    """Return the mistakes of cutting the padding off dx not at all, or wrongly."""

    def corner(a: Arguments, right: Array) -> Array:
        return _beyond(a, share)[:, :, : right.shape[2], : right.shape[3]]

    return (
        Mistake(TOO_LARGE, lambda a, _: {"dx": _beyond(a, share)}),
        Mistake(CORNER, lambda a, right: {"dx": corner(a, right["dx"])}),
        Mistake(EMPTIED, lambda a, right: {"dx": emptied(a, right["dx"])}),
    )


def _without_corner(a: Arguments) -> Array:
    """Return dx where a place within the window is taken for one within the image."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in _windows(a):
        h, w = max(pixels, key=lambda pixel: a["x"][n, c][pixel])
        dx[n, c, h - pixels[0][0], w - pixels[0][1]] += a["dy"][n, c, p, q]
    return dx


def _loss(forward: Callable[..., Any]) -> Callable[[Arguments], tuple[Any, list[Array]]]:
    def function(a: Arguments) -> tuple[Any, list[Array]]:
        options = _options(a) if "kernel_size" in a else ()
        return lambda x: float(np.sum(a["dy"] * forward(x, *options)[0])), [a["x"]]

    return function


ADD = (
    "where windows overlap only one of them counts: a pixel can be the maximum of several, so add "
    "(+=; with arrays as indices np.add.at, since dx[rows, columns] += adds once to each place)"
)

max_pool2d_backward = Exercise(
    name="max_pool2d_backward",
    notebook=NOTEBOOK,
    solution=functional.max_pool2d_backward,
    answer=reference.max_pool2d_backward,
    cases=_with_dy(_cases(np.random.default_rng(8), ties=True), np.random.default_rng(9)),
    read=arrays("dx"),
    traits=TRAITS,
    counts=COUNTS,
    cache=lambda a: functional.max_pool2d_forward(a["x"], *_options(a))[1],
    function=_loss(functional.max_pool2d_forward),
    mistakes=(
        _dx_mistake(
            "ties: both maxima got the gradient (so a tie doubles it); the first one in row-major "
            "order gets it alone",
            lambda values, _: values == values.max(),
        ),
        _dx_mistake(
            "ties: the gradient is shared among the maxima; the first one in row-major order gets "
            "it alone",
            lambda values, _: (values == values.max()) / np.sum(values == values.max()),
        ),
        _dx_mistake(
            "ties: the last maximum got the gradient; the first one in row-major order gets it "
            "(> instead of >=)",
            lambda values, places: places == np.flatnonzero(values == values.max())[-1],
        ),
        Mistake(ADD, lambda a, _: {"dx": _assigned(a)}),
        Mistake(ADD, lambda a, _: {"dx": _assigned_first(a)}),
        *_padding_mistakes(lambda values, places: places == values.argmax()),
        Mistake(
            "the place within a window is taken for a place within the image: add the window's "
            "corner (p·stride - padding, q·stride - padding)",
            lambda a, _: {"dx": _without_corner(a)},
        ),
        _dx_mistake(
            "every pixel of a window got the gradient; only its maximum reached the loss",
            lambda values, _: np.ones_like(values),
        ),
        _dx_mistake(
            "the gradient is shared among all pixels of a window: that is average pooling",
            lambda values, _: np.ones_like(values) / len(values),
        ),
        _dx_mistake(
            "the gradient goes to the first pixel of each window; it goes to the maximum",
            lambda values, places: places == 0,
        ),
        _dx_mistake(
            "the gradient goes to the minimum; it goes to the maximum",
            lambda values, places: places == values.argmin(),
        ),
        _dx_mistake(
            "dy is multiplied by the maximum; y = x[winner], and the slope of that is 1",
            lambda values, places: values.max() * (places == values.argmax()),
        ),
        Mistake(
            "that is where dy goes, not dy: multiply by it",
            lambda a, _: {
                "dx": _routed(a | {"dy": np.ones_like(a["dy"])}, lambda v, i: i == v.argmax())
            },
        ),
    ),
    hints=(
        "y[n, c, p, q] is a copy of one pixel of x: the first maximum of its window. So dy[n, c, "
        "p, q] goes to that pixel, and to no other.",
        "Go through the windows, find the pixel (np.argmax gives the first in row-major order), "
        "and add dy there: +=, since windows may overlap.",
        "Outside the image there is -inf: pad x with -inf to find the winners, keep dx of the "
        "padded size, and cut the padding off at the end.",
        "In ceil mode the last window may hang over the padded image too: it is cut there.",
    ),
)


def _average_mistake(meaning: str, divisor: Callable[[Arguments, int], float]) -> Mistake:
    """Return the mistake of another divisor, of the arguments and the pixels inside the image."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        return {"dx": _routed(a, lambda values, _: np.ones_like(values) / divisor(a, len(values)))}

    return Mistake(meaning, wrong)


def _average_assigned(a: Arguments) -> Array:
    dx = np.zeros_like(a["x"])
    divisors = functional.avg_pool2d_forward(a["x"], *_options(a))[1].divisor
    for (n, c, p, q), pixels in _windows(a):
        for h, w in pixels:
            dx[n, c, h, w] = a["dy"][n, c, p, q] / divisors[p, q]
    return dx


avg_pool2d_backward = Exercise(
    name="avg_pool2d_backward",
    notebook=NOTEBOOK,
    solution=functional.avg_pool2d_backward,
    answer=reference.avg_pool2d_backward,
    cases=_with_dy(_cases(np.random.default_rng(10), ties=False), np.random.default_rng(11)),
    read=arrays("dx"),
    traits=TRAITS[1:],
    counts=COUNTS,
    cache=lambda a: functional.avg_pool2d_forward(a["x"], *_options(a))[1],
    function=_loss(functional.avg_pool2d_forward),
    mistakes=(
        _average_mistake(
            "it is not divided: each of the k² pixels has the weight 1/k² in the mean",
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
        *_padding_mistakes(lambda values, _: np.ones_like(values) / len(values)),
        Mistake(
            "only the maximum of each window got the gradient: that is max pooling",
            lambda a, _: {"dx": _routed(a, lambda values, places: places == values.argmax())},
        ),
        _average_mistake(
            "divided by k; a window has k² pixels", lambda a, inside: a["kernel_size"]
        ),
        _average_mistake("divided by k² twice", lambda a, inside: a["kernel_size"] ** 4),
    ),
    hints=(
        "y[n, c, p, q] is the sum of its window divided by m: each pixel of the window has the "
        "slope 1/m, so it receives dy[n, c, p, q]/m.",
        "A pixel in several windows receives from each: add (+=).",
        "m is the number of pixels of the window that lie in the padded image: k², but fewer "
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
    function=_loss(functional.global_avg_pool2d_forward),
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

EXERCISES = (
    max_pool2d_forward,
    max_pool2d_backward,
    avg_pool2d_backward,
    global_avg_pool2d_backward,
)
