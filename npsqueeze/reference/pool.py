"""Max pooling, average pooling and global average pooling."""

import math

import numpy as np

from npsqueeze.arrays import Array, check_shape, pair
from npsqueeze.reference.sizes import output_size


def max_pool2d(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
) -> Array:
    """Return y (N, C, oh, ow): the largest value of x (N, C, H, W) in each window.

    The padding counts as -inf. A window with a NaN has the maximum NaN. Without a stride, the
    windows stand side by side (stride = kernel_size).

    Derived in tutorials/04_pooling.ipynb.

    Raises
    ------
    ValueError
        If no window fits, or the padding is more than half of the window.
    """
    rows, columns = _windows(x, kernel_size, stride, padding, ceil_mode)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        y[n, c, p, q] = x[n, c][_argmax(x[n, c], rows[p], columns[q])]
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
) -> Array:
    """Return dx (N, C, H, W): each dy goes to the first maximum of its window.

    A pixel that is the maximum of several windows receives the sum.

    Derived in tutorials/04_pooling.ipynb.
    """
    rows, columns = _windows(x, kernel_size, stride, padding, ceil_mode)
    check_shape("dy", dy, (*x.shape[:2], len(rows), len(columns)))
    dx = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(dy.shape):
        # y[n, c, p, q] = x[n, c][argmax]
        dx[n, c][_argmax(x[n, c], rows[p], columns[q])] += dy[n, c, p, q]
    return dx.astype(x.dtype)


def avg_pool2d(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Return y (N, C, oh, ow): the mean of x (N, C, H, W) over each window.

    The padding counts as zeros (`count_include_pad`) or not at all. What a window covers beyond
    the padding, in ceil mode, never counts.

    Derived in tutorials/04_pooling.ipynb.

    Raises
    ------
    ValueError
        If no window fits, or the padding is more than half of the window.
    """
    rows, columns = _windows(x, kernel_size, stride, padding, ceil_mode)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for n, c, p, q in np.ndindex(y.shape):
        pixels = _pixels(x[n, c], rows[p], columns[q])
        divisor = len(rows[p]) * len(columns[q]) if count_include_pad else len(pixels)
        for pixel in pixels:
            y[n, c, p, q] += x[n, c][pixel] / divisor
    return y.astype(x.dtype)


def avg_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Return dx (N, C, H, W): each dy is shared equally among the pixels of its window.

    Derived in tutorials/04_pooling.ipynb.
    """
    rows, columns = _windows(x, kernel_size, stride, padding, ceil_mode)
    check_shape("dy", dy, (*x.shape[:2], len(rows), len(columns)))
    dx = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(dy.shape):
        pixels = _pixels(x[n, c], rows[p], columns[q])
        divisor = len(rows[p]) * len(columns[q]) if count_include_pad else len(pixels)
        for pixel in pixels:
            # y[n, c, p, q] += x[n, c][pixel] / divisor
            dx[n, c][pixel] += dy[n, c, p, q] / divisor
    return dx.astype(x.dtype)


def global_avg_pool2d(x: Array) -> Array:
    """Return y (N, C): the mean of each channel of x (N, C, H, W).

    Derived in tutorials/04_pooling.ipynb.

    Source: Lin, Chen & Yan, Network in network (2014), section 3.2.
    """
    N, C, H, W = x.shape
    y = np.zeros((N, C))
    for n, c, h, w in np.ndindex(x.shape):
        y[n, c] += x[n, c, h, w] / (H * W)
    return y.astype(x.dtype)


def global_avg_pool2d_backward(dy: Array, x: Array) -> Array:
    """Return dx (N, C, H, W): each dy (N, C) is shared equally among the pixels of its channel.

    Derived in tutorials/04_pooling.ipynb.
    """
    N, C, H, W = x.shape
    check_shape("dy", dy, (N, C))
    dx = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        # y[n, c] += x[n, c, h, w] / (H * W)
        dx[n, c, h, w] = dy[n, c] / (H * W)
    return dx


def _windows(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: int | tuple[int, int],
    ceil_mode: bool,
) -> tuple[list[range], list[range]]:
    """Return the rows that each window covers, and the columns: padding included, no more."""
    kernel = pair("kernel_size", kernel_size, 1)
    step = kernel if stride is None else pair("stride", stride, 1)
    pad = pair("padding", padding, 0)
    if 2 * pad[0] > kernel[0] or 2 * pad[1] > kernel[1]:
        raise ValueError(f"padding: expected at most half of kernel_size {kernel}, got {pad}")
    axes = []
    for size, k, s, p in zip(x.shape[2:], kernel, step, pad, strict=True):
        starts = [o * s - p for o in range(output_size(size, k, s, p, ceil_mode=ceil_mode))]
        axes.append([range(start, min(start + k, size + p)) for start in starts])
    return axes[0], axes[1]


def _pixels(plane: Array, rows: range, columns: range) -> list[tuple[int, int]]:
    """Return the pixels (h, w) of a window that lie inside plane (H, W), in row-major order."""
    H, W = plane.shape
    return [(h, w) for h in rows for w in columns if 0 <= h < H and 0 <= w < W]


def _argmax(plane: Array, rows: range, columns: range) -> tuple[int, int]:
    """Return the pixel (h, w) of a window where plane (H, W) has its first maximum, or a NaN."""
    pixels = _pixels(plane, rows, columns)
    best = pixels[0]
    for pixel in pixels:
        # Of several NaN PyTorch takes the last, and so do we.
        if plane[pixel] > plane[best] or math.isnan(plane[pixel]):
            best = pixel
    return best
