"""The ReLU and its gradient, in one pass each over flat arrays."""

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange


@kernel(parallel=True)
def relu_forward(x: Array, y: Array) -> None:
    """Write y = max(x, 0); the comparison is such that a NaN stays."""
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = zero if x[i] <= zero else x[i]


@kernel(parallel=True)
def relu_backward(dy: Array, y: Array, dx: Array) -> None:
    """Write dx: 0 where y <= 0, dy elsewhere (NaN included)."""
    zero = y.dtype.type(0)
    for i in prange(y.size):
        dx[i] = zero if y[i] <= zero else dy[i]
