import functools
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from npsqueeze.exercises import EXERCISES
from npsqueeze.exercises.checking import judge
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results

Function = Callable[..., Any]
PLANTED: list[tuple[str, Function, tuple[str, ...]]] = []


def planted(exercise: str, *words: str) -> Callable[[Function], Function]:
    """Collect a wrong function, with words that its diagnosis must contain."""

    def collect(function: Function) -> Function:
        PLANTED.append((exercise, function, words))
        return function

    return collect


# --- normalize ------------------------------------------------------------------------------------


@planted("normalize", "divide by 255")
def normalize_without_255(images, mean, std):
    mean = np.array(mean).reshape(1, 3, 1, 1)
    std = np.array(std).reshape(1, 3, 1, 1)
    return (images - mean) / std


@planted("normalize", "blue, green, red")
def normalize_bgr(images, mean, std):
    x = images[:, [2, 1, 0]].astype(float) / 255.0
    return (x - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]


@planted("normalize", "belong to channels in the order red, green, blue")
def normalize_mean_of_the_wrong_channel(images, mean, std):
    x = np.empty(images.shape)
    for c in range(3):
        x[:, c] = (images[:, c] / 255.0 - mean[2 - c]) / std[2 - c]
    return x


@planted("normalize", "by the variance")
def normalize_by_variance(images, mean, std):
    x = images / 255
    return (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)) ** 2


@planted("normalize", "not divided by std")
def normalize_without_std(images, mean, std):
    x = images.astype(np.float64) / 255
    x -= np.asarray(mean)[None, :, None, None]
    return x


@planted("normalize", "multiplied by std; divide")
def normalize_times_std(images, mean, std):
    x = images.astype(np.float64) / 255
    return (x - np.asarray(mean)[:, None, None]) * np.asarray(std)[:, None, None]


@planted("normalize", "// 255")
def normalize_integer_division(images, mean, std):
    x = images // 255
    return (x - np.asarray(mean)[:, None, None]) / np.asarray(std)[:, None, None]


@planted("normalize", "of the type uint8", "whole numbers only")
def normalize_into_bytes(images, mean, std):
    x = np.zeros_like(images)
    for c in range(3):
        x[:, c] = (images[:, c] / 255 - mean[c]) / std[c]
    return x


@planted("normalize", "mean and std of this batch")
def normalize_with_the_images_own_statistics(images, mean, std):
    x = images / 255
    m = x.mean(axis=(0, 2, 3), keepdims=True)
    s = x.std(axis=(0, 2, 3), keepdims=True)
    return (x - m) / s


@planted("normalize", "for all channels")
def normalize_one_mean_for_all(images, mean, std):
    return (images / 255 - np.mean(mean)) / np.mean(std)


