"""The loops of the reference against PyTorch in float64: forward and every gradient."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from tests.strategies import (
    assert_close,
    conv_cases,
    in_layout,
    layouts,
    pool_cases,
    random_array,
    seeds,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional

TOLERANCE = 1e-12
shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


def tensor(array):
    return None if array is None else torch.tensor(array).requires_grad_(array.dtype.kind == "f")


def check_against_torch(y, expected, dy, pairs, tolerance=TOLERANCE):
    """Compare y, and each (gradient, tensor) of pairs with what autograd gives for dy."""
    assert_close(y, expected.detach(), tolerance)
    expected.backward(torch.tensor(dy))
    for gradient, leaf in pairs:
        assert_close(gradient, leaf.grad, tolerance)


@given(
    size=st.integers(1, 20),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 8),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
    data=st.data(),
)
def test_output_size(size, kernel_size, stride, dilation, ceil_mode, data):
    padding = data.draw(st.integers(0, kernel_size // 2))
    try:
        expected = F.max_pool1d(
            torch.zeros(1, 1, size), kernel_size, stride, padding, dilation, ceil_mode
        ).shape[2]
    except RuntimeError:
        with pytest.raises(ValueError, match="kernel_size"):
            reference.output_size(size, kernel_size, stride, padding, dilation, ceil_mode)
    else:
        arguments = (size, kernel_size, stride, padding, dilation, ceil_mode)
        assert reference.output_size(*arguments) == expected


def test_output_size_of_squeezenet():
    assert reference.output_size(227, 7, 2) == 111
    sizes = [111]
    for _ in range(3):
        sizes.append(reference.output_size(sizes[-1], 3, 2, ceil_mode=True))
    assert sizes == [111, 55, 27, 13]


def test_ceil_mode_drops_a_window_that_starts_in_the_right_padding():
    assert reference.output_size(4, kernel_size=2, stride=3, padding=1, ceil_mode=True) == 2
    assert reference.output_size(5, kernel_size=2, stride=3, padding=1, ceil_mode=True) == 2


@given(conv_cases(), layouts)
def test_conv2d(case, layout):
    x, w, b = case.arrays()
    x_torch, w_torch, b_torch = map(tensor, (x, w, b))
    x, w = in_layout(x, layout), in_layout(w, layout)
    y = reference.conv2d(x, w, b, **case.options)
    dy = random_array((case.seed, 3), y.shape)
    dx, dw, db = reference.conv2d_backward(in_layout(dy, layout), x, w, **case.options)
    pairs = [(dx, x_torch), (dw, w_torch)] + ([(db, b_torch)] if case.bias else [])
    check_against_torch(y, F.conv2d(x_torch, w_torch, b_torch, **case.options), dy, pairs)


@given(conv_cases(max_groups=1))
def test_im2col_and_col2im(case):
    kernel_size = case.w_shape[2:]
    window = {name: case.options[name] for name in ("stride", "padding", "dilation")}
    x = case.arrays()[0]
    columns = reference.im2col(x, kernel_size, **window)
    assert_close(columns, F.unfold(torch.tensor(x), kernel_size, **window), TOLERANCE)
    d_columns = random_array((case.seed, 3), columns.shape)
    dx = reference.col2im(d_columns, x.shape, kernel_size, **window)
    expected = F.fold(torch.tensor(d_columns), x.shape[2:], kernel_size, **window)
    assert_close(dx, expected, TOLERANCE)


@given(conv_cases(max_groups=1))
def test_a_convolution_is_a_matrix_product(case):
    x, w, _ = case.arrays()
    window = {name: case.options[name] for name in ("stride", "padding", "dilation")}
    y = reference.conv2d(x, w, **window)
    columns = reference.im2col(x, w.shape[2:], **window)
    for n in range(len(x)):
        product = reference.matmul(w.reshape(len(w), -1), columns[n])
        assert_close(product.reshape(y[n].shape), y[n], TOLERANCE)


@given(*[st.integers(1, 6)] * 3, seeds)
def test_matmul(M, K, N, seed):
    a, b = random_array((seed, 0), (M, K)), random_array((seed, 1), (K, N))
    assert_close(reference.matmul(a, b), a @ b, TOLERANCE)


@given(shapes, seeds)
def test_relu(shape, seed):
    x = random_array((seed, 0), shape).round()  # with many zeros
    y, dy = reference.relu(x), random_array((seed, 1), shape)
    x_torch = tensor(x)
    check_against_torch(y, x_torch.relu(), dy, [(reference.relu_backward(dy, x), x_torch)])


@given(pool_cases())
def test_max_pool2d(case):
    x = case.array()
    y = reference.max_pool2d(x, **case.options)
    dy = random_array((case.seed, 1), y.shape)
    dx = reference.max_pool2d_backward(dy, x, **case.options)
    x_torch = tensor(x)
    check_against_torch(y, F.max_pool2d(x_torch, **case.options), dy, [(dx, x_torch)])


@given(pool_cases(), st.booleans())
def test_avg_pool2d(case, count_include_pad):
    options = case.options | {"count_include_pad": count_include_pad}
    x = case.array()
    y = reference.avg_pool2d(x, **options)
    dy = random_array((case.seed, 1), y.shape)
    dx = reference.avg_pool2d_backward(dy, x, **options)
    x_torch = tensor(x)
    check_against_torch(y, F.avg_pool2d(x_torch, **options), dy, [(dx, x_torch)])


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_without_a_stride_steps_by_the_kernel(name):
    x = random_array(0, (1, 2, 7, 6))
    y = getattr(reference, name)(x, 3)
    assert_close(y, getattr(F, name)(torch.tensor(x), 3), TOLERANCE)


@given(shapes, seeds)
def test_global_avg_pool2d(shape, seed):
    x, dy = random_array((seed, 0), shape), random_array((seed, 1), shape[:2])
    dx = reference.global_avg_pool2d_backward(dy, x)
    x_torch = tensor(x)
    expected = x_torch.mean(dim=(2, 3))
    check_against_torch(reference.global_avg_pool2d(x), expected, dy, [(dx, x_torch)])


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = np.array([[[[0.0, 2.0, 1.0], [2.0, 2.0, 0.0]]]])
    dx = reference.max_pool2d_backward(np.array([[[[3.0]]]]), x, (2, 3))
    np.testing.assert_array_equal(dx, [[[[0, 3, 0], [0, 0, 0]]]])


def test_a_window_of_minus_infinity_has_a_maximum_too():
    x = np.full((1, 1, 3, 3), -np.inf)
    assert np.all(reference.max_pool2d(x, 2, 1, 1) == -np.inf)
    dx = reference.max_pool2d_backward(np.full((1, 1, 1, 1), 5.0), x, 3)
    np.testing.assert_array_equal(np.argwhere(dx), [[0, 0, 0, 0]])


@given(pool_cases(), st.data())
def test_max_pool2d_propagates_nan(case, data):
    x = case.array()
    positions = st.sampled_from(list(np.ndindex(x.shape)))
    for position in data.draw(st.lists(positions, min_size=1, max_size=3)):
        x[position] = np.nan
    y = reference.max_pool2d(x, **case.options)
    dy = random_array((case.seed, 1), y.shape)
    dx = reference.max_pool2d_backward(dy, x, **case.options)
    x_torch = tensor(x)
    check_against_torch(y, F.max_pool2d(x_torch, **case.options), dy, [(dx, x_torch)])


def test_relu_propagates_nan():
    x, dy = np.array([np.nan, -1.0, 0.0, 2.0, np.inf]), random_array(0, (5,))
    x_torch = tensor(x)
    dx = reference.relu_backward(dy, x)
    check_against_torch(reference.relu(x), x_torch.relu(), dy, [(dx, x_torch)])
    assert math.isnan(reference.relu(x)[0])


@given(shapes, seeds, st.booleans())
def test_linear(shape, seed, bias):
    N, features, outputs, _ = shape
    x, w = random_array((seed, 0), (N, features)), random_array((seed, 1), (outputs, features))
    b = random_array((seed, 2), (outputs,)) if bias else None
    dy = random_array((seed, 3), (N, outputs))
    dx, dw, db = reference.linear_backward(dy, x, w)
    x_torch, w_torch, b_torch = map(tensor, (x, w, b))
    pairs = [(dx, x_torch), (dw, w_torch)] + ([(db, b_torch)] if bias else [])
    check_against_torch(reference.linear(x, w, b), F.linear(x_torch, w_torch, b_torch), dy, pairs)


@given(shapes, st.lists(st.integers(1, 3), min_size=1, max_size=3), seeds)
def test_concat(shape, channels, seed):
    N, _, H, W = shape
    arrays = [random_array((seed, k), (N, c, H, W)) for k, c in enumerate(channels)]
    dy = random_array((seed, 9), (N, sum(channels), H, W))
    gradients = reference.concat_backward(dy, arrays)
    leaves = [tensor(x) for x in arrays]
    pairs = list(zip(gradients, leaves, strict=True))
    check_against_torch(reference.concat(arrays), torch.cat(leaves, dim=1), dy, pairs)


@given(shapes.filter(lambda s: s[0] * s[2] * s[3] > 1), seeds, st.booleans())
def test_batch_norm2d(shape, seed, training):
    # With a small eps, dx of two values per channel is all cancellation: nothing to compare.
    options = {"training": training, "momentum": 0.3, "eps": 0.5}
    C = shape[1]
    x = 3 * random_array((seed, 0), shape) + 1
    w, b, mean = (random_array((seed, k), (C,)) for k in (1, 2, 3))
    var = random_array((seed, 4), (C,)) ** 2 + 0.1
    dy = random_array((seed, 5), shape)
    x_torch, w_torch, b_torch = map(tensor, (x, w, b))
    mean_torch, var_torch = torch.tensor(mean), torch.tensor(var)
    expected = F.batch_norm(x_torch, mean_torch, var_torch, w_torch, b_torch, **options)
    y = reference.batch_norm2d(x, w, b, mean, var, **options)
    gradients = reference.batch_norm2d_backward(dy, x, w, mean, var, training, eps=0.5)
    pairs = list(zip(gradients, (x_torch, w_torch, b_torch), strict=True))
    assert_close(mean, mean_torch, TOLERANCE)
    assert_close(var, var_torch, TOLERANCE)
    check_against_torch(y, expected, dy, pairs)


@given(shapes, seeds, st.floats(0, 0.9))
def test_dropout(shape, seed, p):
    x, dy = random_array((seed, 0), shape), random_array((seed, 1), shape)
    mask = np.random.default_rng((seed, 2)).random(shape) >= p
    x_torch = tensor(x)
    expected = x_torch * torch.tensor(mask) / (1 - p)
    dx = reference.dropout_backward(dy, mask, p)
    check_against_torch(reference.dropout(x, mask, p), expected, dy, [(dx, x_torch)])


@given(st.integers(1, 5), st.integers(1, 6), seeds, st.sampled_from([0.0, 0.1, 1.0]))
def test_softmax_cross_entropy(N, classes, seed, label_smoothing):
    logits = 3 * random_array((seed, 0), (N, classes))
    labels = np.random.default_rng((seed, 1)).integers(classes, size=N)
    dloss = random_array((seed, 2), ())
    logits_torch = tensor(logits)
    expected = F.cross_entropy(logits_torch, torch.tensor(labels), label_smoothing=label_smoothing)
    loss = reference.softmax_cross_entropy(logits, labels, label_smoothing)
    dlogits = reference.softmax_cross_entropy_backward(
        float(dloss), logits, labels, label_smoothing
    )
    check_against_torch(loss, expected, dloss, [(dlogits, logits_torch)])


def test_softmax_cross_entropy_of_huge_logits():
    logits, labels = np.array([[1e4, -1e4, 0.0], [-np.inf, 1e4, 1e4]]), np.array([1, 2])
    loss = reference.softmax_cross_entropy(logits, labels)
    assert loss == pytest.approx((2e4 + math.log(2)) / 2, rel=1e-14)
    dlogits = reference.softmax_cross_entropy_backward(1.0, logits, labels)
    assert_close(dlogits, [[0.5, -0.5, 0], [0, 0.25, -0.25]], TOLERANCE)


def test_softmax_cross_entropy_propagates_nan():
    logits, labels = np.array([[0.0, np.nan], [1.0, 2.0]]), np.array([0, 1])
    assert math.isnan(reference.softmax_cross_entropy(logits, labels))
    dlogits = reference.softmax_cross_entropy_backward(1.0, logits, labels)
    np.testing.assert_array_equal(np.isnan(dlogits), [[True, True], [False, False]])


def fire_parameters(seed, channels, squeeze, expand, filters, bypass, batch_norm=False):
    """Return parameters; the convolutions before a batch normalisation have no bias."""
    shapes = {"squeeze": (squeeze, channels, 1, 1)}
    # From the largest to the smallest: the order of the names must not matter.
    shapes |= {f"expand{k}x{k}": (filters, squeeze, k, k) for k in reversed(expand)}
    without_bias = set(shapes) if batch_norm else set()
    if bypass == "complex":
        shapes["bypass"] = (filters * len(expand), channels, 1, 1)
    if batch_norm:
        shapes |= {"squeeze_norm": (squeeze,), "expand_norm": (filters * len(expand),)}
    parameters = {}
    for index, (name, shape) in enumerate(shapes.items()):
        parameters[f"{name}.weight"] = random_array((seed, index, 0), shape)
        if name not in without_bias:
            parameters[f"{name}.bias"] = random_array((seed, index, 1), shape[:1])
        if name.endswith("norm"):
            parameters[f"{name}.running_mean"] = random_array((seed, index, 2), shape)
            parameters[f"{name}.running_var"] = random_array((seed, index, 3), shape) ** 2
    return parameters


def fire_torch(x, parameters, expand, bypass, training):
    def conv(x, name):
        w = parameters[f"{name}.weight"]
        return F.conv2d(x, w, parameters.get(f"{name}.bias"), padding=w.shape[-1] // 2)

    def norm(x, name):
        if f"{name}.weight" not in parameters:
            return x
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(parameters[f"{name}.{part}"] for part in names), training)

    squeezed = norm(conv(x, "squeeze"), "squeeze_norm").relu()
    joined = torch.cat([conv(squeezed, f"expand{k}x{k}") for k in expand], dim=1)
    y = norm(joined, "expand_norm").relu()
    if bypass == "simple":
        return y + x
    return y + conv(x, "bypass") if bypass == "complex" else y


@pytest.mark.parametrize(("batch_norm", "training"), [(False, True), (True, True), (True, False)])
@given(
    seed=seeds,
    N=st.integers(1, 2),
    size=st.tuples(st.integers(2, 4), st.integers(3, 4)),
    expand=st.sampled_from([(1, 3), (1, 3, 5), (3,)]),
    bypass=st.sampled_from(["none", "simple", "complex"]),
)
def test_fire(batch_norm, training, seed, N, size, expand, bypass):
    filters = 2
    channels = filters * len(expand) if bypass == "simple" else 3
    parameters = fire_parameters(seed, channels, 2, expand, filters, bypass, batch_norm)
    statistics = {name: a for name, a in parameters.items() if ".running_" in name}
    learned = {name: a for name, a in parameters.items() if name not in statistics}
    x = random_array((seed, 90), (N, channels, *size))
    x_torch, leaves = tensor(x), {name: tensor(array) for name, array in learned.items()}
    statistics_torch = {name: torch.tensor(array) for name, array in statistics.items()}
    expected = fire_torch(x_torch, leaves | statistics_torch, expand, bypass, training)

    y = reference.fire(x, parameters, bypass, training)
    for name, array in statistics.items():
        assert_close(array, statistics_torch[name], TOLERANCE)
    dy = random_array((seed, 91), y.shape)
    dx, gradients = reference.fire_backward(dy, x, parameters, bypass, training)
    for name, array in statistics.items():  # updated once, not twice
        assert_close(array, statistics_torch[name], TOLERANCE)
    assert gradients.keys() == learned.keys()
    pairs = [(dx, x_torch)] + [(gradients[name], leaves[name]) for name in gradients]
    if not batch_norm:
        check_against_torch(y, expected, dy, pairs, TOLERANCE)
        return
    # Normalised units that are nearly dead have gradients that cancel to almost nothing, and are
    # all rounding: so the gradients are compared together, on the scale of the largest.
    assert_close(y, expected.detach(), 1e-9)
    expected.backward(torch.from_numpy(dy))
    ours, theirs = zip(*pairs, strict=True)
    assert_close(
        np.concatenate([gradient.ravel() for gradient in ours]),
        np.concatenate([leaf.grad.numpy().ravel() for leaf in theirs]),
        1e-9,
    )


def results(dtype):
    """Return what every operation gives for input of dtype."""
    x = random_array(0, (2, 4, 5, 5), dtype)
    w, b = random_array(1, (4, 4, 3, 3), dtype), random_array(2, (4,), dtype)
    mask, labels = random_array(3, x.shape) > 0, np.array([0, 4])
    statistics = np.zeros(4, dtype), np.ones(4, dtype)
    matrix, dy = random_array(4, (2, 5), dtype), random_array(5, x.shape, dtype)
    half, pooled = random_array(6, (2, 4, 3, 3), dtype), random_array(7, (2, 4), dtype)
    fire_weights = fire_parameters(8, 4, 2, (1, 3), 2, "complex")
    parameters = {name: array.astype(dtype) for name, array in fire_weights.items()}
    columns = reference.im2col(x, 3, padding=1)
    dx, gradients = reference.fire_backward(dy, x, parameters, "complex")
    return [
        reference.conv2d(x, w, b, padding=1),
        *reference.conv2d_backward(dy, x, w, padding=1),
        columns,
        reference.col2im(columns, x.shape, 3, padding=1),
        reference.matmul(matrix, matrix.T.copy()),
        reference.relu(x),
        reference.relu_backward(dy, x),
        reference.max_pool2d(x, 3, 2, 1),
        reference.max_pool2d_backward(half, x, 3, 2, 1),
        reference.avg_pool2d(x, 3, 2, 1),
        reference.avg_pool2d_backward(half, x, 3, 2, 1),
        reference.global_avg_pool2d(x),
        reference.global_avg_pool2d_backward(pooled, x),
        reference.linear(matrix, matrix, b[:2]),
        *reference.linear_backward(matrix[:, :2], matrix, matrix),
        reference.concat([x, dy]),
        *reference.concat_backward(np.concatenate([dy, x], axis=1), [x, dy]),
        reference.batch_norm2d(x, b, b, *statistics),
        *reference.batch_norm2d_backward(dy, x, b, *statistics),
        *statistics,
        reference.dropout(x, mask, 0.3),
        reference.dropout_backward(dy, mask, 0.3),
        reference.softmax_cross_entropy_backward(1.0, matrix, labels, 0.1),
        reference.fire(x, parameters, "simple"),
        dx,
        *gradients.values(),
    ]


def test_float32_stays_float32():
    for single, double in zip(results(np.float32), results(np.float64), strict=True):
        assert single.dtype == np.float32
        assert double.dtype == np.float64
        assert_close(single, double, 1e-5)


X = random_array(0, (2, 4, 5, 5))
ONES = np.ones(4)
REFUSED = {
    "groups": lambda: reference.conv2d(X, X, groups=3),
    "w:": lambda: reference.conv2d(X, random_array(1, (2, 3, 3, 3))),
    "b:": lambda: reference.conv2d(X, X, np.ones(1)),
    "kernel_size": lambda: reference.conv2d(X, random_array(1, (2, 4, 6, 3))),
    "stride": lambda: reference.conv2d(X, X, stride=0),
    "dy: expected shape .*, got .2, 2, 5": lambda: reference.conv2d_backward(X[:, :2], X, X),
    "columns": lambda: reference.col2im(X[0], X.shape, 3),
    "padding": lambda: reference.max_pool2d(X, 3, padding=2),
    "dy: expected shape .*, got .2, 4, 5": lambda: reference.avg_pool2d_backward(X, X, 2),
    "mask": lambda: reference.dropout(X, X[0] > 0, 0.5),
    "p:": lambda: reference.dropout(X, X > 0, 1.0),
    "running_mean": lambda: reference.batch_norm2d(X, ONES, ONES, np.ones(5), ONES),
    "more than one": lambda: reference.batch_norm2d(X[:1, :, :1, :1], ONES, ONES, ONES, ONES),
    "labels: expected classes": lambda: reference.softmax_cross_entropy(X[0, 0], np.arange(5) - 1),
    "label_smoothing": lambda: reference.softmax_cross_entropy(X[0, 0], np.arange(5), 1.5),
    "arrays.1.": lambda: reference.concat([X, X[:, :, :3]]),
    "bypass": lambda: reference.fire(X, {}, "double"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
