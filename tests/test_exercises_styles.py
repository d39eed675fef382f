import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from npsqueeze import GradientError, kernels, reference
from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from npsqueeze.exercises import EXERCISES
from npsqueeze.exercises.checking import judge

Function = Callable[..., Any]
RIGHT: list[tuple[str, Function]] = []


def right(exercise: str) -> Callable[[Function], Function]:
    """Collect a right function, in whatever style it is written."""

    def collect(function: Function) -> Function:
        RIGHT.append((exercise, function))
        return function

    return collect


# --- plain loops ----------------------------------------------------------------------------------


@right("conv2d_forward")
def conv_seven_loops(x, w, b, stride, padding, dilation):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((N, K, oh, ow))
    for n, f, p, q in itertools.product(*map(range, y.shape)):
        total = b[f]
        for c, i, j in itertools.product(range(C), range(kh), range(kw)):
            h = p * stride + i * dilation - padding
            v = q * stride + j * dilation - padding
            if 0 <= h < H and 0 <= v < W:
                total += w[f, c, i, j] * x[n, c, h, v]
        y[n, f, p, q] = total
    return y


@right("relu_forward")
def relu_number_by_number(x):
    return np.array([0.0 if v < 0 else v for v in x.ravel()]).reshape(x.shape)


@right("linear_backward")
def linear_backward_lists(dy, x, w):
    N, M, D = len(dy), len(w), len(w[0])
    dx = [[sum(dy[n][m] * w[m][d] for m in range(M)) for d in range(D)] for n in range(N)]
    dw = [[sum(dy[n][m] * x[n][d] for n in range(N)) for d in range(D)] for m in range(M)]
    db = [sum(dy[n][m] for n in range(N)) for m in range(M)]
    return [dx, dw, db]


@right("softmax_cross_entropy_forward")
def loss_with_math(logits, labels, label_smoothing):
    loss = 0
    for z, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(z)
        lse = top + math.log(sum(math.exp(v - top) for v in z))
        for k, v in enumerate(z):
            target = label_smoothing / len(z) + (1 - label_smoothing) * (k == label)
            loss += target * (lse - v)
    return loss / len(labels)


@right("fire_channels")
def fire_channels_with_a_while(config, i):
    e = config["base_e"]
    while i >= config["freq"]:
        e += config["incr_e"]
        i -= config["freq"]
    e = max(1, round(e * config["width"]))
    sizes = [k for k in sorted(config["expand"]) if config["expand"][k]]
    expand, rest = {}, e
    for k in sizes:
        expand[k] = rest if k == sizes[-1] else round(config["expand"][k] * e)
        rest -= expand[k]
    return [max(1, round(config["squeeze_ratio"] * e)), expand]


# --- einsum, tensordot, views ---------------------------------------------------------------------


def _windows(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span = dilation * (kh - 1) + 1, dilation * (kw - 1) + 1
    view = sliding_window_view(x, span, axis=(2, 3))
    return view[:, :, ::stride, ::stride, ::dilation, ::dilation]


@right("conv2d_forward")
def conv_einsum(x, w, b, stride, padding, dilation):
    windows = _windows(x, w.shape[2:], stride, padding, dilation)
    return np.einsum("ncpqij,fcij->nfpq", windows, w) + b[:, None, None]


@right("conv2d_forward")
def conv_tensordot_not_contiguous(x, w, b, stride, padding, dilation):
    windows = _windows(x, w.shape[2:], stride, padding, dilation)
    return (np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))) + b).transpose(0, 3, 1, 2)


@right("im2col")
def im2col_view(x, kernel_size, stride, padding, dilation):
    windows = _windows(x, kernel_size, stride, padding, dilation).transpose(0, 1, 4, 5, 2, 3)
    N, C, kh, kw, oh, ow = windows.shape
    return windows.reshape(N, C * kh * kw, oh * ow)


@right("im2col")
def im2col_as_strided(x, kernel_size, stride, padding, dilation):
    kh, kw = kernel_size
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = x.shape
    oh = (H - dilation * (kh - 1) - 1) // stride + 1
    ow = (W - dilation * (kw - 1) - 1) // stride + 1
    sn, sc, sh, sw = x.strides
    strides = sn, sc, dilation * sh, dilation * sw, stride * sh, stride * sw
    return as_strided(x, (N, C, kh, kw, oh, ow), strides).reshape(N, C * kh * kw, -1)


