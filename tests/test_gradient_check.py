"""Gradient checks pass what is right, and fail every mistake that a backward pass is known for."""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.errors import GradientError
from npsqueeze.gradient_check import gradcheck, gradcheck_directional, gradcheck_model


def normal(*shapes, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(generator.standard_normal(shape) for shape in shapes)


def square(x):
    return x**2, x


def square_backward(dy, x):
    return 2 * x * dy


# What passes


@given(
    n=st.integers(1, 4),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_a_right_pair_passes_at_every_element(n, inputs, outputs, seed):
    arrays = normal((n, inputs), (outputs, inputs), (outputs,), seed=seed)
    report = gradcheck(F.linear_forward, F.linear_backward, arrays, names=("x", "w", "b"))
    assert [each.name for each in report.inputs] == ["x", "w", "b"]
    assert [each.points for each in report.inputs] == [n * inputs, outputs * inputs, outputs]
    assert report.kinks == 0
    assert report.worst_error < 1e-9


def test_a_large_input_is_sampled_and_the_seed_decides_where():
    def worst(seed):
        report = gradcheck(square, square_backward, normal((40, 50)), samples=30, seed=seed)
        assert report.points == 30
        return report.inputs[0].worst_index

    assert worst(0) == worst(0)
    assert len({worst(seed) for seed in range(4)}) > 1


def test_a_mistake_at_one_element_of_a_small_input_is_found_there():
    def backward(dy, x):
        dx = square_backward(dy, x)
        dx[1, 2] += 1e-3
        return dx

    with pytest.raises(GradientError, match=r"inputs\[0\]: wrong at 1 of 12 .* worst at \(1, 2\)"):
        gradcheck(square, backward, normal((3, 4)))


def test_a_loss_and_integer_labels():
    logits, labels = *normal((4, 3)), np.array([0, 2, 1, 1])
    pair = F.softmax_cross_entropy_forward, F.softmax_cross_entropy_backward
    assert gradcheck(*pair, (logits, labels)).points == 12
    with_none = gradcheck(pair[0], lambda dy, cache: (pair[1](dy, cache), None), (logits, labels))
    assert with_none.points == 12


def test_the_cotangent_of_a_loss_is_a_random_number():
    def backward(dloss, x):
        assert isinstance(dloss, float)
        assert dloss not in (0.0, 1.0)
        return dloss * x

    gradcheck(lambda x: (float(np.sum(x**2)) / 2, x), backward, normal(5))


def test_an_optional_input_that_is_left_out():
    report = gradcheck(F.linear_forward, F.linear_backward, normal((2, 3), (4, 3)))
    assert [each.points for each in report.inputs] == [6, 12]


def test_an_entry_none_is_not_checked():
    arrays = normal((2, 3), (4, 3), 4)
    report = gradcheck(
        F.linear_forward,
        lambda dy, cache: (F.linear_backward(dy, cache)[0], None, None),
        arrays,
    )
    assert [each.name for each in report.inputs] == ["inputs[0]"]


def test_float32_inputs_are_checked_in_float64_and_left_alone():
    (x,) = normal((3, 4))
    x = x.astype(np.float32)
    before = x.copy()
    assert gradcheck(square, square_backward, (x,)).worst_error < 1e-10
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, before)


def test_the_cotangent_is_not_the_input():
    """Drawn from one stream, dy would be x, for which batch norm has dx = 0: nothing to check."""

    def backward(dy, x):
        assert not np.any(dy == x)
        return square_backward(dy, x)

    gradcheck(square, backward, normal((3, 4), seed=0), seed=0)


def test_a_number_and_large_values():
    assert gradcheck(square, square_backward, (3.0,)).points == 1
    assert gradcheck(square, square_backward, (1e6 * normal(5)[0],)).worst_error < 1e-9


def test_a_bias_before_batch_norm_has_gradient_zero():
    """The normalisation takes it away again, so that both sides are rounding errors."""
    x, b = normal((4, 3, 3, 2), (3,))
    ones, zeros = np.ones(3), np.zeros(3)

    def forward(x, b):
        y = x + b[:, None, None]
        return F.batch_norm2d_forward(y, ones, zeros, zeros.copy(), ones.copy())

    def backward(dy, cache):
        dx, _, _ = F.batch_norm2d_backward(dy, cache)
        return dx, dx.sum(axis=(0, 2, 3))

    assert gradcheck(forward, backward, (x, b)).kinks == 0


# Kinks


@given(near=st.lists(st.floats(-3e-3, 3e-3), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_relu_near_its_kink_passes(near, seed):
    (x,) = normal(20, seed=seed)
    x[: len(near)] = near
    report = gradcheck(F.relu_forward, F.relu_backward, (x,), seed=seed)
    assert report.kinks <= sum(abs(x) <= 2e-6)


def test_kinks_are_counted_and_too_many_fail():
    (x,) = normal(20)
    x[:4] = 0
    assert gradcheck(F.relu_forward, F.relu_backward, (x,)).kinks == 4
    x[4] = 0
    with pytest.raises(GradientError, match="5 of 20 points lie at kinks, more than 20%"):
        gradcheck(F.relu_forward, F.relu_backward, (x,))


def test_ties_are_excluded_whichever_input_the_gradient_goes_to():
    """Either winner of a tie is a valid slope; that it is the first is for the reference to say."""
    (x,) = normal((1, 2, 6, 6))
    x[0, 0, 0, :2] = 9
    pool = partial(F.max_pool2d_forward, kernel_size=2)

    def last_winner(dy, cache):
        dx = F.max_pool2d_backward(dy, cache)
        dx[0, 0, 0, :2] = dx[0, 0, 0, 1::-1]
        return dx

    for backward in (F.max_pool2d_backward, last_winner):
        assert gradcheck(pool, backward, (x,)).kinks == 2


def test_a_wrong_gradient_at_kinks_and_elsewhere_still_fails():
    (x,) = normal(20)
    x[:2] = 0
    with pytest.raises(GradientError, match=r"ratio 2 \(a term is counted twice"):
        gradcheck(F.relu_forward, lambda dy, y: 2 * F.relu_backward(dy, y), (x,))


# Planted mistakes


def conv_with(change):
    """Return a 3x3 convolution whose gradients go through `change`."""

    def backward(dy, cache):
        return change(dy, cache, *F.conv2d_backward(dy, cache))

    return partial(F.conv2d_forward, padding=1), backward, normal((4, 3, 5, 4), (3, 3, 3, 3), 3)


def assigned_instead_of_added(dy, cache, dx, dw, db):
    """col2im that lets the last window win, where all windows add up."""
    dx = np.zeros((4, 3, 7, 6))
    for p in range(5):
        for q in range(4):
            dx[:, :, p : p + 3, q : q + 3] = np.einsum("fcij,nf->ncij", cache.w, dy[:, :, p, q])
    return dx[:, :, 1:-1, 1:-1], dw, db


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda dy, cache, dx, dw, db: (dx, 2 * dw, db), r"^w: .*\b81 of 81.*ratio 2 \(.*twice"),
        (lambda dy, cache, dx, dw, db: (4 * dx, dw, db), r"^x: .*ratio 4 \(N = 4, a sum"),
        (lambda dy, cache, dx, dw, db: (dx, dw, db / 4), r"^b: .*ratio 0.25 \(1/N, N = 4"),
        (lambda dy, cache, dx, dw, db: (dx, dw, -db), r"^b: .*ratio -1 \(the sign"),
        (lambda dy, cache, dx, dw, db: (dx, dw, dy[0].sum(axis=(1, 2))), r"^b: wrong"),
        (lambda dy, cache, dx, dw, db: (dx, dw.swapaxes(0, 1), db), r"^w: wrong"),
        (lambda dy, cache, dx, dw, db: (dx, dw[:, :, ::-1, ::-1], db), r"^w: wrong"),
        (lambda dy, cache, dx, dw, db: (dx, 0 * dw, db), r"^w: .*ratio 0 \(a term is missing"),
        (assigned_instead_of_added, r"^x: wrong"),
    ],
    ids=["factor 2", "factor N", "1/N", "sign", "sum", "transposed", "flipped", "zero", "col2im"],
)
def test_a_mistaken_convolution_fails_at_the_mistaken_gradient_only(change, message):
    with pytest.raises(GradientError, match=message) as error:
        gradcheck(*conv_with(change), names=("x", "w", "b"))
    assert len(str(error.value).splitlines()) == 1


