"""Max pooling, average pooling, global average pooling."""

from typing import NamedTuple

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array, as_float_array, as_gradient
from npsqueeze.functional.windows import Windows, pool_windows


class MaxPoolCache(NamedTuple):
    """The winner of each window, as its place h·W + w in the image, and the shape of x."""

    winner: Array
    x_shape: tuple[int, ...]
    dtype: np.dtype[np.floating]


class GlobalAvgPoolCache(NamedTuple):
    """The shape and the type of x."""

    x_shape: tuple[int, ...]
    dtype: np.dtype[np.floating]


class AvgPoolCache(NamedTuple):
    """The windows, the number that each window's sum was divided by, and the shape of x."""

    windows: Windows
    divisor: Array
    x_shape: tuple[int, ...]


def max_pool2d_forward(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
) -> tuple[Array, MaxPoolCache]:
    r"""Return the maximum of each window.

    .. math:: y_{ncpq} = \max_{ij} x_{n,c,\,ps+i-a,\,qs+j-a}

    with stride s, padding a, and x = -∞ outside. The first maximum in row-major order is the
    window's winner; a NaN wins over all numbers.

    Derived in tutorials/04_pooling.ipynb.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, padding : int or (vertical, horizontal)
        The stride is the kernel size unless given; the padding is at most half the kernel size.
    ceil_mode : bool
        Whether a last window that hangs over the border counts; see `output_size`.

    Returns
    -------
    y : (N, C, oh, ow)
    cache : for `max_pool2d_backward`

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or no window fits.
    """
    x = as_float_array("x", x, 4)
    windows = pool_windows(kernel_size, stride, padding, ceil_mode)
    y = np.empty((*x.shape[:2], *windows.output_size(*x.shape[2:])), x.dtype)
    winner = np.empty(y.shape, np.int32)
    kernels.max_pool_forward(x, y, winner, windows.kernel_size, windows.stride, windows.padding)
    return y, MaxPoolCache(winner, x.shape, x.dtype)


def max_pool2d_backward(dy: Array, cache: MaxPoolCache) -> Array:
    """Return dx: each window's gradient goes to its maximum alone, the first one in a tie.

    A pixel that is the maximum of several windows receives the sum.

    Derived in tutorials/04_pooling.ipynb.
    """
    dy = as_gradient(dy, cache.winner.shape, cache.dtype)
    dx = np.empty(cache.x_shape, dy.dtype)
    # forward: y = x[winner]
    kernels.max_pool_backward(dy, cache.winner, dx)
    return dx


def avg_pool2d_forward(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, AvgPoolCache]:
    r"""Return the mean of each window.

    .. math:: y_{ncpq} = \frac{1}{d_{pq}} \sum_{ij} x_{n,c,\,ps+i-a,\,qs+j-a}

    with stride s, padding a, and x = 0 outside. d is the number of pixels of the window that lie in
    the padded image or, without `count_include_pad`, in the image.

    Derived in tutorials/04_pooling.ipynb.

    Parameters and errors are those of `max_pool2d_forward`.

    Returns
    -------
    y : (N, C, oh, ow)
    cache : for `avg_pool2d_backward`
    """
    x = as_float_array("x", x, 4)
    windows = pool_windows(kernel_size, stride, padding, ceil_mode)
    out_size = windows.output_size(*x.shape[2:])
    along_axes = zip(
        out_size, x.shape[2:], windows.kernel_size, windows.stride, windows.padding, strict=True
    )
    rows, columns = (_pixels_counted(*along, count_include_pad) for along in along_axes)
    divisor = np.outer(rows, columns).astype(x.dtype)
    y = np.empty((*x.shape[:2], *out_size), x.dtype)
    kernels.avg_pool_forward(x, y, divisor, windows.kernel_size, windows.stride, windows.padding)
    return y, AvgPoolCache(windows, divisor, x.shape)


def avg_pool2d_backward(dy: Array, cache: AvgPoolCache) -> Array:
    """Return dx: each pixel receives dy/d from every window that it lies in.

    Derived in tutorials/04_pooling.ipynb.
    """
    windows, divisor, x_shape = cache
    dy = as_gradient(dy, (*x_shape[:2], *divisor.shape), divisor.dtype)
    dx = np.empty(x_shape, dy.dtype)
    # forward: y = sum(window) / divisor
    kernels.avg_pool_backward(dy, dx, divisor, windows.kernel_size, windows.stride, windows.padding)
    return dx


def global_avg_pool2d_forward(x: Array) -> tuple[Array, GlobalAvgPoolCache]:
    """Return the mean of each channel, (N, C), of x, (N, C, H, W), and the cache.

    Derived in tutorials/04_pooling.ipynb.

    Raises
    ------
    TypeError, ValueError
        If x is no array of float32 or float64 numbers with four dimensions.

    Source: Lin, Chen & Yan, "Network in Network", 2014, section 3.2.
    """
    x = as_float_array("x", x, 4)
    return x.mean(axis=(2, 3)), GlobalAvgPoolCache(x.shape, x.dtype)


def global_avg_pool2d_backward(dy: Array, cache: GlobalAvgPoolCache) -> Array:
    """Return dx, (N, C, H, W): each of the H·W pixels receives dy/(H·W).

    Derived in tutorials/04_pooling.ipynb.
    """
    height, width = cache.x_shape[2:]
    dy = as_gradient(dy, cache.x_shape[:2], cache.dtype)
    # forward: y = x.mean(axis=(2, 3))
    return np.broadcast_to((dy / (height * width))[:, :, None, None], cache.x_shape).copy()


def _pixels_counted(
    count: int, size: int, kernel_size: int, stride: int, padding: int, include_padding: bool
) -> Array:
    """Return, for each window along one axis, the number of pixels that its mean divides by."""
    start = np.arange(count) * stride - padding
    end = np.minimum(start + kernel_size, size + padding)
    if not include_padding:
        start, end = np.maximum(start, 0), np.minimum(end, size)
    return end - start
