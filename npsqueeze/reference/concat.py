"""Concatenation along the channels."""

from collections.abc import Sequence

import numpy as np

from npsqueeze.arrays import Array, check_shape


def concat(arrays: Sequence[Array]) -> Array:
    """Return the arrays (N, C_k, H, W) one after the other: y (N, Σ_k C_k, H, W).

    Derived in tutorials/07_fire.ipynb.

    Raises
    ------
    ValueError
        If the arrays differ in more than their number of channels.
    """
    N, _, H, W = arrays[0].shape
    y = np.zeros((N, sum(x.shape[1] for x in arrays), H, W), arrays[0].dtype)
    first = 0  # the channel of y where the channels of x begin
    for k, x in enumerate(arrays):
        check_shape(f"arrays[{k}]", x, (N, x.shape[1], H, W))
        for n, c, h, w in np.ndindex(x.shape):
            y[n, first + c, h, w] = x[n, c, h, w]
        first += x.shape[1]
    return y


def concat_backward(dy: Array, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return one dx for each of the arrays: its own channels of dy.

    Derived in tutorials/07_fire.ipynb.
    """
    N, _, H, W = arrays[0].shape
    check_shape("dy", dy, (N, sum(x.shape[1] for x in arrays), H, W))
    gradients = []
    first = 0
    for x in arrays:
        dx = np.zeros_like(x)
        for n, c, h, w in np.ndindex(x.shape):
            # y[n, first + c, h, w] = x[n, c, h, w]
            dx[n, c, h, w] = dy[n, first + c, h, w]
        gradients.append(dx)
        first += x.shape[1]
    return tuple(gradients)