def test_all_wrong_inputs_are_named():
    wrong = conv_with(lambda dy, cache, dx, dw, db: (dx, 2 * dw, 2 * db))
    with pytest.raises(GradientError) as error:
        gradcheck(*wrong, names=("x", "w", "b"))
    assert [line[:2] for line in str(error.value).splitlines()] == ["w:", "b:"]


@pytest.mark.parametrize("slope", [0.01, 1.0, -1e-4])
def test_a_relu_with_another_slope_fails(slope):
    with pytest.raises(GradientError, match="wrong"):
        gradcheck(F.relu_forward, lambda dy, y: np.where(y > 0, dy, slope * dy), normal((3, 20)))


def test_max_pooling_that_passes_the_gradient_to_the_smallest_fails():
    (x,) = normal((2, 2, 4, 6))

    def backward(dy, cache):
        _, cache = F.max_pool2d_forward(-x, 2)
        return F.max_pool2d_backward(dy, cache)

    with pytest.raises(GradientError, match="wrong"):
        gradcheck(partial(F.max_pool2d_forward, kernel_size=2), backward, (x,))


def test_overlapping_max_pooling_that_assigns_instead_of_adding_fails():
    (x,) = normal((1, 1, 7, 7))
    x[0, 0, 2, 2] = 9  # the maximum of four windows

    def backward(dy, cache):
        dx = np.zeros((1, 1, 49))
        for at, winner in np.ndenumerate(cache.winner):
            dx[at[0], at[1], winner] = dy[at]
        return dx.reshape(x.shape)

    with pytest.raises(GradientError, match=r"wrong at 1 of 49 points, worst at \(0, 0, 2, 2\)"):
        gradcheck(partial(F.max_pool2d_forward, kernel_size=3, stride=2), backward, (x,))


