"""Exercises of notebook 01: output sizes and convolution."""

import math
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
    number_array,
)
from npsqueeze.exercises.padding import one_sided

NOTEBOOK = "01_arrays_and_convolution.ipynb"
OPTIONS = ("stride", "padding", "dilation")

TRAITS = (
    Trait("stride 2", "stride 1", lambda a: a["stride"] == 2),
    Trait("a stride above 1", "stride 1", lambda a: a["stride"] > 1),
    Trait("padding", "no padding", lambda a: a["padding"] > 0),
    Trait("a dilation above 1", "dilation 1", lambda a: a["dilation"] > 1),
    Trait("a batch of one", "a larger batch", lambda a: a["x"].shape[0] == 1),
    Trait("images that are not square", "square images", lambda a: np.ptp(a["x"].shape[2:]) > 0),
    Trait("a y that is not square", "a square y", lambda a: np.ptp(out_size(a)) > 0),
    Trait("kernels larger than 1x1", "1x1 kernels", lambda a: math.prod(kernel_size(a)) > 1),
    Trait("kernels that are not square", "square kernels", lambda a: np.ptp(kernel_size(a)) > 0),
    Trait(
        "windows that do not reach the last pixels",
        "windows that end at the border",
        lambda a: any(_left_over(a)),
    ),
)
COUNTS = {
    "N (the batch size)": lambda a: a["x"].shape[0],
    "P (the number of output pixels)": lambda a: math.prod(out_size(a)),
    "N·P (batch size times output pixels)": lambda a: a["x"].shape[0] * math.prod(out_size(a)),
    "kh·kw (the kernel's size)": lambda a: math.prod(kernel_size(a)),
    "C (the number of channels)": lambda a: a["x"].shape[1],
}  # fmt: skip

# (N, C, H, W), F, (kh, kw), stride, padding, dilation: from the simplest to the hardest; in the
# first one N, C, H, F, k and oh all differ, so that no shape fits by chance
SIZES = (
    ((2, 4, 7, 7), 6, (3, 3), 1, 0, 1),
    ((3, 2, 7, 7), 4, (3, 3), 2, 0, 1),
    ((3, 2, 5, 5), 4, (3, 3), 1, 1, 1),
    ((3, 2, 7, 7), 4, (3, 3), 1, 0, 2),
    ((3, 2, 4, 4), 5, (1, 1), 1, 0, 1),
    ((3, 2, 5, 7), 4, (3, 3), 1, 0, 1),
    ((3, 2, 5, 5), 4, (3, 2), 1, 0, 1),
    ((1, 3, 5, 5), 2, (3, 3), 1, 0, 1),
    ((3, 2, 6, 6), 4, (3, 3), 2, 0, 1),
    ((2, 3, 7, 7), 2, (2, 2), 3, 0, 1),
    ((3, 2, 8, 9), 4, (2, 3), 2, 2, 2),
)


def windows(a: Arguments) -> tuple[int, int, int]:
    """Return stride, padding and dilation."""
    return a["stride"], a["padding"], a["dilation"]


def kernel_size(a: Arguments) -> tuple[int, ...]:
    """Return (kh, kw), from `kernel_size` or from the shape of w."""
    return tuple(a["kernel_size"] if "kernel_size" in a else a["w"].shape[2:])


def out_size(a: Arguments) -> tuple[int, int]:
    """Return (oh, ow)."""
    height, width = (
        functional.output_size(size, k, *windows(a))
        for size, k in zip(a["x"].shape[2:], kernel_size(a), strict=True)
    )
    return height, width


def _left_over(a: Arguments) -> list[int]:
    reach = [a["dilation"] * (k - 1) + 1 for k in kernel_size(a)]
    return [
        (size + 2 * a["padding"] - r) % a["stride"]
        for size, r in zip(a["x"].shape[2:], reach, strict=True)
    ]


