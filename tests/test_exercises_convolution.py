import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from tests.exercise_checks import Planted

planted = Planted()


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


@planted("conv2d_forward", "rows and columns of the kernel are exchanged")
def conv_forward_transposed_kernel(x, w, b, stride, padding, dilation):
    kh, kw = w.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, (dilation * (kh - 1) + 1, dilation * (kw - 1) + 1), (2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("ncpqij,fcji->nfpq", windows, w) + b[:, None, None]


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


@planted("conv2d_forward", "stride and dilation are exchanged")
def conv_forward_stride_and_dilation_exchanged(x, w, b, stride, padding, dilation):
    return F.conv2d_forward(x, w, b, dilation, padding, stride)[0]


test_a_planted_mistake_is_named = planted.test()
