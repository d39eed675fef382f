"""Batch normalisation over the pixels of each channel."""

import math

import numpy as np

from npsqueeze.arrays import Array, check_shape


def batch_norm2d(
    x: Array,
    w: Array,
    b: Array,
    running_mean: Array,
    running_var: Array,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Return y (N, C, H, W) for x (N, C, H, W); all other arrays are (C,).

        y = w[c] (x - μ[c]) / √(σ²[c] + eps) + b[c]     for each number x of channel c

    In training, μ and σ² are mean and variance of the batch (σ² divides by m = N·H·W), and the
    running statistics are updated in place, the variance without bias (divided by m - 1):

        running ← (1 - momentum) running + momentum statistic

    In inference, μ and σ² are the running statistics.

    Derived in tutorials/10_optimisation.ipynb.

    Source: Ioffe & Szegedy (2015), algorithms 1 and 2.

    Raises
    ------
    ValueError
        If an array has not shape (C,), or a channel has a single value in training.
    """
    N, C, H, W = x.shape
    m = N * H * W
    statistics = {"running_mean": running_mean, "running_var": running_var}
    for name, array in {"w": w, "b": b, **statistics}.items():
        check_shape(name, array, (C,))
    if training:
        if m < 2:
            raise ValueError(f"x: expected more than one value per channel, got shape {x.shape}")
        mean, var = _batch_statistics(x)
        for c in range(C):
            unbiased = var[c] * m / (m - 1)
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean[c]
            running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased
    else:
        mean, var = running_mean, running_var
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        c = index[1]
        normalised = (x[index] - mean[c]) / math.sqrt(var[c] + eps)
        y[index] = w[c] * normalised + b[c]
    return y


def batch_norm2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    running_mean: Array,
    running_var: Array,
    training: bool = True,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Return dx (N, C, H, W), dw (C,) and db (C,).

    With x̂ = (x - μ) / √(σ² + eps):

        db = Σ dy        dw = Σ dy x̂        dx = w / √(σ² + eps) (dy - db / m - x̂ dw / m)

    The last two terms are the way through μ and σ², which depend on x in training only: in
    inference they fall away.

    Derived in tutorials/10_optimisation.ipynb.
    """
    N, C, H, W = x.shape
    m = N * H * W
    check_shape("dy", dy, x.shape)
    mean, var = _batch_statistics(x) if training else (running_mean, running_var)
    dx, dw, db = np.zeros_like(x), np.zeros(C), np.zeros(C)
    for index in np.ndindex(x.shape):
        c = index[1]
        normalised = (x[index] - mean[c]) / math.sqrt(var[c] + eps)
        # y[index] = w[c] * normalised + b[c]
        dw[c] += dy[index] * normalised
        db[c] += dy[index]
    for index in np.ndindex(x.shape):
        c = index[1]
        normalised = (x[index] - mean[c]) / math.sqrt(var[c] + eps)
        centred = dy[index]
        if training:
            centred = centred - db[c] / m - normalised * dw[c] / m
        dx[index] = w[c] / math.sqrt(var[c] + eps) * centred
    return dx, dw.astype(x.dtype), db.astype(x.dtype)


def _batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and biased variance of each channel of x (N, C, H, W), in float64."""
    N, C, H, W = x.shape
    mean, var = np.zeros(C), np.zeros(C)
    for index in np.ndindex(x.shape):
        mean[index[1]] += x[index] / (N * H * W)
    for index in np.ndindex(x.shape):
        var[index[1]] += (x[index] - mean[index[1]]) ** 2 / (N * H * W)
    return mean, var
