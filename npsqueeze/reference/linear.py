"""The fully connected layer."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """Return y (N, M) for x (N, D), w (M, D) and b (M,).

        y[n, m] = b[m] + Σ_d w[m, d] x[n, d]

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    N, D = x.shape
    M = w.shape[0]
    check_shape("w", w, (M, D))
    y = np.zeros((N, M))
    if b is not None:
        check_shape("b", b, (M,))
        y += b
    for n, m in np.ndindex(y.shape):
        for d in range(D):
            y[n, m] += w[m, d] * x[n, d]
    return y.astype(x.dtype)


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return dx (N, D), dw (M, D) and db (M,).

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.
    """
    check_shape("dy", dy, (x.shape[0], w.shape[0]))
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(w.shape[0])
    for n, m in np.ndindex(dy.shape):
        db[m] += dy[n, m]
        for d in range(x.shape[1]):
            # y[n, m] += w[m, d] * x[n, d]
            dx[n, d] += w[m, d] * dy[n, m]
            dw[m, d] += dy[n, m] * x[n, d]
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)
