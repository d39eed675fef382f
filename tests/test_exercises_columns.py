import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from tests.exercise_checks import Planted

planted = Planted()


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


@planted("im2col", "stride and dilation are exchanged")
def im2col_stride_and_dilation_exchanged(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    N, C, H, W = x.shape
    oh = (H + 2 * padding - stride * (kh - 1) - 1) // dilation + 1
    ow = (W + 2 * padding - stride * (kw - 1) - 1) // dilation + 1
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = np.zeros((N, C, kh, kw, oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows = i * stride + dilation * np.arange(oh)
            cols = j * stride + dilation * np.arange(ow)
            columns[:, :, i, j] = xp[:, :, rows[:, None], cols]
    return columns.reshape(N, -1, oh * ow)


@planted("im2col", "the columns run over (q, p)")
def im2col_windows_column_by_column(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (xp.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    ow = (xp.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    columns = []
    for s in range(0, ow * stride, stride):
        for r in range(0, oh * stride, stride):
            window = xp[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
            columns.append(window.reshape(len(x), -1))
    return np.stack(columns, axis=2)


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


@planted("col2im", "padding too far down and right")
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


@planted("col2im", "some of the padding is still there")
def col2im_cuts_at_two_sides_only(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, kh, kw, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, :, i, j]
    return dx[:, :, padding:, padding:]


@planted("col2im", "it takes the columns for (N, C, oh, ow, kh, kw)")
def col2im_windows_first(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, C, oh, ow, kh, kw)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for p, q in np.ndindex(oh, ow):
        r, s = p * stride, q * stride
        window = dx[:, :, r : r + dilation * kh : dilation, s : s + dilation * kw : dilation]
        window += split[:, :, p, q]
    return dx[:, :, padding : padding + H, padding : padding + W]


@planted("col2im", "it takes the rows to run over (i, j, c)")
def col2im_channels_last(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    split = columns.reshape(N, kh, kw, C, oh, ow)
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(kh, kw):
        r, s = i * dilation, j * dilation
        dx[:, :, r : r + stride * oh : stride, s : s + stride * ow : stride] += split[:, i, j]
    return dx[:, :, padding : padding + H, padding : padding + W]


test_a_planted_mistake_is_named = planted.test()
