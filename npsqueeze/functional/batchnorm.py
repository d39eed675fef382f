"""Batch normalisation of images, channel by channel."""

from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, as_gradient, check_same_dtype, check_shape
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

    Derived in tutorials/10_optimisation.ipynb.

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
        If an array has another type or shape than stated, training gets one number a channel, or
        the running statistics, which it updates, are read-only.

    References
    ----------
    Ioffe & Szegedy, "Batch Normalization", 2015, algorithm 1.
    """
    x, w, b = as_float_array("x", x, 4), as_float_array("w", w, 1), as_float_array("b", b, 1)
    mean = as_float_array("running_mean", running_mean, 1)
    variance = as_float_array("running_var", running_var, 1)
    n, channels, height, width = x.shape
    per_channel = {"w": w, "b": b, "running_mean": mean, "running_var": variance}
    for name, array in per_channel.items():
        check_shape(name, array, (channels,))
    check_same_dtype(x=x, **per_channel)
    count = n * height * width
    if training and count < 2:
        raise ValueError(f"x: expected more than one number a channel in training, got {x.shape}")

    if training and not (running_mean.flags.writeable and running_var.flags.writeable):
        raise ValueError("running_mean, running_var: expected writable arrays in training")

    pixels = x.reshape(n, channels, height * width)
    if training:
        mean, variance = np.empty(channels), np.empty(channels)
        channel_moments(pixels, mean, variance)
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (variance * count / (count - 1) - running_var)
    mean, inverse_std = mean.astype(x.dtype), (1 / np.sqrt(variance + eps)).astype(x.dtype)
    y = np.empty_like(pixels)
    normalize_forward(pixels, mean, inverse_std, w, b, y)
    return y.reshape(x.shape), BatchNormCache(x, mean, inverse_std, w, training)


def batch_norm2d_backward(dy: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    r"""Return (dx, dw, db).

    From y = w·x̂ + b: db = Σ dy and dw = Σ dy·x̂, over the m = N·H·W numbers of a channel. In
    training x acts in three ways, by itself, through μ and through σ; their sum is

    .. math:: dx = \frac{w}{\sqrt{\sigma^2 + \epsilon}}
              \left(dy - \frac{1}{m}\sum dy - \frac{\hat x}{m} \sum dy\,\hat x\right).

    (So dx has no mean and no component along x̂: normalisation would undo such a change.) In
    inference the moments are constants and dx = w·dy/√(σ² + ε).

    Derived in tutorials/10_optimisation.ipynb.
    """
    x, mean, inverse_std, w, training = cache
    dy = as_gradient(dy, x.shape, x.dtype)
    pixels = (x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    dx, dw, db = np.empty(pixels, x.dtype), np.empty_like(w), np.empty_like(w)
    # forward: y = w * (x - mean) * inverse_std + b
    normalize_backward(
        dy.reshape(pixels), x.reshape(pixels), mean, inverse_std, w, dx, dw, db, training
    )
    return dx.reshape(x.shape), dw, db