@right("max_pool2d_forward")
def max_pool_view(x, kernel_size, stride, padding, ceil_mode):
    _N, _C, H, W = x.shape
    oh = F.output_size(H, kernel_size, stride, padding, ceil_mode=ceil_mode)
    ow = F.output_size(W, kernel_size, stride, padding, ceil_mode=ceil_mode)
    edges = (padding, padding + stride)
    x = np.pad(x, ((0, 0), (0, 0), edges, edges), constant_values=-np.inf)
    view = sliding_window_view(x, (kernel_size, kernel_size), axis=(2, 3))
    return view[:, :, ::stride, ::stride].max(axis=(4, 5))[:, :, :oh, :ow]


@right("softmax_cross_entropy_backward")
def loss_backward_jacobian(dloss, logits, labels, label_smoothing):
    p = F.softmax(logits)
    N, K = p.shape
    t = (1 - label_smoothing) * np.eye(K)[labels] + label_smoothing / K
    # -t·log p, through the logarithm and through the softmax of each row, without a division by 0
    log_jacobian = np.eye(K) - p[:, None, :]
    return np.einsum("nk,nkj->nj", -t, log_jacobian) * dloss / N


# --- index arrays ---------------------------------------------------------------------------------


@right("col2im")
def col2im_add_at(columns, x_shape, kernel_size, stride, padding, dilation):
    N, C, H, W = x_shape
    kh, kw = kernel_size
    oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (W + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    i, j, p, q = np.indices((kh, kw, oh, ow))
    rows, cols = p * stride + i * dilation, q * stride + j * dilation
    x = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    np.add.at(x, (..., rows, cols), columns.reshape(N, C, kh, kw, oh, ow))
    return x[..., padding : H + padding, padding : W + padding]


@right("col2im")
def col2im_bincount(columns, x_shape, kernel_size, stride, padding, dilation):
    places = np.arange(np.prod(x_shape), dtype=float).reshape(x_shape) + 1
    where = F.im2col(places, kernel_size, stride, padding, dilation).astype(int)
    sums = np.bincount(where.ravel(), columns.ravel(), minlength=places.size + 1)
    return sums[1:].reshape(x_shape)  # place 0 is the padding


@right("max_pool2d_backward")
def max_pool_backward_add_at(dy, x, kernel_size, stride, padding, ceil_mode):
    N, C, _H, _W = x.shape
    oh, ow = dy.shape[2:]
    edges = (padding, padding + stride)
    xp = np.pad(x, ((0, 0), (0, 0), edges, edges), constant_values=-np.inf)
    view = sliding_window_view(xp, (kernel_size, kernel_size), axis=(2, 3))
    best = view[:, :, ::stride, ::stride][:, :, :oh, :ow].reshape(N, C, oh, ow, -1).argmax(-1)
    n, c, p, q = np.indices(dy.shape)
    dx = np.zeros_like(x)
    h = p * stride - padding + best // kernel_size
    w = q * stride - padding + best % kernel_size
    np.add.at(dx, (n, c, h, w), dy)
    return dx


@right("softmax_cross_entropy_forward")
def loss_by_take_along_axis(logits, labels, label_smoothing):
    lse = np.logaddexp.reduce(logits, axis=1)
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return np.mean(lse - (1 - label_smoothing) * own - label_smoothing * logits.mean(axis=1))


# --- recursion, functions of functions, classes ---------------------------------------------------


@right("concat_backward")
def concat_backward_recursive(dy, arrays):
    if not arrays:
        return ()
    count = arrays[0].shape[1]
    return (dy[:, :count], *concat_backward_recursive(dy[:, count:], arrays[1:]))


@right("concat_backward")
def concat_backward_pops(dy, cache):
    channels = [each.shape[1] for each in F.concat_backward(dy, cache)]
    return list(np.split(dy, list(itertools.accumulate(channels))[:-1], axis=1))


@right("output_size")
def output_size_counts(size, kernel_size, stride, padding, dilation):
    reach = dilation * (kernel_size - 1) + 1
    return len([*range(0, size + 2 * padding - reach + 1, stride)])


@right("output_size")
def output_size_numpy(size, kernel_size, stride, padding, dilation):
    return np.int64(np.floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1)


class ReLU:
    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, dy, x):
        return np.where(x <= self.threshold, 0, dy)


RIGHT += [
    ("relu_backward", ReLU(0.0)),
    ("relu_backward", lambda dy, x: functools.reduce(operator.mul, (dy, ~(x <= 0)))),
    ("relu_forward", functools.partial(np.maximum, 0.0)),
    ("relu_forward", functools.partial(np.clip, a_min=0, a_max=None)),
    ("relu_forward", lambda x: np.maximum(x, 0).astype(np.float32)),
]


@right("relu_backward")
def relu_backward_of_the_cache(dy, cache):
    return F.relu_backward(dy, cache)


