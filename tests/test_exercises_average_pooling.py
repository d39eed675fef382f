import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


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


@planted("avg_pool2d_backward", "number of the window's pixels")
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


@planted("avg_pool2d_backward", "padding too far down and right")
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


@planted("global_avg_pool2d_backward", "each pixel should get its share")
def global_avg_keeps_the_dims(dy, x):
    return (dy / (x.shape[2] * x.shape[3]))[:, :, None, None]


@planted("global_avg_pool2d_backward", "divided by N·C")
def global_avg_divided_by_images_and_channels(dy, x):
    return np.zeros_like(x) + dy[:, :, None, None] / (x.shape[0] * x.shape[1])


test_a_planted_mistake_is_named = planted.test()
