import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import concat_backward, concat_forward
from tests.functional_checks import assert_all_close, check_layouts, torch_results
from tests.strategies import dtypes, random_array, seeds

sizes = st.tuples(*[st.integers(1, 4)] * 3)
channels = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def concat(*arrays_and_dy):
    *arrays, dy = arrays_and_dy
    y, cache = concat_forward(arrays)
    return [y, *concat_backward(dy, cache)]


def loops(*arrays_and_dy):
    *arrays, dy = arrays_and_dy
    return [reference.concat(arrays), *reference.concat_backward(dy, arrays)]


def torchs(*arrays_and_dy):
    torch = pytest.importorskip("torch")
    *arrays, dy = arrays_and_dy
    return torch_results(lambda _, *leaves: torch.cat(leaves, dim=1), arrays, dy)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(size=sizes, channels=channels, dtype=dtypes, seed=seeds)
def test_concat_is_that_of_the_oracle(oracle, size, channels, dtype, seed):
    n, height, width = size
    arrays = [random_array((seed, i), (n, c, height, width), dtype) for i, c in enumerate(channels)]
    dy = random_array((seed, 9), (n, sum(channels), height, width), dtype)
    assert_all_close(concat(*arrays, dy), oracle(*arrays, dy), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    arrays = [random_array(c, (2, c, 4, 3), dtype) for c in (1, 3, 4)]
    check_layouts(concat, *arrays)


@pytest.mark.parametrize("channels", [(3,), (1, 2)])
def test_no_gradient_shares_memory_with_dy(channels):
    _, cache = concat_forward([np.ones((1, c, 2, 2)) for c in channels])
    dy = random_array(0, (1, sum(channels), 2, 2))
    assert not any(np.shares_memory(dx, dy) for dx in concat_backward(dy, cache))


X = random_array(0, (2, 3, 4, 4))


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ([], ValueError, "^arrays: expected at least one array"),
        ([X, X[0]], ValueError, r"^arrays\[1\]: expected 4 dimensions"),
        ([X, X[:1]], ValueError, r"^arrays\[1\]: expected shape \(2, 3, 4, 4\), got \(1, 3"),
        ([X, X, X[:, :, :3]], ValueError, r"^arrays\[2\]: expected shape"),
        ([X, X[:, :0]], ValueError, r"^arrays\[1\]: expected at least one element"),
        ([X.astype(int), X], TypeError, r"^arrays\[0\]: .* got int64"),
        ([X, X.astype(np.float32)], TypeError, r"arrays\[1\] float32"),
    ],
)
def test_bad_input_is_refused_by_name(arrays, error, message):
    with pytest.raises(error, match=message):
        concat_forward(arrays)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (np.zeros((2, 5, 4, 4)), ValueError),
        (np.zeros((1, 6, 4, 4)), ValueError),
        (np.zeros((2, 6, 4, 5)), ValueError),
        (np.zeros((2, 6, 16)), ValueError),
        (np.zeros((2, 6, 4, 4), np.float32), TypeError),
        (np.zeros((2, 6, 4, 4), int), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = concat_forward([X, X])
    with pytest.raises(error, match=r"^dy: expected"):
        concat_backward(dy, cache)
