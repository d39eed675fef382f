import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from tests.exercise_checks import Planted

planted = Planted()


@planted("max_pool2d_forward", "outside the image there should be -inf")
def max_pool_zero_padding(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    k = kernel_size
    oh = F.output_size(H, k, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, k, stride, padding, ceil_mode=ceil_mode)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((N, C, oh, ow))
    for p, q in np.ndindex(oh, ow):
        window = x[:, :, p * stride : p * stride + k, q * stride : q * stride + k]
        y[:, :, p, q] = window.max(axis=(2, 3))
    return y


@planted("max_pool2d_forward", "search starts with 0")
def max_pool_maximum_begins_at_zero(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    oh = F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = np.zeros((N, C, oh, ow))
    for n, c, p, q in np.ndindex(y.shape):
        best = 0.0
        for i in range(kernel_size):
            for j in range(kernel_size):
                h, w = p * stride + i - padding, q * stride + j - padding
                if 0 <= h < H and 0 <= w < W and x[n, c, h, w] > best:
                    best = x[n, c, h, w]
        y[n, c, p, q] = best
    return y


@planted("max_pool2d_forward", "ceil mode is ignored")
def max_pool_without_ceil_mode(x, kernel_size, stride, padding, ceil_mode):
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=-np.inf)
    windows = sliding_window_view(xp, (kernel_size, kernel_size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].max(axis=(4, 5))


@planted("max_pool2d_forward", "the stride is ignored: the windows stand side by side")
def max_pool_stride_is_kernel(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    k = kernel_size
    oh = F.output_size(H, k, k, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, k, k, padding, ceil_mode=ceil_mode)
    xp = np.pad(x, ((0, 0), (0, 0), (padding, k), (padding, k)), constant_values=-np.inf)
    y = np.zeros((N, C, oh, ow))
    for p, q in np.ndindex(oh, ow):
        y[:, :, p, q] = xp[:, :, p * k : p * k + k, q * k : q * k + k].max(axis=(2, 3))
    return y


@planted("max_pool2d_forward", "the mean of each window")
def max_pool_mean(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    oh = F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = np.zeros((N, C, oh, ow))
    for p, q in np.ndindex(oh, ow):
        h, w = p * stride - padding, q * stride - padding
        rows = slice(max(h, 0), h + kernel_size)
        cols = slice(max(w, 0), w + kernel_size)
        y[:, :, p, q] = x[:, :, rows, cols].mean(axis=(2, 3))
    return y


@planted("max_pool2d_forward", "over the channels too")
def max_pool_over_the_channels(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    oh = F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = np.zeros((N, C, oh, ow))
    for n, c, p, q in np.ndindex(y.shape):
        h, w = p * stride - padding, q * stride - padding
        y[n, c, p, q] = x[n, :, max(h, 0) : h + kernel_size, max(w, 0) : w + kernel_size].max()
    return y


@planted("max_pool2d_forward", "counts from the other end")
def max_pool_negative_index(x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    oh = F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = np.zeros((N, C, oh, ow))
    for n, c, p, q in np.ndindex(y.shape):
        best = -np.inf
        for i in range(kernel_size):
            for j in range(kernel_size):
                h, w = p * stride + i - padding, q * stride + j - padding
                if h < H and w < W:
                    best = max(best, x[n, c, h, w])
        y[n, c, p, q] = best
    return y


@planted("max_pool2d_forward", "the maximum of the whole channel")
def max_pool_of_the_channel(x, kernel_size, stride, padding, ceil_mode):
    return x.max(axis=(2, 3))


@planted("max_pool2d_backward", "both maxima")
def max_pool_backward_all_ties(dy, x, kernel_size, stride, padding, ceil_mode):
    _N, _C, _H, _W = x.shape
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = p * stride - padding, q * stride - padding
        rows = slice(max(h, 0), h + kernel_size)
        cols = slice(max(w, 0), w + kernel_size)
        window = x[n, c, rows, cols]
        dx[n, c, rows, cols] += dy[n, c, p, q] * (window == window.max())
    return dx


@planted("max_pool2d_backward", "shared among the maxima")
def max_pool_backward_shared_ties(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = p * stride - padding, q * stride - padding
        rows = slice(max(h, 0), h + kernel_size)
        cols = slice(max(w, 0), w + kernel_size)
        mask = x[n, c, rows, cols] == x[n, c, rows, cols].max()
        dx[n, c, rows, cols] += dy[n, c, p, q] * mask / mask.sum()
    return dx


@planted("max_pool2d_backward", "the last maximum got")
def max_pool_backward_last_tie(dy, x, kernel_size, stride, padding, ceil_mode):
    _N, _C, H, W = x.shape
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        best, where = -np.inf, (0, 0)
        for h in range(p * stride - padding, p * stride - padding + kernel_size):
            for w in range(q * stride - padding, q * stride - padding + kernel_size):
                if 0 <= h < H and 0 <= w < W and x[n, c, h, w] >= best:
                    best, where = x[n, c, h, w], (h, w)
        dx[n, c, where[0], where[1]] += dy[n, c, p, q]
    return dx


@planted("max_pool2d_backward", "only one of them counts")
def max_pool_backward_assigns(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = max(p * stride - padding, 0), max(q * stride - padding, 0)
        window = x[
            n,
            c,
            h : p * stride - padding + kernel_size,
            w : q * stride - padding + kernel_size,
        ]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, h + i, w + j] = dy[n, c, p, q]
    return dx


@planted("max_pool2d_backward", "np.add.at")
def max_pool_backward_fancy_index(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, _H, _W = x.shape
    oh, ow = dy.shape[2:]
    k = kernel_size
    xp = np.pad(
        x, ((0, 0), (0, 0), (padding, padding + k), (padding, padding + k)), constant_values=-np.inf
    )
    windows = sliding_window_view(xp, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    best = windows[:, :, :oh, :ow].reshape(N, C, oh, ow, k * k).argmax(axis=-1)
    rows = np.arange(oh)[:, None] * stride - padding + best // k
    cols = np.arange(ow) * stride - padding + best % k
    dx = np.zeros_like(x)
    n, c = np.arange(N)[:, None, None, None], np.arange(C)[:, None, None]
    dx[n, c, rows, cols] += dy
    return dx


@planted("max_pool2d_backward", "every pixel of a window")
def max_pool_backward_to_every_pixel(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = p * stride - padding, q * stride - padding
        dx[n, c, max(h, 0) : h + kernel_size, max(w, 0) : w + kernel_size] += dy[n, c, p, q]
    return dx


@planted("max_pool2d_backward", "multiplied by the maximum")
def max_pool_backward_times_the_maximum(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = max(p * stride - padding, 0), max(q * stride - padding, 0)
        bottom, right = p * stride - padding + kernel_size, q * stride - padding + kernel_size
        window = x[n, c, h:bottom, w:right]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, h + i, w + j] += dy[n, c, p, q] * window[i, j]
    return dx


@planted("max_pool2d_backward", "right for floor mode, wrong for ceil mode")
def max_pool_backward_skips_windows_over_the_edge(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    dx = np.zeros_like(x)
    for n, c in np.ndindex(N, C):
        for p, top in enumerate(range(-padding, H + padding - kernel_size + 1, stride)):
            for q, left in enumerate(range(-padding, W + padding - kernel_size + 1, stride)):
                h, w = max(top, 0), max(left, 0)
                window = x[n, c, h : top + kernel_size, w : left + kernel_size]
                i, j = np.unravel_index(window.argmax(), window.shape)
                dx[n, c, h + i, w + j] += dy[n, c, p, q]
    return dx


@planted("max_pool2d_backward", "add the window's corner")
def max_pool_backward_no_corner(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = max(p * stride - padding, 0), max(q * stride - padding, 0)
        window = x[
            n, c, h : p * stride - padding + kernel_size, w : q * stride - padding + kernel_size
        ]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i, j] += dy[n, c, p, q]
    return dx


@planted("max_pool2d_backward", "right for no padding, wrong for padding; the right numbers")
def max_pool_backward_place_in_the_flat_image(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    k = kernel_size
    border = (padding, padding + k)
    xp = np.pad(x, ((0, 0), (0, 0), border, border), constant_values=-np.inf)
    dx = np.zeros((N, C, H * W))
    for n, c, p, q in np.ndindex(dy.shape):
        window = xp[n, c, p * stride : p * stride + k, q * stride : q * stride + k]
        i, j = divmod(window.argmax(), k)
        place = (p * stride + i) * W + q * stride + j
        dx[n, c, place % (H * W)] += dy[n, c, p, q]
    return dx.reshape(x.shape)


test_a_planted_mistake_is_named = planted.test()
