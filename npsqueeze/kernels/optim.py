"""The optimisers' steps, in one pass over flat arrays; `npsqueeze.optim` has their formulas.

Each number of an array is read and written once. The scalars are of the arrays' type.
"""

import math

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange


@kernel(parallel=True)
def sgd_step(
    w: Array, dw: Array, v: Array, lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> None:
    """Move w along its velocity v, which takes up the gradient dw first."""
    for i in prange(w.size):
        g = weight_decay * w[i] + dw[i]
        velocity = momentum * v[i] + g
        v[i] = velocity
        w[i] -= lr * (g + momentum * velocity if nesterov else velocity)


@kernel(parallel=True)
def adamw_step(
    w: Array, dw: Array, m: Array, v: Array, keep: float, rate: float,
    beta1: float, rest1: float, beta2: float, rest2: float, bias2: float, eps: float,
) -> None:  # fmt: skip
    """Move w along its mean gradient m over the root of its mean square v, both brought up to date.

    Parameters
    ----------
    keep, rate, bias2
        1 - lr·weight_decay, lr / (1 - β1ᵗ) and 1 - β2ᵗ.
    rest1, rest2
        1 - β1 and 1 - β2.
    """
    for i in prange(w.size):
        mean = beta1 * m[i] + rest1 * dw[i]
        square = beta2 * v[i] + rest2 * (dw[i] * dw[i])
        m[i], v[i] = mean, square
        w[i] = keep * w[i] - rate * mean / (math.sqrt(square / bias2) + eps)
