"""Batch normalisation of images, channel by channel."""

from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, check_same_dtype, check_shape
from npsqueeze.kernels import channel_moments, normalize_backward, normalize_forward


class BatchNormCache(NamedTuple):
    """The input, the moments that it was normalised with, and whether these came from it."""

    x: Array
    mean: Array
    inverse_std: Array
    w: Array
    training: bool


def batch_norm2d_forward(
    x: Array,
    w: Array,
    b: Array,
    running_mean: Array,
    running_var: Array,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, BatchNormCache]:
    r"""Give every channel mean b and standard deviation w.

    .. math:: y = w \hat x + b, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}

    In training, μ and σ² are the mean and the variance of the channel over the batch (N·H·W
    numbers), and the running statistics move towards them *in place*:
    running = (1 - momentum)·running + momentum·batch, with the unbiased variance as PyTorch has it.
    In inference μ and σ² are the running statistics.

    Parameters
    ----------
    x : (N, C, H, W)
    w, b, running_mean, running_var : (C,)

    Returns
    -------
    y : (N, C, H, W)
    cache : for `batch_norm2d_backward`

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape than stated, or training gets one number a channel.

    References
    ----------
    Ioffe & Szegedy, "Batch Normalization", 2015, algorithm 1.
    """
    x = as_float_array("x", x, 4)
    n, channels, height, width = x.shape
    statistics = {"w": w, "b": b, "running_mean": running_mean, "running_var": running_var}
    for name, array in statistics.items():
        check_shape(name, as_float_array(name, array, 1), (channels,))
    check_same_dtype(x=x, **statistics)
    count = n * height * width
    if training and count < 2:
        raise ValueError(f"x: expected more than one number a channel in training, got {x.shape}")

    pixels = x.reshape(n, channels, height * width)
    if training:
        mean, variance = np.empty(channels), np.empty(channels)
        channel_moments(pixels, mean, variance)
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (variance * count / (count - 1) - running_var)
    else:
        mean, variance = running_mean, running_var
    mean, inverse_std = mean.astype(x.dtype), (1 / np.sqrt(variance + eps)).astype(x.dtype)
    y = np.empty_like(pixels)
    normalize_forward(pixels, mean, inverse_std, *map(np.ascontiguousarray, (w, b)), y)
    return y.reshape(x.shape), BatchNormCache(
        x, mean, inverse_std, np.ascontiguousarray(w), training
    )


def batch_norm2d_backward(dy: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    r"""Return (dx, dw, db).

    From y = w·x̂ + b: db = Σ dy and dw = Σ dy·x̂, over the m = N·H·W numbers of a channel. In
    training x acts in three ways, by itself, through μ and through σ; their sum is

    .. math:: dx = \frac{w}{\sqrt{\sigma^2 + \epsilon}}
              \left(dy - \frac{1}{m}\sum dy - \frac{\hat x}{m} \sum dy\,\hat x\right).

    (So dx has no mean and no component along x̂: normalisation would undo such a change.) In
    inference the moments are constants and dx = w·dy/√(σ² + ε).
    """
    x, mean, inverse_std, w, training = cache
    dy = as_float_array("dy", dy, 4)
    check_same_dtype(dy=dy, x=x)
    check_shape("dy", dy, x.shape)
    pixels = (x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    dx, dw, db = np.empty(pixels, x.dtype), np.empty_like(w), np.empty_like(w)
    # forward: y = w * (x - mean) * inverse_std + b
    normalize_backward(
        dy.reshape(pixels), x.reshape(pixels), mean, inverse_std, w, dx, dw, db, training
    )
    return dx.reshape(x.shape), dw, db
