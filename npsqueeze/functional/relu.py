"""The rectified linear unit."""

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import ANY_RANK, Array, as_float_array, as_gradient


def relu_forward(x: Array) -> tuple[Array, Array]:
    """Return y = max(x, 0), element by element, and y again as the cache. NaN stays NaN.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Raises
    ------
    TypeError, ValueError
        If x is no array of float32 or float64 numbers with one to four dimensions.

    Source: Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """
    x = as_float_array("x", x, ANY_RANK)
    y = np.empty_like(x)
    kernels.relu_forward(x.reshape(-1), y.reshape(-1))
    return y, y


def relu_backward(dy: Array, cache: Array) -> Array:
    """Return dx: 0 where y <= 0, dy elsewhere (NaN included), the slope of max(x, 0) times dy.

    At the kink x = 0 the slope is taken as 0, one of the subgradients (and PyTorch's choice).

    Derived in tutorials/03_relu_and_initialisation.ipynb.
    """
    y = cache
    dy = as_gradient(dy, y.shape, y.dtype)
    # forward: y = max(x, 0)
    dx = np.empty_like(y)
    kernels.relu_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx
