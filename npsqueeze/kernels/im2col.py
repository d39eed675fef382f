"""im2col: every window of an image becomes a column, so that a convolution is a matrix product."""

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange


@kernel(parallel=True)
def im2col(
    x: Array, columns: Array, kernel_size: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int], dilation: tuple[int, int], out_size: tuple[int, int],
) -> None:  # fmt: skip
    """Write columns[n, c, i, j, p, q] = x[n, c, p·stride + i·dilation - padding, …].

    Parameters
    ----------
    x : (N, C, H, W)
        Zero outside.
    columns : (N, C, kh, kw, oh, ow)
        One matrix of C·kh·kw rows and oh·ow columns an image.
    """
    channels, height, width = x.shape[1:]
    for plane in prange(x.shape[0] * channels):
        n, c = plane // channels, plane % channels
        for i in range(kernel_size[0]):
            for j in range(kernel_size[1]):
                left = j * dilation[1] - padding[1]
                first, last = inside(left, stride[1], width, out_size[1])
                for p in range(out_size[0]):
                    row = columns[n, c, i, j, p]
                    h = p * stride[0] + i * dilation[0] - padding[0]
                    if h < 0 or h >= height:
                        row[:] = 0
                        continue
                    source = x[n, c, h]
                    row[:first] = 0
                    if stride[1] == 1:  # a straight copy, which the compiler turns into vectors
                        for q in range(first, last):
                            row[q] = source[q + left]
                    else:
                        for q in range(first, last):
                            row[q] = source[q * stride[1] + left]
                    row[last:] = 0


@kernel(parallel=True)
def col2im(
    columns: Array, x: Array, stride: tuple[int, int],
    padding: tuple[int, int], dilation: tuple[int, int],
) -> None:  # fmt: skip
    """Write x[n, c, h, w] = the sum of all entries of `columns` that im2col copies from there.

    The transpose of `im2col`: where windows overlap, their entries add up. Shapes as there.
    """
    channels, height, width = x.shape[1:]
    kernel_height, kernel_width, out_height, out_width = columns.shape[2:]
    for plane in prange(x.shape[0] * channels):
        n, c = plane // channels, plane % channels
        x[n, c] = 0
        for i in range(kernel_height):
            for j in range(kernel_width):
                left = j * dilation[1] - padding[1]
                first, last = inside(left, stride[1], width, out_width)
                for p in range(out_height):
                    h = p * stride[0] + i * dilation[0] - padding[0]
                    if h < 0 or h >= height:
                        continue
                    row, target = columns[n, c, i, j, p], x[n, c, h]
                    if stride[1] == 1:
                        for q in range(first, last):
                            target[q + left] += row[q]
                    else:
                        for q in range(first, last):
                            target[q * stride[1] + left] += row[q]


@kernel()
def inside(left: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """Return the range of q in 0..count-1 with 0 <= q·stride + left < size."""
    first = min(count, max(0, (-left + stride - 1) // stride))
    last = max(first, min(count, (size - left + stride - 1) // stride))
    return first, last
