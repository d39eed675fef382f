"""Patches as columns, and back: what turns a convolution into a matrix product."""

import numpy as np

from npsqueeze.arrays import Array, check_shape, pair
from npsqueeze.reference.sizes import output_size


def im2col(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Array:
    """Return the columns (N, C·kh·kw, oh·ow) of x (N, C, H, W): one column for each window.

        columns[n, (c, i, j), (p, q)] = x[n, c, p sh + i dh, q sw + j dw]

    where x has been padded with zeros, and a bracket stands for the position of its indices in
    row-major order.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Source: Chellapilla, Puri & Simard (2006).
    """
    N, C, H, W = x.shape
    kh, kw = pair("kernel_size", kernel_size, 1)
    (sh, sw), (dh, dw) = pair("stride", stride, 1), pair("dilation", dilation, 1)
    ph, pw = pair("padding", padding, 0)
    oh, ow = output_size(H, kh, sh, ph, dh), output_size(W, kw, sw, pw, dw)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    columns = np.zeros((N, C, kh, kw, oh, ow), x.dtype)
    for n, c, i, j, p, q in np.ndindex(columns.shape):
        columns[n, c, i, j, p, q] = padded[n, c, p * sh + i * dh, q * sw + j * dw]
    return columns.reshape(N, C * kh * kw, oh * ow)


def col2im(
    columns: Array,
    x_shape: tuple[int, int, int, int],
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Array:
    """Return dx (N, C, H, W): each element of columns added to the pixel that it came from.

    This is the backward of `im2col` (its transpose), not its inverse: a pixel that lies in several
    windows receives the sum of all its copies.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.
    """
    N, C, H, W = x_shape
    kh, kw = pair("kernel_size", kernel_size, 1)
    (sh, sw), (dh, dw) = pair("stride", stride, 1), pair("dilation", dilation, 1)
    ph, pw = pair("padding", padding, 0)
    oh, ow = output_size(H, kh, sh, ph, dh), output_size(W, kw, sw, pw, dw)
    check_shape("columns", columns, (N, C * kh * kw, oh * ow))
    split = columns.reshape(N, C, kh, kw, oh, ow)
    padded = np.zeros((N, C, H + 2 * ph, W + 2 * pw))
    for n, c, i, j, p, q in np.ndindex(split.shape):
        # columns[n, c, i, j, p, q] = padded[n, c, p * sh + i * dh, q * sw + j * dw]
        padded[n, c, p * sh + i * dh, q * sw + j * dw] += split[n, c, i, j, p, q]
    return padded[:, :, ph : ph + H, pw : pw + W].astype(columns.dtype)