@pytest.mark.parametrize("missing", ["mean", "variance", "both"])
def test_batch_norm_without_a_path_through_its_moments_fails(missing):
    x, w, b = normal((4, 3, 3, 2), 3, 3)

    def forward(x, w, b):
        return F.batch_norm2d_forward(x, w, b, np.zeros(3), np.ones(3))

    def backward(dy, cache):
        _, dw, db = F.batch_norm2d_backward(dy, cache)
        mean, std = (moment(cache.x, axis=(0, 2, 3), keepdims=True) for moment in (np.mean, np.std))
        normalised = (cache.x - mean) / std
        dx = dy.copy()
        if missing == "variance":
            dx -= dy.mean(axis=(0, 2, 3), keepdims=True)
        if missing == "mean":
            dx -= normalised * (dy * normalised).mean(axis=(0, 2, 3), keepdims=True)
        return w[:, None, None] / std * dx, dw, db

    with pytest.raises(GradientError, match=r"^x: wrong"):
        gradcheck(forward, backward, (x, w, b), names=("x", "w", "b"))


@given(error=st.one_of(st.floats(1e-6, 3), st.floats(-3, -1e-6)))
def test_any_wrong_factor_fails(error):
    with pytest.raises(GradientError, match="wrong at 12 of 12"):
        gradcheck(square, lambda dy, x: (1 + error) * square_backward(dy, x), normal((3, 4)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_fails(value):
    def backward(dy, x):
        dx = square_backward(dy, x)
        dx[0] = value
        return dx

    with pytest.raises(GradientError, match=rf"wrong at 1 of 5 .*analytic {value}"):
        gradcheck(square, backward, normal(5))


# What is no gradient at all


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda dy: (dy, dy), "backward: expected gradients of x, got 2 of them"),
        (lambda dy: dy.T, "x: expected a gradient of the input's shape (3, 4), got (4, 3)"),
        (lambda dy: dy.sum(axis=0), "x: expected a gradient of the input's shape (3, 4), got (4,)"),
        (lambda dy: None, "backward: expected a gradient to check, got none"),
    ],
)
def test_gradients_that_do_not_fit_the_inputs(result, message):
    with pytest.raises(GradientError, match=f"^{re.escape(message)}$"):
        gradcheck(square, lambda dy, cache: result(dy), normal((3, 4)), names=("x",))


