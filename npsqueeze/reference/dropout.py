"""Dropout with a given mask."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def dropout(x: Array, mask: Array, p: float) -> Array:
    """Return y = mask x / (1 - p), element by element.

    The mask (bool, the shape of x) is true where a value is kept, which happens with probability
    1 - p. Dividing by that probability keeps the expected value: E[y] = x.

    Derived in tutorials/11_training_on_cifar10.ipynb.

    Source: Srivastava et al. (2014), with the scaling moved from test time to training time.

    Raises
    ------
    ValueError
        If mask has not the shape of x, or p is not in [0, 1).
    """
    check_shape("mask", mask, x.shape)
    if not 0 <= p < 1:
        raise ValueError(f"p: expected a probability of at least 0 and below 1, got {p}")
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        y[index] = mask[index] * x[index] / (1 - p)
    return y


def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """Return dx = mask dy / (1 - p): dropout is linear, so its backward is itself.

    Derived in tutorials/11_training_on_cifar10.ipynb.
    """
    return dropout(dy, mask, p)
