import numpy as np

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from npsqueeze.exercises import EXERCISES
from tests.exercise_checks import Planted

planted = Planted()


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


@planted("conv2d_backward", "db: it has shape (1, 6, 1, 1)", "reshape them")
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


@planted("conv2d_backward", "dw: x is padded below and on the right only")
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
    "dw: it has shape (6, 36), expected (6, 4, 3, 3), the shape of w: the numbers are right",
)
def conv_backward_dw_as_matrix(dy, x, w, stride, padding, dilation):
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    dy_matrix = dy.reshape(*dy.shape[:2], -1)
    dw = np.einsum("nfp,nkp->fk", dy_matrix, columns)
    dx = F.col2im(
        w.reshape(len(w), -1).T @ dy_matrix, x.shape, w.shape[2:], stride, padding, dilation
    )
    return dx, dw, dy_matrix.sum(axis=(0, 2))


@planted("conv2d_backward", "dx: all of it stands padding too far down and right")
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


test_a_planted_mistake_is_named = planted.test()