def test_a_gradient_for_integers_is_an_error():
    logits, labels = *normal((4, 3)), np.array([0, 2, 1, 1])

    def backward(dloss, cache):
        return F.softmax_cross_entropy_backward(dloss, cache), labels

    with pytest.raises(GradientError, match=r"inputs\[1\]: expected no gradient for integers"):
        gradcheck(F.softmax_cross_entropy_forward, backward, (logits, labels))


def test_inputs_changed_in_place_are_an_error():
    def forward(x):
        x *= 1.5
        return x**2, x

    def change_input(dy, x):
        dx = square_backward(dy, x)
        x[...] = 0
        return dx

    def change_dy(dy, x):
        dx = square_backward(dy, x)
        dy[...] = 0
        return dx

    (x,) = normal(5)
    before = x.copy()
    with pytest.raises(GradientError, match=r"inputs\[0\]: expected forward to leave it alone"):
        gradcheck(forward, square_backward, (x,))
    with pytest.raises(GradientError, match=r"inputs\[0\]: expected backward to leave it alone"):
        gradcheck(square, change_input, (x,))
    with pytest.raises(GradientError, match="dy: expected backward to leave it alone"):
        gradcheck(square, change_dy, (x,))
    np.testing.assert_array_equal(x, before)


def test_a_mask_drawn_anew_is_an_error():
    generator = np.random.default_rng(0)

    def forward(x):
        return F.dropout_forward(x, 0.5, (int(generator.integers(1 << 30)),))

    with pytest.raises(GradientError, match="same result for the same inputs"):
        gradcheck(forward, F.dropout_backward, normal((4, 5)))


def test_outputs_that_are_not_finite_are_an_error():
    with pytest.raises(GradientError, match="forward: expected finite numbers"):
        gradcheck(lambda x: (x * np.nan, x), square_backward, normal(3))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (np.ones(3), TypeError, "inputs: expected a tuple of arrays, got ndarray"),
        (("abc",), TypeError, r"inputs\[0\]: expected an array of real numbers"),
        ((np.ones(3) * 1j,), TypeError, r"inputs\[0\]: expected .* got complex128"),
        (
            (np.ones((0, 3)),),
            ValueError,
            r"inputs\[0\]: expected at least one element, got \(0, 3\)",
        ),
    ],
)
def test_bad_inputs(inputs, error, message):
    with pytest.raises(error, match=message):
        gradcheck(square, square_backward, inputs)


def test_a_forward_pass_in_float32_is_an_error():
    with pytest.raises(TypeError, match=r"forward: expected float64 .* got float32"):
        gradcheck(lambda x: (x.astype(np.float32), x), square_backward, normal(3))


# Whole networks


