import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import linear_backward, linear_forward
from tests.functional_checks import (
    assert_all_close,
    check_layouts,
    torch_results,
    without_cancellation,
)
from tests.strategies import dtypes, random_array, seeds

sizes = st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))


def linear(x, w, b, dy):
    y, cache = linear_forward(x, w, b)
    gradients = linear_backward(dy, cache)
    return [y, *(gradients if b is not None else gradients[:2])]


def loops(x, w, b, dy):
    y, gradients = reference.linear(x, w, b), reference.linear_backward(dy, x, w)
    return [y, *(gradients if b is not None else gradients[:2])]


def torchs(x, w, b, dy):
    return torch_results(lambda F, *arrays: F.linear(*arrays), (x, w, b), dy)


def inputs(seed, size, bias, dtype=np.float64):
    n, features, outputs = size
    shapes = (n, features), (outputs, features), (outputs,), (n, outputs)
    x, w, b, dy = (random_array((seed, i), shape, dtype) for i, shape in enumerate(shapes))
    return x, w, b if bias else None, dy


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(size=sizes, bias=st.booleans(), dtype=dtypes, seed=seeds)
def test_linear_is_that_of_the_oracle(oracle, size, bias, dtype, seed):
    arrays = inputs(seed, size, bias, dtype)
    arrays = [None if a is None else without_cancellation(a) for a in arrays]
    assert_all_close(linear(*arrays), oracle(*arrays), dtype)


def test_a_layer_of_real_size_in_float32():
    arrays = inputs(0, (32, 512, 1000), bias=True)
    single = [array.astype(np.float32) for array in arrays]
    assert_all_close(linear(*single), torchs(*arrays), np.float32)


def test_without_a_bias_there_is_no_gradient_of_it():
    x, w, b, dy = inputs(0, (2, 3, 4), bias=False)
    assert linear_backward(dy, linear_forward(x, w, b)[1])[2] is None


def test_nan_stays_in_its_row():
    x, w, b, dy = inputs(0, (3, 5, 4), bias=True)
    x[1, 2] = np.nan
    y, dx, dw, db = linear(x, w, b, dy)
    np.testing.assert_array_equal(np.isnan(y).any(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(dw).all(axis=0), np.arange(5) == 2)
    assert np.isfinite(dx).all()
    assert np.isfinite(db).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    check_layouts(linear, *inputs(0, (5, 7, 9), bias=True, dtype=dtype))


X, W, B, _ = inputs(0, (2, 3, 4), bias=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[0]}, ValueError, "^x: expected 2 dimensions"),
        ({"x": X[:0]}, ValueError, "^x: expected at least one element"),
        ({"x": X[:, :2]}, ValueError, r"^x: expected shape \(2, 3\), got \(2, 2\)"),
        ({"x": X.astype(int)}, TypeError, "^x: "),
        ({"x": X.astype(np.float32)}, TypeError, "x float32, w float64"),
        ({"w": W[0]}, ValueError, "^w: expected 2 dimensions"),
        ({"w": W.astype(np.float16)}, TypeError, "^w: "),
        ({"b": B[:3]}, ValueError, r"^b: expected shape \(4,\)"),
        ({"b": B[None]}, ValueError, "^b: expected 1 dim"),
        ({"b": B.tolist()}, TypeError, "^b: .* got list"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    with pytest.raises(error, match=message):
        linear_forward(**{"x": X, "w": W, "b": B} | changes)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (np.zeros((2, 3)), ValueError),
        (np.zeros((4, 2)), ValueError),
        (np.zeros(4), ValueError),
        (np.zeros((2, 4), np.float32), TypeError),
        (np.zeros((2, 4), int), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = linear_forward(X, W, B)
    with pytest.raises(error, match=r"^dy: expected"):
        linear_backward(dy, cache)
