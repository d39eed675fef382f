"""The matrix product in three loops."""

import numpy as np

from npsqueeze.arrays import Array, check_shape


def matmul(a: Array, b: Array) -> Array:
    """Return c = a b for a (M, K) and b (K, N): c[i, j] = Σ_k a[i, k] b[k, j].

    Raises
    ------
    ValueError
        If b has not as many rows as a has columns.
    """
    M, K = a.shape
    N = b.shape[1]
    check_shape("b", b, (K, N))
    c = np.zeros((M, N))
    for i in range(M):
        for j in range(N):
            for k in range(K):
                c[i, j] += a[i, k] * b[k, j]
    return c.astype(a.dtype)
