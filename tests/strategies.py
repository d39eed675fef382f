"""Hypothesis strategies and helpers that the tests share.

A case holds shapes and hyperparameters that fit together, and makes its own arrays from its seed:

    @given(conv_cases())
    def test_something(case):
        x, w, b = case.arrays(np.float64)
        y, cache = conv2d_forward(x, w, b, **case.options)
        dy = random_array(case.seed + 1, y.shape, y.dtype)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from npsqueeze.arrays import Array

Pair = tuple[int, int]

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
layouts = st.sampled_from(["contiguous", "channels_last", "sliced"])


def random_array(
    seed: int | Sequence[int], shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64
) -> Array:
    """Return standard normal numbers: the same for both dtypes, up to rounding."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def in_layout(array: Array, layout: str) -> Array:
    """Return a copy of `array` (N, C, H, W), equal in value, that lies otherwise in memory."""
    if layout == "channels_last":
        return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if layout == "sliced":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array.copy()


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Assert equal shapes and max|actual - expected| < tolerance * max|expected|.

    Where `expected` is NaN or infinite, `actual` must be the same; where `expected` is zero
    throughout (or empty), `actual` must equal it.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    error = np.max(np.abs(actual[finite] - expected[finite]), initial=0.0)
    scale = np.max(np.abs(expected[finite]), initial=0.0)
    assert error == 0 or error < tolerance * scale, (
        f"largest error {error:.3g} at a largest value of {scale:.3g}, tolerance {tolerance:.3g}"
    )


@dataclass(frozen=True)
class ConvCase:
    """A convolution: x (N, C, H, W), w (F, C/groups, kh, kw), with or without a bias (F,)."""

    x_shape: tuple[int, int, int, int]
    w_shape: tuple[int, int, int, int]
    bias: bool
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    seed: int

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of conv2d."""
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def arrays(self, dtype: npt.DTypeLike = np.float64) -> tuple[Array, Array, Array | None]:
        """Return x, w and b."""
        x = random_array((self.seed, 0), self.x_shape, dtype)
        w = random_array((self.seed, 1), self.w_shape, dtype)
        b = random_array((self.seed, 2), self.w_shape[:1], dtype) if self.bias else None
        return x, w, b


@dataclass(frozen=True)
class PoolCase:
    """A pooling of x (N, C, H, W); with `ties`, many values of x are equal."""

    x_shape: tuple[int, int, int, int]
    kernel_size: Pair
    stride: Pair
    padding: Pair
    ceil_mode: bool
    ties: bool
    seed: int

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of max_pool2d, all of which avg_pool2d takes as well."""
        names = ("kernel_size", "stride", "padding", "ceil_mode")
        return {name: getattr(self, name) for name in names}

    def array(self, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return x."""
        x = random_array((self.seed, 0), self.x_shape, dtype)
        return x.round() if self.ties else x


@st.composite
def conv_cases(draw: st.DrawFn, max_kernel: int = 3, max_groups: int = 3) -> ConvCase:
    """Draw a valid convolution: odd sizes, windows that do not divide, a batch of one or two."""
    groups = draw(st.integers(1, max_groups))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))  # of one group
    kernel, stride, padding, dilation, size = [], [], [], [], []
    for _ in range(2):  # vertical, horizontal
        kernel.append(draw(st.integers(1, max_kernel)))
        stride.append(draw(st.integers(1, 3)))
        padding.append(draw(st.integers(0, 2)))
        dilation.append(draw(st.integers(1, 2)))
        smallest = max(1, dilation[-1] * (kernel[-1] - 1) + 1 - 2 * padding[-1])
        size.append(draw(st.integers(smallest, smallest + 5)))
    return ConvCase(
        x_shape=(draw(st.integers(1, 2)), groups * channels, size[0], size[1]),
        w_shape=(groups * filters, channels, kernel[0], kernel[1]),
        bias=draw(st.booleans()),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
        seed=draw(seeds),
    )


@st.composite
def pool_cases(draw: st.DrawFn, max_kernel: int = 4) -> PoolCase:
    """Draw a valid pooling: the padding is at most half of the window, as PyTorch demands."""
    ceil_mode = draw(st.booleans())
    kernel, stride, padding, size = [], [], [], []
    for _ in range(2):  # vertical, horizontal
        kernel.append(draw(st.integers(1, max_kernel)))
        stride.append(draw(st.integers(1, 3)))
        padding.append(draw(st.integers(0, kernel[-1] // 2)))
        # In ceil mode the only window may stick out of the input.
        overhang = stride[-1] - 1 if ceil_mode else 0
        smallest = max(1, kernel[-1] - 2 * padding[-1] - overhang)
        size.append(draw(st.integers(smallest, smallest + 6)))
    return PoolCase(
        x_shape=(draw(st.integers(1, 2)), draw(st.integers(1, 3)), size[0], size[1]),
        kernel_size=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        ceil_mode=ceil_mode,
        ties=draw(st.booleans()),
        seed=draw(seeds),
    )
