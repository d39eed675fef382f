"""Exercises of notebook 04: max pooling, and what it shares with average pooling."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.padding import cutting_mistakes

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


def options(a: Arguments) -> tuple[Any, ...]:
    """Return kernel_size, stride, padding and ceil_mode."""
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


def cases(draw: np.random.Generator, ties: bool) -> list[Arguments]:
    """Return the arguments of a pooling for all `SIZES`, and with `ties` two more."""
    result: list[Arguments] = []
    for shape, *options_of_case in SIZES:
        x = draw.normal(size=shape)
        a = {"x": x} | dict(zip(OPTIONS, options_of_case, strict=True))
        # all below zero, where padding with zeros shows
        result.append(a | {"x": x - 3} if a["padding"] else a)
    if ties:
        # like the output of a ReLU: many zeros
        tied = np.maximum(draw.integers(-3, 3, (2, 3, 7, 7)), 0).astype(float)
        result += [{"x": tied} | dict(zip(OPTIONS, (3, 2, 0, False), strict=True))]
        result += [{"x": tied[:1]} | dict(zip(OPTIONS, (2, 2, 0, True), strict=True))]
    return result


def with_dy(cases: list[Arguments], draw: np.random.Generator) -> list[Arguments]:
    """Return the cases with a gradient of y in front."""
    return [{"dy": draw.normal(size=reference.max_pool2d(*a.values()).shape)} | a for a in cases]


Window = tuple[tuple[int, int, int, int], list[tuple[int, int]]]


def windows(a: Arguments) -> Iterator[Window]:
    """Yield the place (n, c, p, q) of each result, and the pixels (h, w) of its window."""
    _, _, height, width = a["x"].shape
    size, stride, padding, ceil_mode = options(a)
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
    cases=cases(np.random.default_rng(7), ties=False),
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
            _wrapped,
        ),
        _forward_mistake(
            "that is the maximum of the whole channel; one for each window is wanted",
            lambda a: a["x"].max(axis=(2, 3)),
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


def routed(a: Arguments, share: Callable[[Array, Array], Array]) -> Array:
    """Return dx where each window gives its pixels dy times a share of its values and places."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in windows(a):
        values = np.array([a["x"][n, c, h, w] for h, w in pixels])
        for (h, w), part in zip(pixels, share(values, np.arange(len(values))), strict=True):
            dx[n, c, h, w] += part * a["dy"][n, c, p, q]
    return dx


def _assigned(a: Arguments) -> Array:
    """Return dx with = instead of +=, window after window."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in windows(a):
        dx[n, c][max(pixels, key=lambda pixel: a["x"][n, c][pixel])] = a["dy"][n, c, p, q]
    return dx


def _assigned_first(a: Arguments) -> Array:
    """Return dx where of several windows the first one counts."""
    dx, taken = np.zeros_like(a["x"]), np.zeros_like(a["x"], bool)
    for (n, c, p, q), pixels in windows(a):
        place = n, c, *max(pixels, key=lambda pixel: a["x"][n, c][pixel])
        if not taken[place]:
            dx[place], taken[place] = a["dy"][n, c, p, q], True
    return dx


def _dx_mistake(meaning: str, share: Callable[[Array, Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"dx": routed(a, share)})


def beyond(a: Arguments, share: Callable[[Array, Array], Array]) -> Array:
    """Return dx of the padded image."""
    edges = (0, 0), (0, 0), *2 * ((a["padding"],) * 2,)
    padded = np.pad(a["x"], edges, constant_values=-np.inf)
    return routed(a | {"x": padded, "padding": 0}, share)


def _without_corner(a: Arguments) -> Array:
    """Return dx where a place within the window is taken for one within the image."""
    dx = np.zeros_like(a["x"])
    for (n, c, p, q), pixels in windows(a):
        h, w = max(pixels, key=lambda pixel: a["x"][n, c][pixel])
        dx[n, c, h - pixels[0][0], w - pixels[0][1]] += a["dy"][n, c, p, q]
    return dx


def loss(forward: Callable[..., Any]) -> Callable[[Arguments], tuple[Any, list[Array]]]:
    """Return the maker of the loss Σ dy·y for the arguments of a case, and of its inputs."""

    def function(a: Arguments) -> tuple[Any, list[Array]]:
        given = options(a) if "kernel_size" in a else ()
        return lambda x: float(np.sum(a["dy"] * forward(x, *given)[0])), [a["x"]]

    return function


ADD = (
    "where windows overlap only one of them counts: a pixel may win in several, so add (+= in a "
    "loop; np.add.at with index arrays)"
)

max_pool2d_backward = Exercise(
    name="max_pool2d_backward",
    notebook=NOTEBOOK,
    solution=functional.max_pool2d_backward,
    answer=reference.max_pool2d_backward,
    cases=with_dy(cases(np.random.default_rng(8), ties=True), np.random.default_rng(9)),
    read=arrays("dx"),
    traits=TRAITS,
    counts=COUNTS,
    cache=lambda a: functional.max_pool2d_forward(a["x"], *options(a))[1],
    function=loss(functional.max_pool2d_forward),
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
        *cutting_mistakes(
            "dx", lambda a: beyond(a, lambda values, places: places == values.argmax())
        ),
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
            "the gradient goes to the first pixel of each window; it belongs to the maximum",
            lambda values, places: places == 0,
        ),
        _dx_mistake(
            "the gradient goes to the minimum; it belongs to the maximum",
            lambda values, places: places == values.argmin(),
        ),
        _dx_mistake(
            "dy is multiplied by the maximum; y = x[winner], and the slope of that is 1",
            lambda values, places: values.max() * (places == values.argmax()),
        ),
        Mistake(
            "there is 1 where dy belongs: multiply by dy",
            lambda a, _: {
                "dx": routed(a | {"dy": np.ones_like(a["dy"])}, lambda v, i: i == v.argmax())
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

EXERCISES = (max_pool2d_forward, max_pool2d_backward)
