"""The rectified linear unit."""

import numpy as np

from npsqueeze.arrays import Array, as_float_array, check_same_dtype, check_shape

ANY_RANK = (1, 2, 3, 4)


def relu_forward(x: Array) -> tuple[Array, Array]:
    """Return y = max(x, 0), element by element, and y again as the cache. NaN stays NaN.

    Source: Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """
    y = np.maximum(as_float_array("x", x, ANY_RANK), 0)
    return y, y


def relu_backward(dy: Array, cache: Array) -> Array:
    """Return dx = dy where y > 0, and 0 elsewhere: the slope of max(x, 0) is 1 or 0.

    At the kink x = 0 the slope is taken as 0, one of the subgradients (and PyTorch's choice).
    """
    y = cache
    dy = as_float_array("dy", dy, ANY_RANK)
    check_same_dtype(dy=dy, y=y)
    check_shape("dy", dy, y.shape)
    # forward: y = max(x, 0)
    return np.where(y <= 0, y.dtype.type(0), dy)
