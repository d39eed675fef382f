"""im2col: every window of an image becomes a column, so that a convolution is a matrix product."""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.windows import window_pixels, with_outside


@kernel(parallel=True)
def im2col(
    x: Array, columns: Array,
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int],
) -> None:  # fmt: skip
    """Write columns[n, c, i, j, p, q] = x[n, c, p·stride + i·dilation - padding, …].

    Parameters
    ----------
    x : (N, C, H, W)
        Zero outside.
    columns : (N, C, kh, kw, oh, ow)
        One matrix of C·kh·kw rows and oh·ow columns an image.
    """
    planes = x.shape[0] * x.shape[1]
    images, entries = x.reshape(planes, -1), columns.reshape(planes, -1)
    kernel_size, out_size = columns.shape[2:4], columns.shape[4:]
    pixels = window_pixels(x.shape[2:], kernel_size, out_size, stride, padding, dilation).ravel()
    for plane in prange(planes):
        image = with_outside(images[plane], 0)
        for k in range(pixels.size):
            entries[plane, k] = image[pixels[k]]


@kernel(parallel=True)
def col2im(
    columns: Array, x: Array,
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int],
) -> None:  # fmt: skip
    """Write x[n, c, h, w] = the sum of all entries of `columns` that im2col copies from there.

    The transpose of `im2col`: where windows overlap, their entries add up. Shapes as there.
    """
    planes = x.shape[0] * x.shape[1]
    images, entries = x.reshape(planes, -1), columns.reshape(planes, -1)
    kernel_size, out_size = columns.shape[2:4], columns.shape[4:]
    pixels = window_pixels(x.shape[2:], kernel_size, out_size, stride, padding, dilation).ravel()
    for plane in prange(planes):
        image = np.zeros(images.shape[1] + 1, x.dtype)
        for k in range(pixels.size):
            image[pixels[k]] += entries[plane, k]
        images[plane] = image[:-1]  # the last sum is that of the entries from outside
