"""The linear (fully connected) layer."""

from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, as_gradient, check_same_dtype, check_shape
from npsqueeze.kernels import gemm


class LinearCache(NamedTuple):
    """The inputs of the forward pass."""

    x: Array
    w: Array
    has_bias: bool


def linear_forward(x: Array, w: Array, b: Array | None = None) -> tuple[Array, LinearCache]:
    """Return y = x·wᵀ + b.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.

    Parameters
    ----------
    x : (N, D)
    w : (M, D)
    b : (M,), optional

    Returns
    -------
    y : (N, M)
    cache : for `linear_backward`

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape than stated.
    """
    x, w = as_float_array("x", x, 2), as_float_array("w", w, 2)
    b = None if b is None else as_float_array("b", b, 1)
    check_same_dtype(x=x, w=w, b=b)
    check_shape("x", x, (len(x), w.shape[1]))
    if b is not None:
        check_shape("b", b, (len(w),))
    y = _matmul(x, w, transpose_b=True)
    return (y if b is None else y + b), LinearCache(x, w, b is not None)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array | None]:
    """Return dx = dy·w, dw = dyᵀ·x and db = Σ_n dy (None where there was no bias).

    The shapes alone tell which factor goes where: dy is (N, M), dx (N, D), dw (M, D).

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.
    """
    x, w, has_bias = cache
    dy = as_gradient(dy, (len(x), len(w)), x.dtype)
    # forward: y = x · wᵀ + b
    dx = _matmul(dy, w)
    dw = _matmul(dy, x, transpose_a=True)
    db = dy.sum(axis=0) if has_bias else None
    return dx, dw, db


def _matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    rows, columns = a.shape[int(transpose_a)], b.shape[int(not transpose_b)]
    c = np.empty((1, rows, columns), a.dtype)
    gemm(a[None], b[None], c, transpose_a, transpose_b)
    return c[0]
