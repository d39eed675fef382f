"""Batch normalisation's passes over the data; one task a channel.

A sum over a channel first adds the images up pixel by pixel (which vectorises), then the pixels;
always in this order, and in float64.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange


@kernel(parallel=True)
def channel_moments(x: Array, mean: Array, variance: Array) -> None:
    """Write the mean and the (biased) variance of each channel of x (N, C, P), in float64."""
    images, channels, pixels = x.shape
    for c in prange(channels):
        total = np.zeros(pixels, np.float64)
        for n in range(images):
            for p in range(pixels):
                total[p] += x[n, c, p]
        centre = total.sum() / (images * pixels)
        total[:] = 0
        for n in range(images):
            for p in range(pixels):
                total[p] += (x[n, c, p] - centre) ** 2
        mean[c] = centre
        variance[c] = total.sum() / (images * pixels)


@kernel(parallel=True)
def normalize_forward(x: Array, mean: Array, inverse: Array, w: Array, b: Array, y: Array) -> None:
    """Write y = w·(x - mean)·inverse + b for x (N, C, P) and one number of each a channel."""
    for c in prange(x.shape[1]):
        for n in range(x.shape[0]):
            for p in range(x.shape[2]):
                y[n, c, p] = w[c] * ((x[n, c, p] - mean[c]) * inverse[c]) + b[c]


@kernel(parallel=True)
def normalize_backward(
    dy: Array, x: Array, mean: Array, inverse: Array, w: Array,
    dx: Array, dw: Array, db: Array, through_moments: bool,
) -> None:  # fmt: skip
    """Write the gradients of `normalize_forward`, also `through_moments` where these come from x.

    With x̂ = (x - mean)·inverse and m = N·P numbers a channel:
    db = Σ dy, dw = Σ dy·x̂, dx = w·inverse·(dy - (db + x̂·dw)/m), without the bracket's second part
    where the moments are constants.
    """
    images, channels, pixels = x.shape
    for c in prange(channels):
        sum_dy, sum_dy_xhat = np.zeros(pixels, np.float64), np.zeros(pixels, np.float64)
        for n in range(images):
            for p in range(pixels):
                sum_dy[p] += dy[n, c, p]
                sum_dy_xhat[p] += dy[n, c, p] * ((x[n, c, p] - mean[c]) * inverse[c])
        total_dy, total_dy_xhat = sum_dy.sum(), sum_dy_xhat.sum()
        db[c], dw[c] = total_dy, total_dy_xhat
        count = images * pixels
        shift = x.dtype.type(total_dy / count if through_moments else 0.0)
        slope = x.dtype.type(total_dy_xhat / count if through_moments else 0.0)
        scale = w[c] * inverse[c]
        for n in range(images):
            for p in range(pixels):
                xhat = (x[n, c, p] - mean[c]) * inverse[c]
                dx[n, c, p] = scale * (dy[n, c, p] - shift - xhat * slope)
