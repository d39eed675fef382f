import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import relu_backward, relu_forward
from tests.functional_checks import assert_all_close, check_layouts, torch_results
from tests.strategies import dtypes, random_array, seeds

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def relu(x, dy):
    y, cache = relu_forward(x)
    return [y, relu_backward(dy, cache)]


def loops(x, dy):
    return [reference.relu(x), reference.relu_backward(dy, x)]


def torchs(x, dy):
    return torch_results(lambda F, x: F.relu(x), [x], dy)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(shape=shapes, dtype=dtypes, seed=seeds)
def test_relu_is_that_of_the_oracle(oracle, shape, dtype, seed):
    x = random_array((seed, 0), shape, dtype).round(1)  # with some zeros
    dy = random_array((seed, 1), shape, dtype)
    assert_all_close(relu(x, dy), oracle(x, dy), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40], dtype)
    dy = np.array([3.0, 4.0, 5.0, 6.0, 7.0, np.nan, np.nan], dtype)
    y, dx = relu(x, dy)
    np.testing.assert_array_equal(y, np.array([0, 0, np.nan, np.inf, 0, 1e-40, 0], dtype))
    np.testing.assert_array_equal(dx, np.array([0, 0, 5, 6, 0, np.nan, 0], dtype))
    assert_all_close([y, dx], torchs(x, dy), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    check_layouts(relu, *(random_array(i, (2, 3, 4, 5), dtype) for i in range(2)))


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.zeros((1, 1, 1, 1, 1)), ValueError),
        (np.zeros(()), ValueError),
        (np.zeros((0, 3)), ValueError),
        (np.zeros(3, int), TypeError),
        (np.zeros(3, np.float16), TypeError),
        ([1.0], TypeError),
    ],
)
def test_bad_input_is_refused_by_name(x, error):
    with pytest.raises(error, match=r"^x: expected"):
        relu_forward(x)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (np.zeros((3, 2)), ValueError),
        (np.zeros(2), ValueError),
        (np.zeros((2, 3), np.float32), TypeError),
        (np.zeros((2, 3), int), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = relu_forward(np.zeros((2, 3)))
    with pytest.raises(error, match=r"^dy: expected"):
        relu_backward(dy, cache)