class Net:
    """Two linear layers with a ReLU between them, as small as a model gets."""

    class Parameter:
        def __init__(self, data):
            self.data, self.grad = data, np.zeros_like(data)

    def __init__(self, factor=1.0):
        arrays = normal((8, 6), 8, (3, 8), seed=1)
        self.w1, self.b1, self.w2 = (Net.Parameter(array) for array in arrays)
        self.calls = np.zeros(1)  # changed by each forward, as running statistics are
        self.factor = factor

    def parameters(self):
        return [self.w1, self.b1, self.w2]

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad[...] = 0

    def state_dict(self):
        names = {"w1": self.w1.data, "b1": self.b1.data, "w2": self.w2.data, "calls": self.calls}
        return {name: array.copy() for name, array in names.items()}

    def load_state_dict(self, state):
        self.calls[...] = state["calls"]
        for name in ("w1", "b1", "w2"):
            getattr(self, name).data[...] = state[name]

    def forward(self, x):
        self.calls += 1
        y, first = F.linear_forward(x, self.w1.data, self.b1.data)
        y, relu = F.relu_forward(y)
        y, second = F.linear_forward(y, self.w2.data)
        self.cache = first, relu, second
        return y

    def backward(self, dy):
        first, relu, second = self.cache
        dy, dw2, _ = F.linear_backward(dy, second)
        dy = F.relu_backward(dy, relu)
        dx, dw1, db1 = F.linear_backward(dy, first)
        for parameter, gradient in zip(self.parameters(), (dw1, db1, dw2), strict=True):
            parameter.grad += gradient
        self.b1.grad *= self.factor
        return dx


LABELS = np.array([0, 2, 1, 1])


def test_a_model_passes_and_is_left_as_it_was():
    net = Net()
    net.w1.grad += 1
    before = net.state_dict()
    report = gradcheck_model(net, *normal((4, 6)), LABELS, directions=7)
    assert report.points == 7
    assert report.worst_error < 1e-8
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert all(np.all(parameter.grad == 0) for parameter in net.parameters())


@pytest.mark.parametrize("factor", [0.0, 0.999, 1.001, 2.0])
def test_a_model_with_one_wrong_gradient_fails_and_is_left_as_it_was(factor):
    net = Net(factor)
    before = net.state_dict()
    with pytest.raises(GradientError, match="directions: wrong at 10 of 10 points"):
        gradcheck_model(net, *normal((4, 6)), LABELS)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_model_whose_dx_is_wrong_fails():
    net = Net()
    right = net.backward
    net.backward = lambda dy: 1.01 * right(dy)
    with pytest.raises(GradientError, match="directions: wrong"):
        gradcheck_model(net, *normal((4, 6)), LABELS)


def test_a_model_in_float32_is_an_error():
    (x,) = normal((4, 6))
    with pytest.raises(TypeError, match="model and x: expected float64 in both, got float32"):
        gradcheck_model(Net(), x.astype(np.float32), LABELS)


def test_directions_through_kinks_are_counted_and_too_many_fail():
    """max(Σx, Σw) at a tie: every direction crosses it."""
    x, w = np.array([1.0, 2.0]), np.array([3.0])
    gradients = (np.ones(2), np.zeros(1))
    with pytest.raises(GradientError, match="10 of 10 points lie at kinks"):
        gradcheck_directional(lambda x, w: max(x.sum(), w.sum()), gradients, (x, w))
    smooth = gradcheck_directional(lambda x, w: max(x.sum() + 1, w.sum()), gradients, (x, w))
    assert (smooth.points, smooth.kinks) == (10, 0)


def test_directions_move_small_and_zero_arrays_too():
    """The steps follow the size of each array, and an array of zeros still moves."""
    arrays = np.full(4, 1e-4), np.zeros(3), np.full(2, 1e3)

    def function(small, zero, large):
        return float(1e4 * small.sum() + zero.sum() + 1e-3 * large.sum())

    right = [np.full(4, 1e4), np.ones(3), np.full(2, 1e-3)]
    assert gradcheck_directional(function, right, arrays).worst_error < 1e-8
    for k in range(3):
        wrong = [gradient * (1.01 if j == k else 1) for j, gradient in enumerate(right)]
        with pytest.raises(GradientError, match="directions: wrong at 10 of 10"):
            gradcheck_directional(function, wrong, arrays)


def test_a_directional_gradient_of_another_shape_is_an_error():
    with pytest.raises(GradientError, match=r"arrays\[0\]: .* shape \(3,\), got \(2,\)"):
        gradcheck_directional(lambda x: float(x.sum()), [np.ones(2)], [np.ones(3)])
