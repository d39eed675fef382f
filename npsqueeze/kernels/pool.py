"""Max and average pooling; one task an image plane, so that no two threads write one element."""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange


@kernel(parallel=True)
def max_pool_forward(
    x: Array, y: Array, winner: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Write each window's maximum and, in `winner`, its place h·W + w: the first one in a tie.

    x is (N, C, H, W), -inf outside; y and winner (int32) are (N, C, oh, ow). A NaN is greater than
    all numbers, and of several the last one wins. The maximum is taken down the columns first,
    because that runs along whole rows of memory and vectorises, then across a window's columns.
    """
    channels, height, width = x.shape[1:]
    for plane in prange(x.shape[0] * channels):
        n, c = plane // channels, plane % channels
        highest, place = np.empty(width, x.dtype), np.empty(width, np.int32)
        for p in range(y.shape[2]):
            top, bottom = window(p, kernel_size[0], stride[0], padding[0], height)
            column_maxima(x[n, c], top, bottom, highest, place)
            for q in range(y.shape[3]):
                left, right = window(q, kernel_size[1], stride[1], padding[1], width)
                best, where = highest[left], place[left]
                for w in range(left + 1, right):
                    wins = (
                        (highest[w] > best)
                        | ((highest[w] == best) & (place[w] < where))
                        | ((highest[w] != highest[w]) & ((best == best) | (place[w] > where)))
                    )
                    best = highest[w] if wins else best
                    where = place[w] if wins else where
                y[n, c, p, q] = best
                winner[n, c, p, q] = where


@kernel()
def column_maxima(image: Array, top: int, bottom: int, highest: Array, place: Array) -> None:
    """Write the maximum of each column over the rows top..bottom-1, and its place."""
    width = image.shape[1]
    for w in range(width):
        highest[w] = image[top, w]
        place[w] = top * width + w
    for h in range(top + 1, bottom):
        for w in range(width):
            value = image[h, w]
            # `|` and a choice of values: no jump that the CPU would have to guess
            wins = (value > highest[w]) | (value != value)
            highest[w] = value if wins else highest[w]
            place[w] = np.int32(h * width + w) if wins else place[w]


@kernel(parallel=True)
def max_pool_backward(dy: Array, winner: Array, dx: Array) -> None:
    """Hand each window's gradient to its winner; one that won several windows gets the sum."""
    channels, width = dx.shape[1], dx.shape[3]
    for plane in prange(dx.shape[0] * channels):
        n, c = plane // channels, plane % channels
        target = dx[n, c]
        target[:] = 0
        for p in range(dy.shape[2]):
            for q in range(dy.shape[3]):
                place = winner[n, c, p, q]
                target[place // width, place % width] += dy[n, c, p, q]


@kernel(parallel=True)
def avg_pool_forward(
    x: Array, y: Array, divisor: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Write each window's sum divided by divisor[p, q]; x is zero outside."""
    channels, height, width = x.shape[1:]
    for plane in prange(x.shape[0] * channels):
        n, c = plane // channels, plane % channels
        source = x[n, c]
        for p in range(y.shape[2]):
            top, bottom = window(p, kernel_size[0], stride[0], padding[0], height)
            for q in range(y.shape[3]):
                left, right = window(q, kernel_size[1], stride[1], padding[1], width)
                total = x.dtype.type(0)
                for h in range(top, bottom):
                    for w in range(left, right):
                        total += source[h, w]
                y[n, c, p, q] = total / divisor[p, q]


@kernel(parallel=True)
def avg_pool_backward(
    dy: Array, dx: Array, divisor: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Hand each window's gradient to all of its pixels, in equal parts."""
    channels, height, width = dx.shape[1:]
    for plane in prange(dx.shape[0] * channels):
        n, c = plane // channels, plane % channels
        target = dx[n, c]
        target[:] = 0
        for p in range(dy.shape[2]):
            top, bottom = window(p, kernel_size[0], stride[0], padding[0], height)
            for q in range(dy.shape[3]):
                left, right = window(q, kernel_size[1], stride[1], padding[1], width)
                part = dy[n, c, p, q] / divisor[p, q]
                for h in range(top, bottom):
                    for w in range(left, right):
                        target[h, w] += part


@kernel()
def window(index: int, kernel_size: int, stride: int, padding: int, size: int) -> tuple[int, int]:
    """Return the range of pixels that window `index` covers, cut at the borders of the image."""
    start = index * stride - padding
    return max(start, 0), min(start + kernel_size, size)
