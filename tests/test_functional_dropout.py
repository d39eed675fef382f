import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import dropout_backward, dropout_forward
from tests.functional_checks import assert_all_close, check_layouts, torch_results
from tests.strategies import dtypes, random_array, seeds

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
probabilities = st.floats(0, 0.99)
MANY = np.ones((100, 1000))


def dropout(x, dy, p=0.4, key=(1, 2, 3)):
    y, cache = dropout_forward(x, p, key)
    return [y, dropout_backward(dy, cache)]


def kept(key, p=0.5, x=MANY):
    return dropout_forward(x, p, key)[0] != 0


def loops(x, dy, mask, p):
    return [reference.dropout(x, mask, p), reference.dropout_backward(dy, mask, p)]


def torchs(x, dy, mask, p):
    # PyTorch cannot be given a mask, but can differentiate the multiplication.
    factor = (mask / (1 - p)).astype(x.dtype)
    return torch_results(lambda _, x: x * x.new_tensor(factor), [x], dy)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(shape=shapes, p=probabilities, dtype=dtypes, seed=seeds)
def test_dropout_is_that_of_the_oracle(oracle, shape, p, dtype, seed):
    x, dy = random_array((seed, 0), shape, dtype), random_array((seed, 1), shape, dtype)
    mask = kept((seed,), p, np.ones(shape, dtype))
    assert_all_close(dropout(x, dy, p, (seed,)), oracle(x, dy, mask, p), dtype)


@given(shapes, probabilities, st.tuples(seeds, seeds, seeds))
def test_the_key_alone_decides_the_mask(shape, p, key):
    x = np.ones(shape)
    mask = kept(key, p, x)
    np.testing.assert_array_equal(kept(key, p, x), mask)
    np.testing.assert_array_equal(kept(key, p, x.astype(np.float32)), mask)
    np.testing.assert_array_equal(kept(key, p, x.reshape(-1)), mask.reshape(-1))


@given(st.tuples(seeds, seeds, seeds), st.integers(0, 2), seeds)
def test_another_key_gives_an_independent_mask(key, part, other):
    other_key = (*key[:part], other, *key[part + 1 :])
    if other_key != key:
        agreement = np.mean(kept(key) == kept(other_key))
        assert abs(agreement - 0.5) < 0.01  # six standard deviations


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_p_is_the_share_of_zeros_and_the_mean_stays(p):
    y, _ = dropout_forward(MANY, p, (0, 1, 2))
    assert abs(np.mean(y == 0) - p) < 0.01
    assert abs(y.mean() - 1) < 0.06  # six standard deviations for p = 0.9
    assert set(np.unique(y)) == {0, 1 / (1 - p)}


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_in_inference_or_with_p_zero(p, training):
    x, dy = random_array(0, (3, 4)), random_array(1, (3, 4))
    y, cache = dropout_forward(x, p, (0,), training)
    dx = dropout_backward(dy, cache)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, dy)
    assert not np.shares_memory(y, x)
    assert not np.shares_memory(dx, dy)


def test_nan_propagates_as_in_torch():
    # also where it is dropped: NaN · 0 is NaN
    assert np.isnan(dropout_forward(np.full(100, np.nan), 0.5, (0,))[0]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    check_layouts(dropout, *(random_array(i, (2, 3, 4, 5), dtype) for i in range(2)))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": np.ones((1, 1, 1, 1, 1))}, ValueError, "^x: expected 1 or 2 or 3 or 4 dim"),
        ({"x": np.ones((0, 2))}, ValueError, "^x: expected at least one element"),
        ({"x": np.ones(3, int)}, TypeError, "^x: "),
        ({"x": [1.0]}, TypeError, "^x: .* got list"),
        ({"p": 1.0}, ValueError, r"^p: expected a probability in \[0, 1\), got 1.0"),
        ({"p": -0.1}, ValueError, "^p: "),
        ({"p": np.nan}, ValueError, "^p: "),
        ({"key": (0, -1)}, ValueError, "key"),
        ({"key": (0, 0.5)}, ValueError, "key"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    with pytest.raises(error, match=message):
        dropout_forward(**{"x": np.ones(3), "p": 0.5, "key": (0,)} | changes)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (np.zeros((3, 2)), ValueError),
        (np.zeros(6), ValueError),
        (np.zeros((2, 3), np.float32), TypeError),
        (np.zeros((2, 3), int), TypeError),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_dy_that_does_not_fit_is_refused(dy, error, training):
    _, cache = dropout_forward(np.ones((2, 3)), 0.5, (0,), training)
    with pytest.raises(error, match=r"^dy: expected"):
        dropout_backward(dy, cache)
