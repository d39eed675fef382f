"""The fully connected layer."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """Return y (N, out) for x (N, in), w (out, in) and b (out,).

        y[n, o] = b[o] + Σ_k w[o, k] x[n, k]

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    N, features = x.shape
    outputs = w.shape[0]
    check_shape("w", w, (outputs, features))
    y = np.zeros((N, outputs))
    if b is not None:
        check_shape("b", b, (outputs,))
        y += b
    for n, o in np.ndindex(y.shape):
        for k in range(features):
            y[n, o] += w[o, k] * x[n, k]
    return y.astype(x.dtype)


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return dx (N, in), dw (out, in) and db (out,)."""
    check_shape("dy", dy, (x.shape[0], w.shape[0]))
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(w.shape[0])
    for n, o in np.ndindex(dy.shape):
        db[o] += dy[n, o]
        for k in range(x.shape[1]):
            # y[n, o] += w[o, k] * x[n, k]
            dx[n, k] += w[o, k] * dy[n, o]
            dw[o, k] += dy[n, o] * x[n, k]
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)
