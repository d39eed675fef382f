"""The rectified linear unit."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def relu(x: Array) -> Array:
    """Return y = max(x, 0), element by element; NaN stays NaN.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Source: Nair & Hinton (2010).
    """
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        # Not "if x > 0": NaN compares false with everything, and must come through.
        if not x[index] <= 0:
            y[index] = x[index]
    return y


def relu_backward(dy: Array, x: Array) -> Array:
    """Return dx: dy where x is positive (or NaN), 0 elsewhere, x = 0 included.

    Derived in tutorials/03_relu_and_initialisation.ipynb.
    """
    check_shape("dy", dy, x.shape)
    dx = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        if not x[index] <= 0:
            dx[index] = dy[index]
    return dx
