"""Max and average pooling; one task an image plane, so that no two threads write one element."""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.windows import window_pixels, with_outside


@kernel(parallel=True)
def max_pool_forward(
    x: Array, y: Array, winner: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Write each window's maximum and, in `winner`, its place h·W + w: the first one in a tie.

    x is (N, C, H, W), -inf outside; y and winner (int32) are (N, C, oh, ow). A NaN is greater than
    all numbers, and of several the last one wins.
    """
    planes, outside = x.shape[0] * x.shape[1], np.int32(x.shape[2] * x.shape[3])
    images, maxima = x.reshape(planes, -1), y.reshape(planes, -1)
    winners = winner.reshape(planes, -1)
    pixels = window_pixels(x.shape[2:], kernel_size, y.shape[2:], stride, padding, (1, 1))
    for plane in prange(planes):
        image = with_outside(images[plane], -np.inf)
        largest, places = maxima[plane], winners[plane]
        largest[:], places[:] = -np.inf, outside
        values = np.empty_like(largest)
        for k in range(pixels.shape[0]):
            for p in range(values.size):
                values[p] = image[pixels[k, p]]
            # Two loops, because this one can be vectorised: `|` and a choice of values, no jumps.
            for p in range(values.size):
                value, best, place, candidate = values[p], largest[p], places[p], pixels[k, p]
                wins = (value > best) | (value != value) | (place == outside)
                largest[p] = value if wins else best
                places[p] = np.int32(candidate) if wins else place


@kernel(parallel=True)
def max_pool_backward(dy: Array, winner: Array, dx: Array) -> None:
    """Hand each window's gradient to its winner; one that won several windows gets the sum."""
    planes = dx.shape[0] * dx.shape[1]
    gradients, winners = dy.reshape(planes, -1), winner.reshape(planes, -1)
    images = dx.reshape(planes, -1)
    for plane in prange(planes):
        images[plane] = 0
        for p in range(gradients.shape[1]):
            images[plane, winners[plane, p]] += gradients[plane, p]


@kernel(parallel=True)
def avg_pool_forward(
    x: Array, y: Array, divisor: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Write each window's sum divided by divisor[p, q]; x is zero outside."""
    planes, divisors = x.shape[0] * x.shape[1], divisor.reshape(-1)
    images, means = x.reshape(planes, -1), y.reshape(planes, -1)
    pixels = window_pixels(x.shape[2:], kernel_size, y.shape[2:], stride, padding, (1, 1))
    for plane in prange(planes):
        image = with_outside(images[plane], 0)
        for p in range(pixels.shape[1]):
            total = x.dtype.type(0)
            for k in range(pixels.shape[0]):
                total += image[pixels[k, p]]
            means[plane, p] = total / divisors[p]


@kernel(parallel=True)
def avg_pool_backward(
    dy: Array, dx: Array, divisor: Array,
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
) -> None:  # fmt: skip
    """Hand each window's gradient to all of its pixels, in equal parts."""
    planes, divisors = dx.shape[0] * dx.shape[1], divisor.reshape(-1)
    gradients, images = dy.reshape(planes, -1), dx.reshape(planes, -1)
    pixels = window_pixels(dx.shape[2:], kernel_size, dy.shape[2:], stride, padding, (1, 1))
    for plane in prange(planes):
        image = np.zeros(images.shape[1] + 1, dx.dtype)
        for p in range(pixels.shape[1]):
            part = gradients[plane, p] / divisors[p]
            for k in range(pixels.shape[0]):
                image[pixels[k, p]] += part
        images[plane] = image[:-1]
