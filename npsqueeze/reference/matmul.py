"""The matrix product in three loops."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def matmul(a: Array, b: Array) -> Array:
    """Return c = a b for a (rows, depth) and b (depth, columns): c[i, j] = Σ_k a[i, k] b[k, j].

    Derived in tutorials/09_making_it_fast.ipynb.

    Raises
    ------
    ValueError
        If b has not as many rows as a has columns.
    """
    rows, depth = a.shape
    columns = b.shape[1]
    check_shape("b", b, (depth, columns))
    c = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            for k in range(depth):
                c[i, j] += a[i, k] * b[k, j]
    return c.astype(a.dtype)