def passed_on(function: Function) -> Function:
    @functools.wraps(function)
    def inner(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return inner


@right("softmax")
@passed_on
@passed_on
def softmax_decorated(logits):
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


@right("softmax")
def softmax_columns(logits, *, axis=1):
    rows = [np.exp(row - row.max()) for row in logits]
    return np.stack([row / row.sum() for row in rows])


@right("he_normal")
def he_scaled_afterwards(shape, generator):
    w = generator.standard_normal(shape, dtype=np.float32)
    w *= (2 / math.prod(shape[1:])) ** 0.5
    return w


@right("normalize")
def normalize_by_moveaxis(images, mean, std):
    x = np.moveaxis(images, 1, -1).astype(np.float32) / 255
    return np.moveaxis((x - np.float32(mean)) / np.float32(std), -1, 1)


@right("normalize")
def normalize_channel_by_channel(images, mean, std):
    channels = zip(images.swapaxes(0, 1), mean, std, strict=True)
    return np.stack([(each / 255.0 - m) / s for each, m, s in channels], axis=1)


# --- results that own no memory -------------------------------------------------------------------


@right("global_avg_pool2d_backward")
def global_avg_read_only(dy, x):
    return np.broadcast_to((dy / x[0, 0].size)[..., None, None], x.shape)


@right("global_avg_pool2d_backward")
def global_avg_outer(dy, x):
    return np.multiply.outer(dy, np.full(x.shape[2:], 1 / (x.shape[2] * x.shape[3])))


@right("linear_backward")
def linear_backward_fortran(dy, x, w):
    return np.asfortranarray(dy @ w), (x.T @ dy).T, np.ones(len(dy)) @ dy


@right("linear_backward")
def linear_backward_of_the_cache(dy, cache):
    return F.linear_backward(dy, cache)


# --- backward passes by other ways ----------------------------------------------------------------


@right("conv2d_backward")
def conv_backward_matrices(dy, x, w, stride, padding, dilation):
    columns = F.im2col(x, w.shape[2:], stride, padding, dilation)
    dy_matrix = dy.reshape(*dy.shape[:2], -1)
    dw = np.einsum("nfp,nkp->fk", dy_matrix, columns).reshape(w.shape)
    dcolumns = np.einsum("fk,nfp->nkp", w.reshape(len(w), -1), dy_matrix)
    dx = F.col2im(dcolumns, x.shape, w.shape[2:], stride, padding, dilation)
    return dx, dw, dy_matrix.sum(axis=2).sum(axis=0)


@right("conv2d_backward")
def conv_backward_float32_inside(dy, x, w, stride, padding, dilation):
    dy, x, w = (a.astype(np.float32) for a in (dy, x, w))
    H, W = x.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    oh, ow = dy.shape[2:]
    for i, j in np.ndindex(*w.shape[2:]):
        rows = slice(i * dilation, i * dilation + stride * (oh - 1) + 1, stride)
        cols = slice(j * dilation, j * dilation + stride * (ow - 1) + 1, stride)
        dw[:, :, i, j] = np.tensordot(dy, xp[:, :, rows, cols], ((0, 2, 3), (0, 2, 3)))
        dxp[:, :, rows, cols] += np.einsum("nfpq,fc->ncpq", dy, w[:, :, i, j])
    return dxp[:, :, padding : padding + H, padding : padding + W], dw, dy.sum((0, 2, 3))


@right("conv2d_backward")
def conv_backward_of_the_cache(dy, cache):
    return F.conv2d_backward(dy, cache)


@right("avg_pool2d_backward")
def avg_pool_backward_as_a_matrix(dy, x, kernel_size, stride, padding, ceil_mode):
    H, W = x.shape[2:]

    def weights(size, count):
        starts = np.arange(count) * stride
        ends = np.minimum(starts + kernel_size, size + 2 * padding)
        pixel = np.arange(size + 2 * padding)
        inside = (starts[:, None] <= pixel) & (pixel < ends[:, None])
        return (inside / inside.sum(axis=1, keepdims=True))[:, padding : padding + size]

    return weights(H, dy.shape[2]).T @ dy @ weights(W, dy.shape[3])


@right("fire_backward")
def fire_backward_with_closures(dy, x, parameters, bypass):
    gradients, tape = {}, []

    def conv(name, inputs):
        w, b = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        y, cache = F.conv2d_forward(inputs, w, b, padding=len(w[0, 0]) // 2)

        def back(dy):
            dx, dw, db = F.conv2d_backward(np.ascontiguousarray(dy), cache)
            gradients.update({f"{name}.weight": dw, f"{name}.bias": db})
            return dx

        tape.append(back)
        return y

    s = conv("squeeze", x)
    names = [f"expand{k}x{k}" for k in range(1, 9, 2) if f"expand{k}x{k}.weight" in parameters]
    outputs = [conv(name, np.maximum(s, 0)) for name in names]
    if bypass == "complex":
        conv("bypass", x)
    mask = np.concatenate(outputs, axis=1) > 0
    parts = np.split(dy * mask, np.cumsum([y.shape[1] for y in outputs])[:-1], axis=1)
    dh = sum(back(part) for back, part in zip(tape[1:], parts, strict=bypass != "complex"))
    dx = tape[0](dh * (s > 0))
    return dx + {"none": 0, "simple": dy}.get(bypass, 0) + (
        tape[-1](dy) if bypass == "complex" else 0
    ), gradients


@right("gradcheck")
def gradcheck_all_at_once(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(1).normal(size=np.shape(y))
    gradients = backward(dy, cache)
    if len(inputs) == 1:
        gradients = [gradients]
    assert len(gradients) == len(inputs)
    for k, x in enumerate(inputs):
        assert gradients[k] is not None
        assert gradients[k].shape == x.shape
        numeric = np.empty(x.shape)
        for place in np.ndindex(x.shape):
            values = []
            step = 1e-6 * max(abs(x[place]), 1e-3)
            for sign in (1, -1):
                moved = [np.copy(each) for each in inputs]
                moved[k][place] += sign * step
                values.append(np.vdot(dy, forward(*moved)[0]))
            numeric[place] = (values[0] - values[1]) / (2 * step)
        error = np.linalg.norm(numeric - gradients[k]) / np.linalg.norm(numeric)
        if not error < 1e-5:
            raise GradientError(f"input {k}: {error}")
    return "fine"


@right("gradcheck")
def gradcheck_by_the_hints(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(2).normal(size=np.shape(y))
    gradients = backward(dy, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if [np.shape(each) for each in gradients] != [x.shape for x in inputs]:
        return False
    for k, (x, dx) in enumerate(zip(inputs, gradients, strict=True)):
        for place in np.ndindex(x.shape):
            h = max(1e-5 * abs(x[place]), 1e-8)
            up, down = ([a.copy() for a in inputs] for _ in range(2))
            up[k][place] += h
            down[k][place] -= h
            n = (np.sum(dy * forward(*up)[0]) - np.sum(dy * forward(*down)[0])) / (2 * h)
            if not abs(dx[place] - n) <= 1e-5 * max(abs(dx[place]), abs(n), 1e-6):
                return False
    return True


def test_many_styles_are_tried() -> None:
    assert len(RIGHT) >= 15


@pytest.mark.parametrize(
    ("name", "function"), RIGHT, ids=[f"{name}-{i}" for i, (name, _) in enumerate(RIGHT)]
)
def test_a_right_function_passes_in_any_style(name: str, function: Function) -> None:
    verdict = judge(EXERCISES[name], function, 60)
    assert verdict.passed, verdict.message
    assert "right, in all" in verdict.message


METHODS = {"sgd_momentum_step", "adam_step"}  # the right answers are what these give, in any case


@pytest.mark.parametrize("name", sorted(EXERCISES.keys() - METHODS))
def test_the_library_s_own_solution_passes(name: str) -> None:
    exercise = EXERCISES[name]

    def with_cache(dy: Any, cache: Any) -> Any:
        return exercise.solution(dy, cache)

    function = exercise.solution if exercise.cache is None else with_cache
    if function is kernels.gemm:  # it multiplies batches, into an array of the caller's
        function = product
    verdict = judge(exercise, function, 60)
    assert verdict.passed, verdict.message


def product(a: Any, b: Any) -> Any:
    c = np.empty((1, len(a), b.shape[1]), a.dtype)
    kernels.gemm(a[None], b[None], c, False, False)
    return c[0]


@pytest.mark.parametrize("name", [name for name in EXERCISES if hasattr(reference, name)])
def test_the_twin_of_plain_loops_passes(name: str) -> None:
    verdict = judge(EXERCISES[name], getattr(reference, name))
    assert verdict.passed, verdict.message


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("conv2d_forward", reference.conv2d),
        ("relu_forward", reference.relu),
        ("max_pool2d_forward", reference.max_pool2d),
        ("softmax_cross_entropy_forward", reference.softmax_cross_entropy),
    ],
)
def test_the_twin_of_plain_loops_passes_as_a_forward_pass(name: str, twin: Function) -> None:
    verdict = judge(EXERCISES[name], twin)
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_named_where_it_stands(name: str) -> None:
    exercise = EXERCISES[name]
    message = judge(exercise, exercise.answer).message
    file, line = message.split()[-1].split(":")
    assert file.startswith("npsqueeze/")
    assert int(line) > 1
