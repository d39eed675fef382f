"""Convolution as a matrix product: im2col lays every window out as a column."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, as_gradient, check_same_dtype, check_shape
from npsqueeze.functional.im2col import im2col
from npsqueeze.functional.windows import Windows, conv_windows
from npsqueeze.kernels import col2im, gemm

COLUMN_BYTES = 4 << 20
"""The column matrix is built for as many images at a time as fill this, not for the batch."""


class ConvCache(NamedTuple):
    """What the backward pass needs; no column matrix: it is built again from x."""

    x: Array
    w: Array
    has_bias: bool
    windows: Windows
    groups: int


def conv2d_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> tuple[Array, ConvCache]:
    r"""Slide the filters w over the images x (cross-correlation, as everywhere in deep learning).

    .. math:: y_{nfpq} = b_f + \sum_{cij} w_{fcij}\, x_{n,c,\,ps+id-a,\,qs+jd-a}

    with stride s, dilation d, padding a, and x zero outside. Written as matrices, with each
    window as one column of col(x), this is Y = W·col(x) + b for every image.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Parameters
    ----------
    x : (N, C, H, W)
    w : (F, C/groups, kh, kw)
    b : (F,), optional
    stride, padding, dilation : int or (vertical, horizontal)
    groups : int
        Filters f of group g see only the channels of group g.

    Returns
    -------
    y : (N, F, oh, ow), oh = floor((H + 2·padding - dilation·(kh - 1) - 1)/stride) + 1
    cache : for `conv2d_backward`

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape than stated, or no window fits.

    References
    ----------
    Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document
    Processing", 2006 (unrolling a convolution into a matrix product).
    """
    x, w = as_float_array("x", x, 4), as_float_array("w", w, 4)
    b = None if b is None else as_float_array("b", b, 1)
    check_same_dtype(x=x, w=w, b=b)
    filters, channels = w.shape[:2]
    if not isinstance(groups, int | np.integer) or groups < 1 or filters % groups:
        raise ValueError(f"groups: expected a divisor of {filters} filters, got {groups}")
    check_shape("x", x, (len(x), channels * groups, *x.shape[2:]))
    if b is not None:
        check_shape("b", b, (filters,))
    windows = conv_windows((w.shape[2], w.shape[3]), stride, padding, dilation)
    cache = ConvCache(x, w, b is not None, windows, groups)

    y = np.empty((len(x), filters, *windows.output_size(*x.shape[2:])), x.dtype)
    for images in _image_blocks(cache):
        gemm(
            _by_group(w, groups),
            _columns(x[images], cache),
            _as_matrices(y[images], groups),
            transpose_a=False,
            transpose_b=False,
        )
    if b is not None:
        y += b[:, None, None]
    return y, cache


def conv2d_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array | None]:
    """Return the gradients (dx, dw, db) of a convolution; db is None where there was no bias.

    The forward pass is Y = W·col(x) + b for each image, so

        dW = Σ_n dY·col(x)ᵀ,   col(x) receives Wᵀ·dY,   db = Σ_npq dy.

    col(x) copies each pixel to all windows that see it; its gradient is therefore the sum of what
    those windows receive: dx = col2im(Wᵀ·dY).

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Parameters
    ----------
    dy : (N, F, oh, ow)
    cache : from `conv2d_forward`

    Returns
    -------
    dx : (N, C, H, W)
    dw : (F, C/groups, kh, kw)
    db : (F,) or None
    """
    x, w, has_bias, windows, groups = cache
    dy = as_gradient(dy, (len(x), len(w), *windows.output_size(*x.shape[2:])), x.dtype)
    dx, dw = np.empty_like(x), np.zeros_like(w)
    pointwise = _is_pointwise(cache)
    for images in _image_blocks(cache):
        columns, dy_matrices = _columns(x[images], cache), _as_matrices(dy[images], groups)
        # forward: y = w · columns; seen from w
        dw += _sum_of_products(dy_matrices, columns, groups).reshape(w.shape)
        # forward: y = w · columns; seen from the columns
        dcolumns = _as_matrices(dx[images], groups) if pointwise else np.empty_like(columns)
        gemm(_by_group(w, groups), dy_matrices, dcolumns, transpose_a=True, transpose_b=False)
        # forward: columns = im2col(x), or x itself
        if not pointwise:
            spread = dcolumns.reshape(-1, x.shape[1], *windows.kernel_size, *dy.shape[2:])
            col2im(spread, dx[images], windows.stride, windows.padding, windows.dilation)
    # forward: y += b[:, None, None]
    db = dy.sum(axis=(0, 2, 3)) if has_bias else None
    return dx, dw, db


def _sum_of_products(dy: Array, columns: Array, groups: int) -> Array:
    """Return Σ_n dY·col(x)ᵀ for each group: (groups, F/groups, K).

    The kernel copies its second factor, so the smaller one comes second: where there are fewer
    filters than rows in a column, the transposed sum Σ_n col(x)·dYᵀ is computed instead. The images
    are added up in a few shares, which the cores can work on side by side; their number depends on
    the batch only.
    """
    swap = dy.shape[1] < columns.shape[1]
    first, second = (columns, dy) if swap else (dy, columns)
    shares = math.gcd(len(dy) // groups, 8)
    sums = np.empty((groups * shares, first.shape[1], second.shape[1]), dy.dtype)
    first, second = _group_major(first, groups), _group_major(second, groups)
    gemm(first, second, sums, transpose_a=False, transpose_b=True)
    dw = sums.reshape(groups, shares, *sums.shape[1:]).sum(axis=1)
    return dw.swapaxes(1, 2) if swap else dw


def _is_pointwise(cache: ConvCache) -> bool:
    """Tell whether the image is its own column matrix: 1x1 windows that touch each pixel once."""
    windows = cache.windows
    return windows.kernel_size == windows.stride == (1, 1) and windows.padding == (0, 0)


def _columns(x: Array, cache: ConvCache) -> Array:
    """Return col(x) as a matrix of K/groups rows and P columns for each image and group."""
    if _is_pointwise(cache):
        return _as_matrices(x, cache.groups)
    kernel_size, stride, padding, dilation, _ = cache.windows
    columns = im2col(x, kernel_size, stride, padding, dilation)
    return columns.reshape(len(x) * cache.groups, -1, columns.shape[2])


def _image_blocks(cache: ConvCache) -> Iterator[slice]:
    """Cut the batch into blocks of images whose column matrices are small."""
    x, windows = cache.x, cache.windows
    out_height, out_width = windows.output_size(*x.shape[2:])
    kernel_height, kernel_width = windows.kernel_size
    column_bytes = x.shape[1] * kernel_height * kernel_width * x.itemsize
    image_bytes = column_bytes * out_height * out_width
    block = len(x) if _is_pointwise(cache) else max(1, COLUMN_BYTES // image_bytes)
    return (slice(start, start + block) for start in range(0, len(x), block))


def _as_matrices(images: Array, groups: int) -> Array:
    """View (n, channels, h, w) as (n·groups, channels/groups, h·w)."""
    n, channels, height, width = images.shape
    return images.reshape(n * groups, channels // groups, height * width)


def _by_group(w: Array, groups: int) -> Array:
    """View the filters (F, C/groups, kh, kw) as (groups, F/groups, K)."""
    return w.reshape(groups, len(w) // groups, -1)


def _group_major(matrices: Array, groups: int) -> Array:
    """Order (n·groups, …) matrices by group, then by image; a copy only where groups > 1."""
    by_image = matrices.reshape(-1, groups, *matrices.shape[1:])
    return np.ascontiguousarray(by_image.swapaxes(0, 1)).reshape(matrices.shape)
