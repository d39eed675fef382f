"""The convolution (a cross-correlation, as in every network library)."""

import numpy as np

from npsqueeze.arrays import Array, check_shape, pair
from npsqueeze.reference.sizes import output_size


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Array:
    """Return y (N, F, oh, ow) for x (N, C, H, W), w (F, C/groups, kh, kw) and b (F,).

        y[n, f, p, q] = b[f] + Σ_{c, i, j} w[f, c, i, j] x[n, c0 + c, p sh + i dh, q sw + j dw]

    where x has been padded with zeros, (sh, sw) is the stride, (dh, dw) the dilation and c0 the
    first channel of the group to which filter f belongs.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.

    Source: Dumoulin & Visin, A guide to convolution arithmetic (2016).

    Raises
    ------
    ValueError
        If the shapes do not fit together, or the window does not fit into the padded input.
    """
    N, C, H, W = x.shape
    F, _, kh, kw = w.shape
    (sh, sw), (dh, dw) = pair("stride", stride, 1), pair("dilation", dilation, 1)
    ph, pw = pair("padding", padding, 0)
    if groups < 1 or C % groups or F % groups:
        raise ValueError(f"groups: expected a divisor of C = {C} and F = {F}, got {groups}")
    check_shape("w", w, (F, C // groups, kh, kw))
    y = np.zeros((N, F, output_size(H, kh, sh, ph, dh), output_size(W, kw, sw, pw, dw)))
    if b is not None:
        check_shape("b", b, (F,))
        y += b.reshape(F, 1, 1)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    for n, f, p, q in np.ndindex(y.shape):
        c0 = f // (F // groups) * (C // groups)
        for c, i, j in np.ndindex(w.shape[1:]):
            y[n, f, p, q] += w[f, c, i, j] * padded[n, c0 + c, p * sh + i * dh, q * sw + j * dw]
    return y.astype(x.dtype)


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Return dx (N, C, H, W), dw (F, C/groups, kh, kw) and db (F,).

    The loops are those of the forward. Each product w x that it added to a y sends dy w to that x
    and dy x to that w; what reaches the padding is cut off.

    Derived in tutorials/02_convolution_as_a_matrix_product.ipynb.
    """
    N, C, H, W = x.shape
    F, _, kh, kw = w.shape
    (sh, sw), (dh, dw) = pair("stride", stride, 1), pair("dilation", dilation, 1)
    ph, pw = pair("padding", padding, 0)
    oh, ow = output_size(H, kh, sh, ph, dh), output_size(W, kw, sw, pw, dw)
    check_shape("dy", dy, (N, F, oh, ow))
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    d_padded, d_weight, d_bias = np.zeros(padded.shape), np.zeros(w.shape), np.zeros(F)
    for n, f, p, q in np.ndindex(dy.shape):
        d_bias[f] += dy[n, f, p, q]
        c0 = f // (F // groups) * (C // groups)
        for c, i, j in np.ndindex(w.shape[1:]):
            # y[n, f, p, q] += w[f, c, i, j] * padded[source]
            source = n, c0 + c, p * sh + i * dh, q * sw + j * dw
            d_padded[source] += dy[n, f, p, q] * w[f, c, i, j]
            d_weight[f, c, i, j] += dy[n, f, p, q] * padded[source]
    dx = d_padded[:, :, ph : ph + H, pw : pw + W]
    return dx.astype(x.dtype), d_weight.astype(x.dtype), d_bias.astype(x.dtype)