def forward_cases() -> list[Arguments]:
    """Return the arguments of a convolution for all `SIZES`."""
    draw = np.random.default_rng(1)
    return [
        {
            "x": draw.normal(size=shape),
            "w": draw.normal(size=(filters, shape[1], *kernel)),
            "b": draw.normal(size=filters),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        for shape, filters, kernel, stride, padding, dilation in SIZES
    ]


def _convolve(a: Arguments, **changed: Any) -> Array:
    a = a | changed
    return functional.conv2d_forward(a["x"], a["w"], a["b"], *windows(a))[0]


def _forward_mistake(meaning: str, **change: Any) -> Mistake:
    """Return the mistake of convolving with some arguments changed, each by a function."""

    def wrong(a: Arguments, _: Results) -> dict[str, Array]:
        return {"y": _convolve(a, **{name: value(a) for name, value in change.items()})}

    return Mistake(meaning, wrong)


EXCHANGED = (
    "stride and dilation are exchanged: the stride moves the window, the dilation spreads its "
    "pixels"
)
CONVOLUTION_NOT_CORRELATION = (
    "the kernel is flipped: that is convolution, not cross-correlation; w[i, j] belongs to the "
    "pixel i rows below and j columns right of the window's corner"
)

conv2d_forward = Exercise(
    name="conv2d_forward",
    notebook=NOTEBOOK,
    solution=functional.conv2d_forward,
    answer=reference.conv2d,
    cases=forward_cases(),
    read=arrays("y", forward=True),
    traits=TRAITS,
    counts=COUNTS,
    mistakes=(
        _forward_mistake(CONVOLUTION_NOT_CORRELATION, w=lambda a: a["w"][:, :, ::-1, ::-1]),
        _forward_mistake("the bias is missing", b=lambda a: 0 * a["b"]),
        _forward_mistake(
            "the bias is added once for every channel, that is C times",
            b=lambda a: a["w"].shape[1] * a["b"],
        ),
        _forward_mistake(
            "the bias is added once for every weight; add it once, after the sum",
            b=lambda a: a["w"][0].size * a["b"],
        ),
        _forward_mistake("the padding is ignored", padding=lambda _: 0),
        _forward_mistake("the stride is ignored", stride=lambda _: 1),
        _forward_mistake("the dilation is ignored", dilation=lambda _: 1),
        _forward_mistake(EXCHANGED, stride=lambda a: a["dilation"], dilation=lambda a: a["stride"]),
        _forward_mistake(
            "only the last channel counts: add the channels up (is there an = where += belongs?)",
            x=lambda a: a["x"][:, -1:],
            w=lambda a: a["w"][:, -1:],
        ),
        _forward_mistake(
            "only the first channel counts: add the channels up",
            x=lambda a: a["x"][:, :1],
            w=lambda a: a["w"][:, :1],
        ),
        _forward_mistake(
            "rows and columns of the kernel are exchanged", w=lambda a: _square(a["w"])
        ),
        _forward_mistake(
            "all of the padding lies below and on the right; half of it belongs above and on the "
            "left",
            x=one_sided,
            padding=lambda _: 0,
        ),
        _forward_mistake(
            "the padding repeats the border; it should be zero",
            x=lambda a: np.pad(a["x"], ((0, 0), (0, 0), *2 * ((a["padding"],) * 2,)), mode="edge"),
            padding=lambda _: 0,
        ),
    ),
    hints=(
        "The size of y: F.output_size(H, kh, stride, padding, dilation), and the same for the "
        "width.",
        "Pad x with zeros once (np.pad), then no index can leave the image.",
        "The pixel under weight [c, i, j] of window (p, q) is padded[n, c, p·stride + i·dilation, "
        "q·stride + j·dilation].",
        "y[n, f, p, q] is b[f] plus the sum over c, i and j of weight times pixel.",
    ),
)


def _square(w: Array) -> Array:
    if w.shape[2] != w.shape[3]:
        raise ValueError("only a square kernel can be transposed")
    return w.swapaxes(2, 3)


def _read_size(value: Any, arguments: Arguments) -> Results:
    if isinstance(value, float | np.floating):
        raise Trouble(
            f"it returned {value!r}, a float; a number of windows is an int (divide by //, which "
            "rounds down)"
        )
    return {"size": number_array("size", value)}


def _size(a: Arguments, rounded: Any = math.floor, **changed: int) -> Any:
    a = a | changed
    reach = a["dilation"] * (a["kernel_size"] - 1) + 1
    return rounded((a["size"] + 2 * a["padding"] - reach) / a["stride"]) + 1


def _size_mistake(meaning: str, wrong: Any) -> Mistake:
    return Mistake(meaning, lambda a, right: {"size": wrong(a, right["size"])})


def _with_wrong_reach(a: Arguments, _: Any) -> Any:
    return _size(a, kernel_size=a["dilation"] * a["kernel_size"], dilation=1)


SIZE_NAMES = ("size", "kernel_size", *OPTIONS)
output_size = Exercise(
    name="output_size",
    notebook=NOTEBOOK,
    solution=functional.output_size,
    answer=reference.output_size,
    cases=[
        dict(zip(SIZE_NAMES, values, strict=True))
        for values in (
            (5, 3, 1, 0, 1), (7, 3, 2, 0, 1), (32, 3, 1, 1, 1), (7, 3, 1, 0, 2), (6, 3, 2, 0, 1),
            (5, 5, 1, 0, 1), (227, 7, 2, 0, 1), (224, 7, 2, 0, 1), (9, 2, 3, 2, 3), (4, 1, 4, 0, 1),
        )
    ],
    read=_read_size,
    traits=(
        Trait("a stride above 1", "stride 1", lambda a: a["stride"] > 1),
        Trait("padding", "no padding", lambda a: a["padding"] > 0),
        Trait("a dilation above 1", "dilation 1", lambda a: a["dilation"] > 1),
    ),
    mistakes=(
        _size_mistake("one too few: the window at place 0 counts too (+ 1)", lambda _, r: r - 1),
        _size_mistake("one too many", lambda _, r: r + 1),
        _size_mistake("rounded up; a window that hangs over the border does not count here, so "
                      "round down",
                      lambda a, _: _size(a, math.ceil)),
        _size_mistake("rounded to the nearest; a window that hangs over the border does not count "
                      "here, so round down", lambda a, _: _size(a, round)),
        _size_mistake("the padding is counted once: it is on both sides",
                      lambda a, _: _size(a, size=a["size"] - a["padding"])),
        _size_mistake("the padding is ignored", lambda a, _: _size(a, padding=0)),
        _size_mistake("the stride is ignored", lambda a, _: _size(a, stride=1)),
        _size_mistake("the dilation is ignored: a window reaches dilation·(kernel_size - 1) + 1 "
                      "pixels", lambda a, _: _size(a, dilation=1)),
        _size_mistake("a window reaches dilation·(kernel_size - 1) + 1 pixels, not "
                      "dilation·kernel_size", _with_wrong_reach),
    ),
    hints=(
        "How far does one window reach? With dilation d its pixels stand d apart.",
        "How far can the first window move until its last pixel leaves the padded image?",
        "It moves in steps of the stride, and it starts at 0: one more than the number of steps.",
    ),
)  # fmt: skip

EXERCISES = (output_size, conv2d_forward)
