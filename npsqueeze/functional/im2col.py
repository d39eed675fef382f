"""im2col lays every window of an image out as a column; col2im adds the columns up again."""

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array, as_float_array, check_shape
from npsqueeze.functional.windows import conv_windows


def im2col(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Array:
    r"""Return the column matrix of every image: a row for each weight, a column for each window.

    .. math:: \mathrm{col}(x)_{n,\,(c,i,j),\,(p,q)} = x_{n,c,\,ps+id-a,\,qs+jd-a}

    with stride s, dilation d, padding a, and x zero outside. Row and column numbers count (c, i, j)
    and (p, q) in row-major order.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, padding, dilation : int or (vertical, horizontal)

    Returns
    -------
    columns : (N, K, P)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or no window fits.
    """
    x = as_float_array("x", x, 4)
    windows = conv_windows(kernel_size, stride, padding, dilation)
    out_size = windows.output_size(*x.shape[2:])
    columns = np.empty((*x.shape[:2], *windows.kernel_size, *out_size), x.dtype)
    kernels.im2col(x, columns, windows.stride, windows.padding, windows.dilation)
    return columns.reshape(len(x), -1, out_size[0] * out_size[1])


def col2im(
    columns: Array,
    x_shape: tuple[int, int, int, int],
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Array:
    """Return the image whose pixels are the sums of all their copies in the columns.

    The backward pass of `im2col` (its transpose, not its inverse): where im2col copies a pixel into
    several windows, the gradient of the pixel is the sum of the gradients of the copies.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Parameters
    ----------
    columns : (N, K, P)
    x_shape : (N, C, H, W)
    kernel_size, stride, padding, dilation : int or (vertical, horizontal)

    Returns
    -------
    dx : (N, C, H, W)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or no window fits.
    """
    columns = as_float_array("columns", columns, 3)
    if len(x_shape) != 4 or min(x_shape) < 1:
        raise ValueError(f"x_shape: expected (N, C, H, W), each at least 1, got {x_shape}")
    n, channels, height, width = x_shape
    windows = conv_windows(kernel_size, stride, padding, dilation)
    split = (n, channels, *windows.kernel_size, *windows.output_size(height, width))
    rows, pixels = channels * split[2] * split[3], split[4] * split[5]
    check_shape("columns", columns, (n, rows, pixels))
    dx = np.empty(x_shape, columns.dtype)
    # forward: columns[n, (c, i, j), (p, q)] = x[n, c, p·s + i·d - a, q·s + j·d - a]
    kernels.col2im(columns.reshape(split), dx, windows.stride, windows.padding, windows.dilation)
    return dx