@planted("normalize", "not 256")
def normalize_by_256(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return (images / 256 - mean) / std


@planted(
    "normalize", "right for pictures 3 pixels wide, wrong for wider ones", "could not be broadcast"
)
def normalize_on_the_last_axis(images, mean, std):
    return (images / 255 - np.array(mean)) / np.array(std)


@planted("normalize", "brackets")
def normalize_without_brackets(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return images / 255 - mean / std


# --- output_size ----------------------------------------------------------------------------------


@planted("output_size", "counted once")
def output_size_padding_once(size, kernel_size, stride, padding, dilation):
    return (size + padding - dilation * (kernel_size - 1) - 1) // stride + 1


@planted("output_size", "(+ 1)")
def output_size_without_plus_one(size, kernel_size, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride


@planted("output_size", "not dilation·kernel_size")
def output_size_dilated_k(size, kernel_size, stride, padding, dilation):
    return (size + 2 * padding - dilation * kernel_size) // stride + 1


@planted("output_size", "dilation is ignored")
def output_size_without_dilation(size, kernel_size, stride, padding, dilation):
    return (size + 2 * padding - kernel_size) // stride + 1


@planted("output_size", "a float", "divide by //")
def output_size_true_division(size, kernel_size, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1


@planted("output_size", "rounded up")
def output_size_ceil(size, kernel_size, stride, padding, dilation):
    return int(np.ceil((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride)) + 1


@planted("output_size", "rounded to the nearest")
def output_size_round(size, kernel_size, stride, padding, dilation):
    return round((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1


# --- conv2d_forward -------------------------------------------------------------------------------


@planted("conv2d_forward", "the bias is missing")
def conv_forward_without_bias(x, w, b, stride, padding, dilation):
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kh, kw = w.shape[2:]
    windows = sliding_window_view(
        xp, (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1), axis=(2, 3)
    )
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("ncpqij,fcij->nfpq", windows, w)


@planted("conv2d_forward", "once for every channel")
def conv_forward_bias_inside_the_channel_loop(x, w, b, stride, padding, dilation):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for f in range(K):
        for c in range(C):
            for p in range(oh):
                for q in range(ow):
                    r, s = p * stride, q * stride
                    window = x[
                        :, c, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation
                    ]
                    y[:, f, p, q] += np.sum(window * w[f, c], axis=(1, 2)) + b[f]
    return y


@planted("conv2d_forward", "not cross-correlation")
def conv_forward_true_convolution(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.tile(b.reshape(1, K, 1, 1), (N, 1, oh, ow))
    for i in range(kh):
        for j in range(kw):
            part = x[:, :, i * dilation :, j * dilation :][:, :, ::stride, ::stride]
            kernel = w[:, :, kh - 1 - i, kw - 1 - j]
            y += np.einsum("ncpq,fc->nfpq", part[:, :, :oh, :ow], kernel)
    return y


@planted("conv2d_forward", "right for stride 1, wrong for a stride above 1")
def conv_forward_stride_forgotten_in_the_window(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for p in range(oh):
        for q in range(ow):
            window = x[:, :, p : p + dilation * kh : dilation, q : q + dilation * kw : dilation]
            y[:, :, p, q] = np.tensordot(window, w, ((1, 2, 3), (1, 2, 3))) + b
    return y


@planted("conv2d_forward", "right for dilation 1, wrong for a dilation above 1")
def conv_forward_dilation_ignored(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n, f, p, q in np.ndindex(y.shape):
        window = x[n, :, p * stride : p * stride + kh, q * stride : q * stride + kw]
        y[n, f, p, q] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "the dilation is ignored")
def conv_forward_dilation_in_wrong_place(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - kh) // stride + 1
    ow = (W + 2 * padding - kw) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n, f, p, q in np.ndindex(y.shape):
        window = x[n, :, p * stride : p * stride + kh, q * stride : q * stride + kw]
        y[n, f, p, q] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "its width is computed from the height")
def conv_forward_square_only(x, w, b, stride, padding, dilation):
    N, _C, H = x.shape[:3]
    K, _, k, _ = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    o = (H + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    y = np.zeros((N, K, o, o))
    for n, f, p, q in np.ndindex(y.shape):
        r, s = p * stride, q * stride
        window = x[n, :, r : r + dilation * k : dilation, s : s + dilation * k : dilation]
        y[n, f, p, q] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "last two axes are exchanged")
def conv_forward_rows_and_columns_exchanged(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, ow, oh))
    for n, f, q, p in np.ndindex(y.shape):
        r, s = p * stride, q * stride
        window = x[n, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
        y[n, f, q, p] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "only the last channel counts")
def conv_forward_last_channel_only(x, w, b, stride, padding, dilation):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n, f, p, q in np.ndindex(y.shape):
        for c in range(C):
            r, s = p * stride, q * stride
            window = x[n, c, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            y[n, f, p, q] = (window * w[f, c]).sum() + b[f]
    return y


@planted("conv2d_forward", "below and on the right")
def conv_forward_padding_at_one_side(x, w, b, stride, padding, dilation):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    padded[:, :, :H, :W] = x
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n, f, p, q in np.ndindex(y.shape):
        r, s = p * stride, q * stride
        window = padded[n, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
        y[n, f, p, q] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "of the type int64", "whole numbers only")
def conv_forward_into_integers(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow), int)
    for n, f, p, q in np.ndindex(y.shape):
        r, s = p * stride, q * stride
        window = x[n, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
        y[n, f, p, q] = (window * w[f]).sum() + b[f]
    return y


@planted("conv2d_forward", "right for the first image of the batch alone")
def conv_forward_first_image_only(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n in range(N):
        for f, p, q in np.ndindex(K, oh, ow):
            r, s = p * stride, q * stride
            window = x[n, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            y[n, f, p, q] = (window * w[f]).sum() + b[f]
        return y
    return None


# --- im2col, col2im -------------------------------------------------------------------------------


@planted("im2col", "(i, j, c)")
def im2col_channels_last(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    N, C, H, W = x.shape
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = np.zeros((N, kh, kw, C, oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows = i * dilation + stride * np.arange(oh)
            cols = j * dilation + stride * np.arange(ow)
            columns[:, i, j] = xp[:, :, rows[:, None], cols]
    return columns.reshape(N, -1, oh * ow)


@planted("im2col", "rows and columns are exchanged")
def im2col_windows_in_rows(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (xp.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    ow = (xp.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    rows = []
    for p in range(oh):
        for q in range(ow):
            r, s = p * stride, q * stride
            window = xp[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            rows.append(window.reshape(len(x), -1))
    return np.stack(rows, axis=1)


@planted("im2col", "all images stand in one matrix")
def im2col_batch_in_one_matrix(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    N, C, H, W = x.shape
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = np.zeros((N, C, kh, kw, oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows = i * dilation + stride * np.arange(oh)
            cols = j * dilation + stride * np.arange(ow)
            columns[:, :, i, j] = xp[:, :, rows[:, None], cols]
    return columns.transpose(1, 2, 3, 0, 4, 5).reshape(C * kh * kw, -1)


@planted("im2col", "reshaped at once")
def im2col_reshape_without_transpose(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span = (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1)
    windows = sliding_window_view(xp, span, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    N, C, oh, ow = windows.shape[:4]
    return windows.reshape(N, C * kh * kw, oh * ow)


@planted("im2col", "right for stride 1, wrong for a stride above 1")
def im2col_stride_forgotten_in_as_strided(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = xp.shape
    oh = (H - dilation * (kh - 1) - 1) // stride + 1
    ow = (W - dilation * (kw - 1) - 1) // stride + 1
    sn, sc, sh, sw = xp.strides
    view = as_strided(xp, (N, C, kh, kw, oh, ow), (sn, sc, sh * dilation, sw * dilation, sh, sw))
    return view.reshape(N, C * kh * kw, oh * ow)


@planted("im2col", "(c, j, i)")
def im2col_i_and_j_exchanged(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    N, C, H, W = x.shape
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = np.zeros((N, C * kh * kw, oh * ow))
    for p in range(oh):
        for q in range(ow):
            r, s = p * stride, q * stride
            window = xp[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            columns[:, :, p * ow + q] = window.transpose(0, 1, 3, 2).reshape(N, -1)
    return columns


@planted("col2im", "only one of them counts")
def col2im_assigns(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i in range(kh):
        for j in range(kw):
            r, s = i * dilation, j * dilation
            dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] = split[:, :, i, j]
    return dx[:, :, padding : padding + H, padding : padding + W]


@planted("col2im", "only the last one counts")
def col2im_windows_overwrite_each_other(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for p in range(oh):
        for q in range(ow):
            r, s = p * stride, q * stride
            window = columns[:, :, p * ow + q].reshape(N, C, kh, kw)
            dx[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation] = window
    return dx[:, :, padding : padding + H, padding : padding + W]


@planted("col2im", "np.add.at")
def col2im_fancy_index(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    i = np.repeat(np.arange(kh), kw) * dilation
    j = np.tile(np.arange(kw), kh) * dilation
    p = np.repeat(np.arange(oh), ow) * stride
    q = np.tile(np.arange(ow), oh) * stride
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    dx[:, :, i[:, None] + p, j[:, None] + q] += columns.reshape(N, C, kh * kw, oh * ow)
    return dx[:, :, padding : H + padding, padding : W + padding]


@planted("col2im", "[0:-0]")
def col2im_minus_padding(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, :, i, j]
    return dx[:, :, padding:-padding, padding:-padding]


@planted("col2im", "padding is still there")
def col2im_keeps_the_border(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, :, i, j]
    return dx


@planted("col2im", "start at [padding]")
def col2im_cuts_at_the_wrong_side(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, :, i, j]
    return dx[:, :, :H, :W]


@planted("col2im", "averaged")
def col2im_as_the_inverse(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    count = np.zeros_like(dx)
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, :, i, j]
        count[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += 1
    dx = dx / np.maximum(count, 1)
    return dx[:, :, padding : padding + H, padding : padding + W]


# --- conv2d_backward ------------------------------------------------------------------------------


@planted("conv2d_backward", "already: dw, db", "dx: right for dilation 1, wrong")
def conv_backward_dilation_forgotten_in_dx(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p in range(oh):
        for q in range(ow):
            r, s = p * stride, q * stride
            window = xp[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            dw += np.einsum("nf,ncij->fcij", dy[:, :, p, q], window)
            dxp[:, :, r : r + kh, s : s + kw] += np.einsum("nf,fcij->ncij", dy[:, :, p, q], w)
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "already: dx, db", "dw: right for dilation 1, wrong")
def conv_backward_dilation_forgotten_in_dw(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p in range(oh):
        for q in range(ow):
            r, s = p * stride, q * stride
            dw += np.einsum("nf,ncij->fcij", dy[:, :, p, q], xp[:, :, r : r + kh, s : s + kw])
            dxp[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation] += (
                np.einsum("nf,fcij->ncij", dy[:, :, p, q], w)
            )
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "already: dw, db", "dx: right for stride 1, wrong")
def conv_backward_stride_forgotten_in_dx(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            r, s = i * dilation, j * dilation
            window = xp[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride]
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, window)
            dxp[:, :, r : r + oh, s : s + ow] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dx: the kernel is flipped")
def conv_backward_dx_missing_flip(dy, x, w, stride, padding, dilation):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    # dx as a full correlation of the stretched dy with w
    dh, dv = dilation * (kh - 1), dilation * (kw - 1)
    stretched = np.zeros((N, K, H + 2 * padding + dh, W + 2 * padding + dv))
    stretched[:, :, dh : dh + stride * oh : stride, dv : dv + stride * ow : stride] = dy
    dxp = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i in range(kh):
        for j in range(kw):
            r, s = i * dilation, j * dilation
            part = stretched[:, :, r : r + H + 2 * padding, s : s + W + 2 * padding]
            dxp += np.einsum("nfhw,fc->nchw", part, w[:, :, i, j])
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dw = np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            r, s = i * dilation, j * dilation
            window = xp[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride]
            dw[:, :, i, j] = np.tensordot(dy, window, ((0, 2, 3), (0, 2, 3)))
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum((0, 2, 3))


@planted("conv2d_backward", "dw: only the last image")
def conv_backward_dw_overwritten_by_each_image(dy, x, w, stride, padding, dilation):
    N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for n in range(N):
        for i in range(kh):
            for j in range(kw):
                r, s = i * dilation, j * dilation
                rows = slice(r, r + stride * oh, stride)
                cols = slice(s, s + stride * ow, stride)
                dw[:, :, i, j] = np.einsum("fpq,cpq->fc", dy[n], xp[n][:, rows, cols])
                dxp[n][:, rows, cols] += np.einsum("fpq,fc->cpq", dy[n], w[:, :, i, j])
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dw: N times too small", "db: N times too small")
def conv_backward_divides_by_the_batch(dy, x, w, stride, padding, dilation):
    N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation, i * dilation + stride * oh, stride)
            cols = slice(j * dilation, j * dilation + stride * ow, stride)
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, xp[:, :, rows, cols]) / N
            dxp[:, :, rows, cols] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    db = dy.sum(axis=(0, 2, 3)) / N
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, db


@planted(
    "conv2d_backward", "dx: where windows overlap only one", "db: the mean over images and pixels"
)
def conv_backward_db_mean_and_dx_assigned(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation, i * dilation + stride * oh, stride)
            cols = slice(j * dilation, j * dilation + stride * ow, stride)
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, xp[:, :, rows, cols])
            dxp[:, :, rows, cols] = np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    db = dy.mean(axis=(0, 2, 3))
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, db


@planted("conv2d_backward", "dx: where windows overlap only the last")
def conv_backward_windows_assigned(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p in range(oh):
        for q in range(ow):
            rows = slice(p * stride, p * stride + dilation * kh, dilation)
            cols = slice(q * stride, q * stride + dilation * kw, dilation)
            dw += np.einsum("nf,ncij->fcij", dy[:, :, p, q], xp[:, :, rows, cols])
            dxp[:, :, rows, cols] = np.einsum("nf,fcij->ncij", dy[:, :, p, q], w)
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "in the order dw, db, dx; expected dx, dw, db")
def conv_backward_dw_db_dx(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation, i * dilation + stride * oh, stride)
            cols = slice(j * dilation, j * dilation + stride * ow, stride)
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, xp[:, :, rows, cols])
            dxp[:, :, rows, cols] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    dx = dxp[:, :, padding : padding + H, padding : padding + W]
    return dw, dy.sum(axis=(0, 2, 3)), dx


@planted("conv2d_backward", "db: sum over the pixels too")
def conv_backward_db_per_pixel(dy, x, w, stride, padding, dilation):
    dx, dw, _ = EXERCISES["conv2d_backward"].answer(dy, x, w, stride, padding, dilation)
    return dx, dw, dy.sum(axis=0)


@planted("conv2d_backward", "db: it has shape (1, 4, 1, 1)", "reshape them")
def conv_backward_db_keepdims(dy, x, w, stride, padding, dilation):
    dx, dw, _ = EXERCISES["conv2d_backward"].answer(dy, x, w, stride, padding, dilation)
    return dx, dw, dy.sum(axis=(0, 2, 3), keepdims=True)


@planted("conv2d_backward", "dx: the padding is still there")
def conv_backward_returns_padded_dx(dy, x, w, stride, padding, dilation):
    _K, _C, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation, i * dilation + stride * oh, stride)
            cols = slice(j * dilation, j * dilation + stride * ow, stride)
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, xp[:, :, rows, cols])
            dxp[:, :, rows, cols] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    return dxp, dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dw: the pixels stand padding too far up and left")
def conv_backward_dw_from_x_padded_at_one_side(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation, i * dilation + stride * oh, stride)
            cols = slice(j * dilation, j * dilation + stride * ow, stride)
            dw[:, :, i, j] = np.einsum("nfpq,ncpq->fc", dy, xp[:, :, rows, cols])
            dxp[:, :, rows, cols] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dw: only the last window counts")
def conv_backward_dw_assigned_in_the_pixel_loop(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    _K, _, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p in range(oh):
        for q in range(ow):
            rows = slice(p * stride, p * stride + dilation * kh, dilation)
            cols = slice(q * stride, q * stride + dilation * kw, dilation)
            dw = np.einsum("nf,ncij->fcij", dy[:, :, p, q], xp[:, :, rows, cols])
            dxp[:, :, rows, cols] += np.einsum("nf,fcij->ncij", dy[:, :, p, q], w)
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dx: right for a square y, wrong", "dw: right for a square y, wrong")
def conv_backward_square_input_only(dy, x, w, stride, padding, dilation):
    _N, _C, H = x.shape[:3]
    kh, kw = w.shape[2:]
    oh = dy.shape[2]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p in range(oh):
        for q in range(oh):
            rows = slice(p * stride, p * stride + dilation * kh, dilation)
            cols = slice(q * stride, q * stride + dilation * kw, dilation)
            dw += np.einsum("nf,ncij->fcij", dy[:, :, p, q], xp[:, :, rows, cols])
            dxp[:, :, rows, cols] += np.einsum("nf,fcij->ncij", dy[:, :, p, q], w)
    return dxp[:, :, padding:, padding:][:, :, :H, : x.shape[3]], dw, dy.sum(axis=(0, 2, 3))


# --- relu, he_normal ------------------------------------------------------------------------------


@planted("relu_forward", "absolute value")
def relu_abs(x):
    return np.abs(x)


@planted("relu_forward", "leaky")
def relu_leaky(x):
    return np.where(x > 0, x, 0.01 * x)


@planted("relu_forward", "0 times -inf")
def relu_mask_product(x):
    return x * (x > 0)


@planted("relu_forward", "NaN is swallowed")
def relu_where(x):
    return np.where(x > 0, x, 0)


@planted("relu_forward", "changes its argument x in place")
def relu_in_place(x):
    x[x < 0] = 0
    return x


@planted("relu_forward", "capped at 1")
def relu_6(x):
    return np.clip(x, 0, 1)


@planted("relu_forward", "the wrong half is kept")
def relu_min(x):
    return np.minimum(x, 0)


@planted("relu_backward", "at x = 0 the gradient passes")
def relu_backward_ge(dy, x):
    return dy * (x >= 0)


@planted("relu_backward", "taken from dy, not from x")
def relu_backward_mask_of_dy(dy, x):
    dx = dy.copy()
    dx[dy <= 0] = 0
    return dx


@planted("relu_backward", "taken from dy, not from x")
def relu_backward_of_dy(dy, x):
    return np.maximum(dy, 0)


@planted("relu_backward", "slope alone")
def relu_backward_forgets_dy(dy, x):
    return (x > 0).astype(float)


@planted("relu_backward", "multiplied by relu(x)")
def relu_backward_dy_times_y(dy, x):
    return dy * np.maximum(x, 0)


@planted("relu_backward", "wrong way round")
def relu_backward_wrong_side(dy, x):
    return np.where(x > 0, 0.0, dy)


@planted("relu_backward", "changes its argument dy in place")
def relu_backward_in_place(dy, x):
    dy[x <= 0] = 0
    return dy


@planted("he_normal", "that is the variance")
def he_variance_as_std(shape, generator):
    return generator.normal(0.0, 2.0 / np.prod(shape[1:]), shape)


@planted("he_normal", "sqrt(2/fan_out)")
def he_fan_out(shape, generator):
    fan_out = shape[0] * np.prod(shape[2:])
    return generator.normal(0.0, np.sqrt(2.0 / fan_out), shape)


@planted("he_normal", "sqrt(1/fan_in)")
def he_lecun(shape, generator):
    return generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))


@planted("he_normal", "not C alone")
def he_channels_only(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / shape[1])


@planted("he_normal", "uniform, not normal")
def he_uniform(shape, generator):
    bound = np.sqrt(6 / np.prod(shape[1:]))
    return generator.uniform(-bound, bound, shape)


@planted("he_normal", "draws nothing from generator")
def he_global_generator(shape, generator):
    return np.random.default_rng().standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))


@planted("he_normal", "Xavier")
def he_xavier(shape, generator):
    fan_in, fan_out = np.prod(shape[1:]), shape[0] * np.prod(shape[2:])
    return generator.standard_normal(shape) * np.sqrt(2 / (fan_in + fan_out))


@planted("he_normal", "all weights of a filter bank")
def he_all_elements(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape))


@planted("he_normal", "all weights are positive")
def he_positive(shape, generator):
    return np.abs(generator.standard_normal(shape)) * np.sqrt(2 / np.prod(shape[1:]))


# --- pooling --------------------------------------------------------------------------------------


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


@planted("avg_pool2d_backward", "count_include_pad")
def avg_pool_backward_does_not_count_the_padding(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = p * stride - padding, q * stride - padding
        rows = slice(max(h, 0), h + kernel_size)
        cols = slice(max(w, 0), w + kernel_size)
        dx[n, c, rows, cols] += dy[n, c, p, q] / dx[n, c, rows, cols].size
    return dx


@planted("avg_pool2d_backward", "the divisor is always k²")
def avg_pool_backward_always_k_squared(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(dy.shape):
        h, w = p * stride - padding, q * stride - padding
        rows = slice(max(h, 0), h + kernel_size)
        cols = slice(max(w, 0), w + kernel_size)
        dx[n, c, rows, cols] += dy[n, c, p, q] / kernel_size**2
    return dx


@planted("avg_pool2d_backward", "not divided")
def avg_pool_backward_undivided(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    for p, q in np.ndindex(*dy.shape[2:]):
        h, w = p * stride - padding, q * stride - padding
        dx[:, :, max(h, 0) : h + kernel_size, max(w, 0) : w + kernel_size] += dy[:, :, p, q][
            :, :, None, None
        ]
    return dx


@planted("avg_pool2d_backward", "divided by k;")
def avg_pool_backward_divided_by_k(dy, x, kernel_size, stride, padding, ceil_mode):
    dx = np.zeros_like(x)
    share = dy[:, :, :, :, None, None] / kernel_size
    for p, q in np.ndindex(*dy.shape[2:]):
        top, left = p * stride - padding, q * stride - padding
        rows = slice(max(top, 0), top + kernel_size)
        cols = slice(max(left, 0), left + kernel_size)
        dx[:, :, rows, cols] += share[:, :, p, q]
    return dx


@planted("avg_pool2d_backward", "only the last one counts")
def avg_pool_backward_assigns(dy, x, kernel_size, stride, padding, ceil_mode):
    _N, _C, H, W = x.shape
    dx = np.zeros_like(x)
    for p, q in np.ndindex(*dy.shape[2:]):
        top, left = p * stride - padding, q * stride - padding
        height = min(top + kernel_size, H + padding) - top
        width = min(left + kernel_size, W + padding) - left
        dx[:, :, max(top, 0) : top + kernel_size, max(left, 0) : left + kernel_size] = (
            dy[:, :, p, q] / (height * width)
        )[:, :, None, None]
    return dx


@planted("avg_pool2d_backward", "right for stride = kernel_size, wrong for")
def avg_pool_backward_by_repeat(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    k = kernel_size
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for n, c, p, q in np.ndindex(dy.shape):
        dx[n, c, p * k : p * k + k, q * k : q * k + k] += dy[n, c, p, q] / k**2
    return dx[:, :, padding : H + padding, padding : W + padding]


@planted("global_avg_pool2d_backward", "not divided")
def global_avg_undivided(dy, x):
    return np.broadcast_to(dy[:, :, None, None], x.shape)


@planted("global_avg_pool2d_backward", "right for square images, wrong")
def global_avg_divided_by_height_twice(dy, x):
    H = x.shape[2]
    return np.ones_like(x) * dy[:, :, None, None] / (H * H)


@planted("global_avg_pool2d_backward", "expected (3, 2, 4, 4), the shape of x")
def global_avg_not_spread(dy, x):
    return dy / (x.shape[2] * x.shape[3])


@planted("global_avg_pool2d_backward", "N·C·H·W")
def global_avg_divided_by_everything(dy, x):
    dx = np.zeros_like(x)
    for n, c in np.ndindex(dy.shape):
        dx[n, c, :, :] = dy[n, c] / x.size
    return dx


@planted("global_avg_pool2d_backward", "multiplied by x")
def global_avg_times_x(dy, x):
    return x * dy[:, :, None, None] / (x.shape[2] * x.shape[3])


@planted("global_avg_pool2d_backward", "only the first pixel")
def global_avg_to_one_pixel(dy, x):
    dx = np.zeros_like(x)
    dx[:, :, 0, 0] = dy / (x.shape[2] * x.shape[3])
    return dx


# --- linear ---------------------------------------------------------------------------------------


@planted("linear_backward", "dw: transposed")
def linear_backward_dw_transposed(dy, x, w):
    return dy @ w, x.T @ dy, dy.sum(axis=0)


@planted("linear_backward", "dx: w is transposed", "`return dy @ w.T")
def linear_backward_w_the_other_way(dy, x, w):
    return dy @ w.T, dy.T @ x, dy.sum(axis=0)


@planted("linear_backward", "db: the shape (1, M) remains")
def linear_backward_db_keepdims(dy, x, w):
    return dy @ w, dy.T @ x, np.sum(dy, axis=0, keepdims=True)


@planted("linear_backward", "dw: N times too small", "db: N times too small")
def linear_backward_mean(dy, x, w):
    N = len(x)
    return dy @ w, dy.T @ x / N, dy.mean(axis=0)


@planted("linear_backward", "db: the sum runs over the outputs")
def linear_backward_db_over_the_wrong_axis(dy, x, w):
    return np.dot(dy, w), np.dot(dy.T, x), np.sum(dy, axis=1)


@planted("linear_backward", "db: sum over the batch")
def linear_backward_db_is_dy(dy, x, w):
    return dy.dot(w), dy.T.dot(x), dy


@planted("linear_backward", "db: one number for all")
def linear_backward_db_one_number(dy, x, w):
    return dy @ w, dy.T @ x, np.sum(dy)


@planted("linear_backward", "in the order dw, db, dx; expected dx, dw, db")
def linear_backward_dw_first(dy, x, w):
    return dy.T @ x, dy.sum(axis=0), dy @ w


@planted("linear_backward", "dw: only the last row", "db: only the last row")
def linear_backward_dw_overwritten(dy, x, w):
    dx = np.zeros_like(x)
    for n in range(len(x)):
        dx[n] = w.T @ dy[n]
        dw = np.outer(dy[n], x[n])
        db = dy[n]
    return dx, dw, db


@planted("linear_backward", "dx: dy meets x", "dw: dy meets w")
def linear_backward_x_and_w_mixed_up(dy, x, w):
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for n in range(x.shape[0]):
        for m in range(w.shape[0]):
            for d in range(x.shape[1]):
                dx[n, d] += dy[n, m] * x[n, d]
                dw[m, d] += dy[n, m] * w[m, d]
    return dx, dw, dy.sum(axis=0)


# --- softmax and cross-entropy --------------------------------------------------------------------


@planted("softmax", "over the batch (axis 0)")
def softmax_axis_0(logits):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


@planted("softmax", "over all numbers")
def softmax_over_everything(logits):
    e = np.exp(logits - np.max(logits))
    return e / np.sum(e)


@planted("softmax", "exp overflows")
def softmax_overflows(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "one maximum is subtracted for the whole batch")
def softmax_one_shift_for_all_rows(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "logarithm of the softmax")
def softmax_log(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@planted("softmax", "exp is missing")
def softmax_without_exp(logits):
    return logits / logits.sum(axis=1, keepdims=True)


@planted("softmax", "not divided by the sum of its row")
def softmax_divided_by_the_largest(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.max(axis=1, keepdims=True)


@planted("softmax", "sigmoid")
def softmax_sigmoid(logits):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


@planted("softmax_cross_entropy_forward", "the sum over the batch")
def loss_sum(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] += 1 - label_smoothing
    return -(t * log_p).sum()


@planted("softmax_cross_entropy_forward", "over all N·classes numbers")
def loss_mean_over_classes_too(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -np.mean(t * log_p)


@planted("softmax_cross_entropy_forward", "the sign is wrong")
def loss_positive_log(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return np.mean(np.sum(t * log_p, axis=1))


@planted("softmax_cross_entropy_forward", "over the other classes only")
def loss_smoothing_over_the_others(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / (K - 1))
    t[np.arange(N), labels] = 1 - label_smoothing
    return -(t * log_p).sum() / N


@planted("softmax_cross_entropy_forward", "label smoothing is ignored")
def loss_without_smoothing(logits, labels, label_smoothing):
    loss = 0.0
    for z, label in zip(logits, labels, strict=True):
        z = z - z.max()
        loss -= z[label] - np.log(np.exp(z).sum())
    return loss / len(labels)


@planted("softmax_cross_entropy_forward", "the label keeps 1 - ε")
def loss_target_of_the_label_overwritten(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] = 1 - label_smoothing
    return -(t * log_p).sum() / N


@planted("softmax_cross_entropy_forward", "exp overflows")
def loss_log_of_softmax(logits, labels, label_smoothing):
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "a small number inside the logarithm")
def loss_with_epsilon(logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p + 1e-7)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "logarithm is taken afterwards")
def loss_log_of_an_underflow(logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "not added again")
def loss_forgets_to_add_the_maximum(logits, labels, label_smoothing):
    N, K = logits.shape
    top = logits.max(axis=1)
    lse = np.log(np.exp(logits - top[:, None]).sum(axis=1))
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] += 1 - label_smoothing
    return np.mean(lse - (t * logits).sum(axis=1))


@planted("softmax_cross_entropy_forward", "a loss for each row")
def loss_per_image(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * log_p).sum(axis=1)


@planted("softmax_cross_entropy_forward", "base 2")
def loss_log2(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z / np.log(2) - np.log2(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * log_p).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "the labels of all rows")
def loss_every_label_for_every_row(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    hard = -log_p[:, labels].mean()
    return (1 - label_smoothing) * hard - label_smoothing * log_p.mean()


@planted("softmax_cross_entropy_backward", "dloss is ignored")
def loss_backward_forgets_dloss(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return (p - t) / len(labels)


@planted("softmax_cross_entropy_backward", "N times too large")
def loss_backward_forgets_n(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    N, K = p.shape
    p -= label_smoothing / K
    p[np.arange(N), labels] -= 1 - label_smoothing
    return dloss * p


@planted("softmax_cross_entropy_backward", "p - t, not t - p")
def loss_backward_sign(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return dloss * (t - p) / len(labels)


@planted("softmax_cross_entropy_backward", "in the whole column of a label")
def loss_backward_subtracts_in_whole_columns(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    N, K = d.shape
    d -= label_smoothing / K
    d[:, labels] -= 1 - label_smoothing
    return dloss * d / N


@planted("softmax_cross_entropy_backward", "p alone")
def loss_backward_without_target(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return dloss * e / e.sum(axis=1, keepdims=True) / len(labels)


@planted("softmax_cross_entropy_backward", "the mean was taken twice")
def loss_backward_divides_by_n_twice(dloss, logits, labels, label_smoothing):
    N, K = logits.shape
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    t = np.full((N, K), label_smoothing / K) / N
    t[np.arange(N), labels] += (1 - label_smoothing) / N
    return dloss * (e / e.sum(axis=1, keepdims=True) / N - t) / N


@planted("softmax_cross_entropy_backward", "label smoothing is ignored")
def loss_backward_without_smoothing(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    return dloss * d / len(labels)


@planted("softmax_cross_entropy_backward", "over the other classes only")
def loss_backward_smoothing_over_the_others(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / (K - 1))
    t[np.arange(N), labels] = 1 - label_smoothing
    return dloss * (e / e.sum(axis=1, keepdims=True) - t) / N


@planted("softmax_cross_entropy_backward", "only the label's entry")
def loss_backward_label_entries_only(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    d = np.zeros_like(p)
    rows = np.arange(len(labels))
    d[rows, labels] = p[rows, labels] - (1 - label_smoothing) - label_smoothing / p.shape[1]
    return dloss * d / len(labels)


@planted("softmax_cross_entropy_backward", "of the type int64")
def loss_backward_zeros_like_labels(dloss, logits, labels, label_smoothing):
    N, K = logits.shape
    d = np.zeros_like(labels, shape=(N, K))
    for n in range(N):
        e = np.exp(logits[n] - logits[n].max())
        d[n] = dloss * e / e.sum() / N
        d[n, labels[n]] -= dloss / N
    return d


@planted("softmax", "nearly right")
def softmax_in_float16(logits):
    z = (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


@planted("linear_backward", "dx: dy meets x", "db: N times too small")
def linear_backward_two_mistakes(dy, x, w):
    dx = np.einsum("nm,nd->nd", dy, x)
    dw = np.einsum("nm,nd->md", dy, x)
    return dx, dw, np.mean(dy, axis=0)


@planted("conv2d_backward", "dw: only the last window", "db: sum over the images too")
def conv_backward_two_mistakes(dy, x, w, stride, padding, dilation):
    K, _C, kh, kw = w.shape
    N, _, H, W = x.shape
    oh, ow = dy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for p, q in np.ndindex(oh, ow):
        rows = slice(p * stride, p * stride + dilation * kh, dilation)
        cols = slice(q * stride, q * stride + dilation * kw, dilation)
        for f in range(K):
            g = dy[:, f, p, q].reshape(N, 1, 1, 1)
            dw[f] = (g * xp[:, :, rows, cols]).sum(axis=0)
            dxp[:, :, rows, cols] += g * w[f]
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum(axis=(2, 3))


# --- gradcheck ------------------------------------------------------------------------------------


@planted("gradcheck", "a dy of ones")
def gradcheck_with_dy_of_ones(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.ones_like(y)
    gradients = backward(dy, cache)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    if len(gradients) != len(inputs):
        return False
    for x, dx in zip(inputs, gradients, strict=True):
        if dx is None or np.shape(dx) != x.shape:
            return False
        for index in np.ndindex(x.shape):
            h = 1e-6 * max(abs(x[index]), 1e-3)
            changed = [a.copy() for a in inputs]
            k = next(i for i, a in enumerate(inputs) if a is x)
            changed[k][index] = x[index] + h
            up = np.sum(forward(*changed)[0])
            changed[k][index] = x[index] - h
            down = np.sum(forward(*changed)[0])
            numeric = (up - down) / (2 * h)
            if not abs(numeric - dx[index]) <= 1e-4 * max(1e-3, abs(numeric), abs(dx[index])):
                return False
    return True


def _gradcheck(forward, backward, inputs, step, close, count=None):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    gradients = backward(dy, cache)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    if len(gradients) != len(inputs):
        return False
    for k, (x, dx) in enumerate(zip(inputs, gradients, strict=True)):
        if dx is None or np.shape(dx) != x.shape:
            return False
        for index in list(np.ndindex(x.shape))[:count]:
            h = step(x[index])
            changed = [a.copy() for a in inputs]
            changed[k][index] = x[index] + h
            up = np.sum(dy * forward(*changed)[0])
            changed[k][index] = x[index] - h
            down = np.sum(dy * forward(*changed)[0])
            if not close((up - down) / (2 * h), dx[index]):
                return False
    return True


@planted("gradcheck", "small values")
def gradcheck_fixed_step(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-3,
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b)) + 1e-9,
    )


@planted("gradcheck", "NaN compares false")
def gradcheck_nan_passes(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: not (abs(a - b) > 1e-4 * max(abs(a), abs(b), 1e-3)),
    )


@planted("gradcheck", "absolute scale")
def gradcheck_absolute_error(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-5 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) < 1e-6,
    )


@planted("gradcheck", "the sign is lost")
def gradcheck_compares_sizes(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(abs(a) - abs(b)) <= 1e-4 * max(abs(a), abs(b), 1e-3),
    )


@planted("gradcheck", "an error of one element")
def gradcheck_first_element(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b), 1e-3),
        1,
    )


@planted("gradcheck", "it returned None", "Return True")
def gradcheck_returns_nothing(forward, backward, inputs):
    assert _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b), 1e-3),
    )


@planted("gradcheck", "a gradient too few goes unnoticed")
def gradcheck_zip_stops_early(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    gradients = backward(dy, cache)
    if len(inputs) == 1:
        gradients = (gradients,)
    for k, (x, dx) in enumerate(zip(inputs, gradients, strict=False)):
        dx = np.asarray(dx)
        if dx.shape != x.shape:
            return False
        numeric = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            h = 1e-6 * max(1e-3, abs(x[index]))
            changed = [a.copy() for a in inputs]
            changed[k][index] += h
            up = np.sum(dy * forward(*changed)[0])
            changed[k][index] -= 2 * h
            numeric[index] = (up - np.sum(dy * forward(*changed)[0])) / (2 * h)
        if not np.allclose(numeric, dx, rtol=1e-4, atol=1e-6 * np.abs(numeric).max()):
            return False
    return True


@planted("gradcheck", "it accepts everything")
def gradcheck_always_true(forward, backward, inputs):
    y, cache = forward(*inputs)
    backward(np.ones_like(y), cache)
    return True


# --- concat, fire ---------------------------------------------------------------------------------


@planted("concat_backward", "cut into equal parts", "it returned 2 values")
def concat_backward_halves(dy, arrays):
    half = dy.shape[1] // 2
    return [dy[:, :half], dy[:, half:]]


@planted("concat_backward", "cut into equal parts")
def concat_backward_equal_parts(dy, arrays):
    c = dy.shape[1] // len(arrays)
    return [dy[:, k * c : (k + 1) * c] for k in range(len(arrays))]


@planted("concat_backward", "starts at channel 0")
def concat_backward_never_advances(dy, arrays):
    return [dy[:, : a.shape[1]] for a in arrays]


@planted("concat_backward", "the numbers are right, but they come in the order")
def concat_backward_reversed(dy, arrays):
    out, end = [], dy.shape[1]
    for a in arrays[::-1]:
        out.append(dy[:, end - a.shape[1] : end])
        end -= a.shape[1]
    return out


@planted("concat_backward", "cut along axis 0")
def concat_backward_wrong_axis(dy, arrays):
    return np.split(dy, np.cumsum([a.shape[1] for a in arrays])[:-1], axis=0)


@planted("concat_backward", "the places to cut")
def concat_backward_sizes_instead_of_positions(dy, arrays):
    return np.split(dy, [a.shape[1] for a in arrays[:-1]], axis=1)


@planted("concat_backward", "gets all of dy")
def concat_backward_returns_dy(dy, arrays):
    return [dy for _ in arrays]


@planted("concat_backward", "the arrays themselves")
def concat_backward_returns_arrays(dy, arrays):
    return [a.copy() for a in arrays]


@planted("concat_backward", "the last channel of each part is missing")
def concat_backward_offset_of_one(dy, arrays):
    out, first = [], 0
    for a in arrays:
        last = first + a.shape[1] - 1
        out.append(dy[:, first:last])
        first = last + 1
    return tuple(out)


def _fire(x, parameters):
    """The first lines of every student: the forward pass, step by step."""
    s, squeeze = F.conv2d_forward(x, parameters["squeeze.weight"], parameters["squeeze.bias"])
    h = np.maximum(s, 0)
    caches, outputs = {}, []
    for k in (1, 3, 5):
        if f"expand{k}x{k}.weight" in parameters:
            w, b = parameters[f"expand{k}x{k}.weight"], parameters[f"expand{k}x{k}.bias"]
            y, caches[f"expand{k}x{k}"] = F.conv2d_forward(h, w, b, padding=k // 2)
            outputs.append(y)
    return s, squeeze, caches, np.concatenate(outputs, axis=1)


@planted("fire_backward", "dx: the bypass is missing")
def fire_backward_forgets_bypass(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
    return dx, g


@planted("fire_backward", "through the ReLU; here the bypass")
def fire_backward_bypass_through_relu(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dj
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dj, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "only the last expand branch")
def fire_backward_last_branch_only(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    first = 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        dh, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        first = last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "the ReLU behind the squeeze convolution is missing")
def fire_backward_forgets_the_squeeze_relu(dy, x, parameters, bypass):
    _s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh, squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "the ReLU behind the expand convolutions is missing")
def fire_backward_forgets_the_outer_relu(dy, x, parameters, bypass):
    s, squeeze, caches, _joined = _fire(x, parameters)
    g = {}
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dy[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "right for branches of equal size, wrong for branches of different size")
def fire_backward_split_in_halves(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    half = dj.shape[1] // 2
    parts = [dj[:, :half], dj[:, half:]]
    dh = 0
    for part, (name, cache) in zip(parts, caches.items(), strict=True):
        part = np.ascontiguousarray(part)
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh = dh + d
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "the mask of the ReLU behind the squeeze convolution")
def fire_backward_squeeze_mask_of_the_gradient(dy, x, parameters, bypass):
    _s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (dh > 0), squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "wrong for a 5x5 branch", "expand5x5.bias are missing")
def fire_backward_two_branches(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    e1 = len(parameters["expand1x1.bias"])
    e3 = len(parameters["expand3x3.bias"])
    d1 = np.ascontiguousarray(dj[:, :e1])
    d3 = np.ascontiguousarray(dj[:, e1 : e1 + e3])
    dh1, g["expand1x1.weight"], g["expand1x1.bias"] = F.conv2d_backward(d1, caches["expand1x1"])
    dh3, g["expand3x3.weight"], g["expand3x3.bias"] = F.conv2d_backward(d3, caches["expand3x3"])
    ds = (dh1 + dh3) * (s > 0)
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(ds, squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


# --- fire_channels --------------------------------------------------------------------------------


def _branches(config, e):
    sizes = sorted(k for k, share in config["expand"].items() if share > 0)
    expand = {k: round(config["expand"][k] * e) for k in sizes[:-1]}
    expand[sizes[-1]] = e - sum(expand.values())
    return expand


def _total(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["width"] * e))


@planted("fire_channels", "rounded down")
def fire_channels_truncates(config, i):
    e = int(config["width"] * (config["base_e"] + config["incr_e"] * (i // config["freq"])))
    e = max(e, 1)
    return max(1, int(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "each branch is rounded by itself")
def fire_channels_rounds_every_branch(config, i):
    e = _total(config, i)
    expand = {k: round(v * e) for k, v in sorted(config["expand"].items()) if v > 0}
    return max(1, round(config["squeeze_ratio"] * e)), expand


@planted("fire_channels", "i/freq is rounded down")
def fire_channels_true_division(config, i):
    e = config["base_e"] + config["incr_e"] * i / config["freq"]
    e = max(1, round(config["width"] * e))
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "the width is ignored")
def fire_channels_without_width(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "i counts from 0")
def fire_channels_counts_from_one(config, i):
    e = _total(config, i + 1)
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "at least one squeeze filter")
def fire_channels_zero_squeeze(config, i):
    e = _total(config, i)
    return round(config["squeeze_ratio"] * e), _branches(config, e)


@planted("fire_channels", "share is 0")
def fire_channels_keeps_empty_branches(config, i):
    e = _total(config, i)
    sizes = sorted(config["expand"])
    expand = {k: round(config["expand"][k] * e) for k in sizes[:-1]}
    expand[sizes[-1]] = e - sum(expand.values())
    return max(1, round(config["squeeze_ratio"] * e)), expand


@planted("fire_channels", "after the width")
def fire_channels_squeeze_before_width(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, _total(config, i))


@planted("fire_channels", "not to one branch")
def fire_channels_squeeze_of_one_branch(config, i):
    expand = _branches(config, _total(config, i))
    return max(1, round(config["squeeze_ratio"] * expand[3])), expand


@planted("fire_channels", "expected (squeeze filters, {kernel size: expand filters})")
def fire_channels_swapped(config, i):
    e = _total(config, i)
    return _branches(config, e), max(1, round(config["squeeze_ratio"] * e))


# --- a second round, written after the first was diagnosed ----------------------------------


@planted("conv2d_forward", "right for dilation 1, wrong for a dilation above 1")
def conv_forward_dilation_for_columns_only(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for p, q in np.ndindex(oh, ow):
        r, s = p * stride, q * stride
        window = x[:, :, r : r + kh, s : s + dilation * kw : dilation]
        y[:, :, p, q] = np.einsum("ncij,fcij->nf", window, w) + b
    return y


@planted("conv2d_forward", "rows and columns of the kernel are exchanged")
def conv_forward_transposed_kernel(x, w, b, stride, padding, dilation):
    kh, kw = w.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1), (2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("ncpqij,fcji->nfpq", windows, w) + b[:, None, None]


@planted("conv2d_forward", "right for stride 1, wrong for a stride above 1")
def conv_forward_stride_on_rows_only(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for p, q in np.ndindex(oh, ow):
        window = x[:, :, p * stride :, q:][
            :, :, : dilation * kh : dilation, : dilation * kw : dilation
        ]
        y[:, :, p, q] = np.tensordot(window, w, ((1, 2, 3), (1, 2, 3))) + b
    return y


@planted("conv2d_forward", "it raised ValueError", "could not be broadcast")
def conv_forward_bias_on_the_last_axis(x, w, b, stride, padding, dilation):
    kh, kw = w.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1), (2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("ncpqij,fcij->nfpq", windows, w) + b


@planted("conv2d_forward", "a row and a column too few (+ 1)")
def conv_forward_output_too_small(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride
    y = np.zeros((N, K, oh, ow))
    for p, q in np.ndindex(oh, ow):
        r, s = p * stride, q * stride
        window = x[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
        y[:, :, p, q] = np.einsum("ncij,fcij->nf", window, w) + b
    return y


@planted("conv2d_forward", "were they never written to?")
def conv_forward_last_row_never_written(x, w, b, stride, padding, dilation):
    N, _C, H, W = x.shape
    K, _, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for p in range(oh - 1):
        for q in range(ow - 1):
            r, s = p * stride, q * stride
            window = x[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            y[:, :, p, q] = np.einsum("ncij,fcij->nf", window, w) + b
    return y


@planted(
    "conv2d_forward", "right for a batch of one, wrong", "the right numbers in the wrong places"
)
def conv_forward_images_of_the_batch_reversed(x, w, b, stride, padding, dilation):
    kh, kw = w.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1), (2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    N, _C, oh, ow = windows.shape[:4]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * oh * ow, -1)
    return (w.reshape(len(w), -1) @ rows.T + b[:, None]).reshape(N, len(w), oh, ow)


@planted("conv2d_backward", "it returned 2 values; expected dx, dw, db")
def conv_backward_two_results(dy, x, w, stride, padding, dilation):
    dx, dw, _ = EXERCISES["conv2d_backward"].answer(dy, x, w, stride, padding, dilation)
    return dx, dw


@planted(
    "conv2d_backward",
    "already: db",
    "dx: right for a batch of one, wrong",
    "dw: right for a batch of one, wrong",
)
def conv_backward_reshape_instead_of_transpose(dy, x, w, stride, padding, dilation):
    K = len(w)
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    n, k, p = columns.shape
    all_columns = columns.transpose(1, 0, 2).reshape(k, n * p)
    dy_matrix = dy.reshape(K, n * p)
    dw = (dy_matrix @ all_columns.T).reshape(w.shape)
    dcolumns = (w.reshape(K, -1).T @ dy_matrix).reshape(k, n, p).transpose(1, 0, 2)
    dx = F.col2im(dcolumns, x.shape, w.shape[2:], stride, padding, dilation)
    return dx, dw, dy.sum(axis=(0, 2, 3))


@planted("conv2d_backward", "dw: N times too small")
def conv_backward_mean_over_images_for_dw(dy, x, w, stride, padding, dilation):
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    dy_matrix = dy.reshape(*dy.shape[:2], -1)
    dw = (dy_matrix @ columns.transpose(0, 2, 1)).mean(axis=0).reshape(w.shape)
    dcolumns = w.reshape(len(w), -1).T @ dy_matrix
    dx = F.col2im(dcolumns, x.shape, w.shape[2:], stride, padding, dilation)
    return dx, dw, dy_matrix.sum(axis=(0, 2))


@planted("conv2d_backward", "dw: the sum over the images is missing", "db: sum over the images too")
def conv_backward_dw_of_the_unsummed_batch(dy, x, w, stride, padding, dilation):
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    dy_matrix = dy.reshape(*dy.shape[:2], -1)
    dw = dy_matrix @ columns.transpose(0, 2, 1)
    dcolumns = w.reshape(len(w), -1).T @ dy_matrix
    dx = F.col2im(dcolumns, x.shape, w.shape[2:], stride, padding, dilation)
    return dx, dw.reshape(len(x), *w.shape), dy_matrix.sum(axis=2)


@planted(
    "conv2d_backward",
    "dw: it has shape (4, 18), expected (4, 2, 3, 3), the shape of w: the numbers are right",
)
def conv_backward_dw_as_matrix(dy, x, w, stride, padding, dilation):
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    dy_matrix = dy.reshape(*dy.shape[:2], -1)
    dw = np.einsum("nfp,nkp->fk", dy_matrix, columns)
    dx = F.col2im(
        w.reshape(len(w), -1).T @ dy_matrix, x.shape, w.shape[2:], stride, padding, dilation
    )
    return dx, dw, dy_matrix.sum(axis=(0, 2))


@planted("conv2d_backward", "dx: the padding is cut off on one side only")
def conv_backward_dx_forgets_padding_offset(dy, x, w, stride, padding, dilation):
    _N, _C, H, W = x.shape
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for n, f, p, q in np.ndindex(dy.shape):
        for c, i, j in np.ndindex(w.shape[1:]):
            h, v = p * stride + i * dilation, q * stride + j * dilation
            dw[f, c, i, j] += dy[n, f, p, q] * xp[n, c, h, v]
            if h < H and v < W:
                dx[n, c, h, v] += dy[n, f, p, q] * w[f, c, i, j]
    return dx, dw, dy.sum(axis=(0, 2, 3))


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


@planted("avg_pool2d_backward", "start at [padding], not at [0]")
def avg_pool_backward_off_by_padding(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for p, q in np.ndindex(*dy.shape[2:]):
        window = dx[
            :, :, p * stride : p * stride + kernel_size, q * stride : q * stride + kernel_size
        ]
        window += dy[:, :, p, q][:, :, None, None] / (window.shape[2] * window.shape[3])
    return dx[:, :, :H, :W]


@planted("avg_pool2d_backward", "the padding is still there")
def avg_pool_backward_keeps_padding(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, H, W = x.shape
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for p, q in np.ndindex(*dy.shape[2:]):
        window = dx[
            :, :, p * stride : p * stride + kernel_size, q * stride : q * stride + kernel_size
        ]
        window += dy[:, :, p, q][:, :, None, None] / (window.shape[2] * window.shape[3])
    return dx


@planted("softmax_cross_entropy_forward", "nothing is taken from the label")
def loss_smoothing_added(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return -(t * log_p).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "squared error")
def loss_squared_error(logits, labels, label_smoothing):
    p = F.softmax(logits)
    t = (1 - label_smoothing) * np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return ((p - t) ** 2).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "the logarithm of the probability is missing")
def loss_probability_instead_of_log(logits, labels, label_smoothing):
    p = F.softmax(logits)
    return -p[np.arange(len(labels)), labels].mean()


@planted("softmax_cross_entropy_backward", "nothing is taken from the label")
def loss_backward_smoothing_added(dloss, logits, labels, label_smoothing):
    p = F.softmax(logits)
    t = np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return dloss * (p - t) / len(labels)


@planted("softmax_cross_entropy_backward", "at the largest logit")
def loss_backward_of_the_largest(dloss, logits, labels, label_smoothing):
    d = F.softmax(logits)
    d -= label_smoothing / d.shape[1]
    d[np.arange(len(d)), logits.argmax(axis=1)] -= 1 - label_smoothing
    return dloss * d / len(d)


@planted("gradcheck", "curved functions are rejected")
def gradcheck_one_sided(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    g = backward(dy, cache)
    g = g if isinstance(g, tuple) else (g,)
    if len(g) != len(inputs):
        return False
    for k, x in enumerate(inputs):
        if g[k] is None or g[k].shape != x.shape:
            return False
        for i in np.ndindex(x.shape):
            moved = [a.copy() for a in inputs]
            moved[k][i] += 1e-3
            n = np.sum(dy * (forward(*moved)[0] - y)) / 1e-3
            if not abs(n - g[k][i]) <= 1e-5 * max(abs(n), abs(g[k][i]), 1e-3):
                return False
    return True


@planted("gradcheck", "a loose tolerance")
def gradcheck_loose(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-1 * max(abs(a), abs(b), 1e-3),
    )


@planted("fire_backward", "dx, squeeze.weight and squeeze.bias: the mean of what the branches")
def fire_backward_mean_of_the_branches(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, memory in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, memory)
        dh, first = dh + d / len(caches), last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, memory = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, memory)
        dx = dx + d
    return dx, g


@planted("fire_backward", "dx: right for no bypass, wrong for a bypass")
def fire_backward_bypass_overwrites_dx(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, memory in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, memory)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dy
    if bypass == "complex":
        _, memory = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        dx, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, memory)
    return dx, g


@planted("he_normal", "sqrt(6/fan_in)")
def he_with_six(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(6 / np.prod(shape[1:]))


@planted("he_normal", "right for matrices (out, in), wrong for filters")
def he_fan_in_of_matrices_only(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / shape[-1])


@planted("normalize", "255 times what it should be")
def normalize_mean_in_bytes(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return (images - 255 * mean) / std


@planted("normalize", "the axes stand in another order")
def normalize_channels_last(images, mean, std):
    return (images.transpose(0, 2, 3, 1) / 255 - np.array(mean)) / np.array(std)


@planted("relu_backward", "right but for places where 0 is expected")
def relu_backward_leaves_x(dy, x):
    return np.where(x > 0, dy, x)


@planted("relu_backward", "right but for places where 0 is expected")
def relu_backward_ones(dy, x):
    return np.where(x > 0, dy, 1)


@planted("linear_backward", "dx: M (the number of outputs) times too small")
def linear_backward_divided_by_m(dy, x, w):
    return dy @ w / len(w), dy.T @ x, dy.sum(axis=0)


@planted(
    "linear_backward", "dx: twice too large", "dw: the sign is wrong", "db: it is zero everywhere"
)
def linear_backward_dx_twice(dy, x, w):
    dx = np.zeros_like(x)
    for _ in range(2):
        dx += dy @ w
    return dx, -(dy.T @ x), np.zeros(len(w))


@planted("global_avg_pool2d_backward", "each pixel should get its share")
def global_avg_keeps_the_dims(dy, x):
    return (dy / (x.shape[2] * x.shape[3]))[:, :, None, None]


@planted("softmax", "of each column was subtracted")
def softmax_max_over_axis_0(logits):
    e = np.exp(logits - logits.max(axis=0, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "could not be broadcast")
def softmax_no_keepdims(logits):
    e = np.exp(logits - logits.max(axis=1)[:, None])
    return e / e.sum(axis=1)


@planted("softmax", "1 for the largest logit")
def softmax_one_hot(logits):
    return np.eye(logits.shape[1])[logits.argmax(axis=1)]


@planted("softmax", "2 to the power of z")
def softmax_base_two(logits):
    e = 2.0 ** (logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@planted("fire_channels", "the squeeze filters are taken from the total")
def fire_channels_expand_is_the_rest(config, i):
    e = _total(config, i)
    squeeze = max(1, round(config["squeeze_ratio"] * e))
    return squeeze, _branches(config, e - squeeze)


@planted(
    "fire_channels",
    "squeeze: right for width 1, wrong",
    "(size, filters): right for width 1, wrong",
)
def fire_channels_width_on_base_only(config, i):
    e = round(config["width"] * config["base_e"]) + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "the first kernel size takes what is left")
def fire_channels_first_takes_the_rest(config, i):
    e = _total(config, i)
    sizes = sorted(k for k, share in config["expand"].items() if share > 0)
    expand = {k: round(config["expand"][k] * e) for k in sizes[1:]}
    return max(1, round(config["squeeze_ratio"] * e)), {
        sizes[0]: e - sum(expand.values()),
        **expand,
    }


@planted("concat_backward", "it returned one array of float64")
def concat_backward_stacked(dy, arrays):
    return np.stack([dy[:, : arrays[0].shape[1]] for _ in arrays])


@planted("concat_backward", "dy is multiplied by the arrays")
def concat_backward_adds_the_array(dy, arrays):
    out, first = [], 0
    for a in arrays:
        out.append(dy[:, first : first + a.shape[1]] * a)
        first += a.shape[1]
    return out


@pytest.mark.parametrize(
    ("name", "function", "words"), PLANTED, ids=[function.__name__ for _, function, _ in PLANTED]
)
def test_a_planted_mistake_is_named(name: str, function: Function, words: tuple[str, ...]) -> None:
    exercise = EXERCISES[name]
    verdict = judge(exercise, function, 30)
    assert not verdict.passed
    for word in words:
        assert word in verdict.message
    # and it is accused of nothing else
    for line in verdict.message.splitlines():
        for mistake in exercise.mistakes:
            if line.endswith(mistake.meaning):
                assert any(word in line for word in words)


def test_many_mistakes_are_planted_in_all_functions() -> None:
    assert len(PLANTED) >= 45
    assert {name for name, _, _ in PLANTED} == EXERCISES.keys()
    assert len({function.__name__ for _, function, _ in PLANTED}) == len(PLANTED)


@functools.cache
def of_results(name: str) -> Exercise:
    """Return the exercise for functions that return their results by name."""
    exercise = EXERCISES[name]
    rights = cycle(exercise.right)
    return replace(
        exercise, answer=lambda *_: next(rights), read=lambda results, _: results, function=None
    )


def results_of(mistake: Mistake, arguments: Arguments, right: Results) -> Results:
    """Return what a function that makes this mistake, and no other, returns."""
    try:
        with np.errstate(all="ignore"):
            wrong = mistake.wrong(arguments, right)
    except Exception:  # it cannot be made with these arguments
        wrong = {}
    return right | {name: np.asarray(wrong[name]) for name in wrong if name in right}


KNOWN = [
    pytest.param(name, mistake, id=f"{name}-{mistake.meaning[:40]}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]


@pytest.mark.parametrize(("name", "mistake"), KNOWN)
def test_who_makes_a_known_mistake_is_told_so(name: str, mistake: Mistake) -> None:
    exercise = of_results(name)
    cases = cycle(zip(exercise.cases, exercise.right, strict=True))

    def function(*values: Any) -> Results:
        for value in values:
            if isinstance(value, np.random.Generator):
                value.normal()
        return results_of(mistake, *next(cases))

    verdict = judge(exercise, function, 30)
    assert not verdict.passed
    assert mistake.meaning in verdict.message
