import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import batch_norm2d_backward, batch_norm2d_forward
from tests.functional_checks import LAYOUTS, assert_all_close, check_layouts, torch_results
from tests.strategies import assert_close, dtypes, random_array, seeds

OPTIONS = {"momentum": 0.3, "eps": 0.5}  # with a small eps, the dx of few numbers is cancellation
shapes = st.tuples(*[st.integers(1, 5)] * 4).filter(lambda s: s[0] * s[2] * s[3] > 1)


def inputs(seed, shape, dtype=np.float64):
    """Return x, w, b, running_mean, running_var, dy."""
    w, b, mean, var = (random_array((seed, i), shape[1:2], dtype) for i in range(4))
    x, dy = random_array((seed, 4), shape, dtype), random_array((seed, 5), shape, dtype)
    return 3 * x + 1, w, b, mean, var**2 + dtype(0.1), dy


def batch_norm(x, w, b, running_mean, running_var, dy, **options):
    """Return y, the running statistics afterwards, dx, dw, db."""
    statistics = running_mean.copy(), running_var.copy()
    y, cache = batch_norm2d_forward(x, w, b, *statistics, **options)
    return [y, *statistics, *batch_norm2d_backward(dy, cache)]


def loops(x, w, b, running_mean, running_var, dy, training, momentum, eps):
    statistics = running_mean.copy(), running_var.copy()
    y = reference.batch_norm2d(x, w, b, *statistics, training, momentum, eps)
    gradients = reference.batch_norm2d_backward(dy, x, w, running_mean, running_var, training, eps)
    return [y, *statistics, *gradients]


def torchs(x, w, b, running_mean, running_var, dy, training, **options):
    torch = pytest.importorskip("torch")
    mean, var = torch.tensor(running_mean), torch.tensor(running_var)
    y, *gradients = torch_results(
        lambda F, x, w, b: F.batch_norm(x, mean, var, w, b, training, **options), (x, w, b), dy
    )
    return [y, mean.numpy(), var.numpy(), *gradients]


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(shape=shapes, seed=seeds, training=st.booleans())
def test_batch_norm2d_is_that_of_the_oracle(oracle, shape, seed, training):
    arrays = inputs(seed, shape)
    actual = batch_norm(*arrays, training=training, **OPTIONS)
    assert_all_close(actual, oracle(*arrays, training, **OPTIONS), np.float64)


@given(st.integers(1, 3), st.integers(3, 6), st.integers(8, 11), seeds, st.booleans())
def test_float32_is_float64_rounded(n, channels, side, seed, training):
    shape = (n, channels, side, side + 1)
    arrays = inputs(seed, shape, np.float32)
    double = [array.astype(np.float64) for array in arrays]
    actual = batch_norm(*arrays, training=training)
    assert_all_close(actual, batch_norm(*double, training=training), np.float32)


@given(dtypes, seeds)
def test_normalised_channels_have_mean_b_and_standard_deviation_w(dtype, seed):
    x, w, b, *_, dy = inputs(seed, (4, 3, 6, 5), dtype)
    zeros, ones = np.zeros(3, dtype), np.ones(3, dtype)
    y, *_, dx, _, _ = batch_norm(100 + x, w, b, zeros, ones, dy, eps=0.0)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), b, atol=tolerance)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), np.abs(w), atol=tolerance)
    np.testing.assert_allclose(dx.mean(axis=(0, 2, 3)), 0, atol=tolerance)
    np.testing.assert_allclose((dx * y).mean(axis=(0, 2, 3)), 0, atol=tolerance)


def test_the_running_statistics_move_in_place_by_the_momentum():
    x = np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1, 1)  # mean 3, unbiased variance 7
    mean, var = np.array([5.0]), np.array([2.0])
    batch_norm2d_forward(x, np.ones(1), np.zeros(1), mean, var, momentum=0.25)
    assert_close([mean, var], [[0.75 * 5 + 0.25 * 3], [0.75 * 2 + 0.25 * 7]], 1e-15)


def test_inference_leaves_the_running_statistics_alone():
    arrays = inputs(0, (2, 3, 4, 4))
    _, mean, var, *_ = batch_norm(*arrays, training=False)
    np.testing.assert_array_equal(mean, arrays[3])
    np.testing.assert_array_equal(var, arrays[4])


def test_nan_stays_in_its_channel():
    arrays = inputs(0, (2, 3, 4, 4))
    arrays[0][1, 2, 0, 3] = np.nan
    actual = batch_norm(*arrays, training=True, **OPTIONS)
    assert_all_close(actual, torchs(*arrays, True, **OPTIONS), np.float64)
    assert np.isnan(actual[0][:, 2]).all()
    assert np.isfinite(actual[0][:, :2]).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype, training):
    def operation(*arrays):
        y, _, _, *gradients = batch_norm(*arrays, training=training)
        return [y, *gradients]

    check_layouts(operation, *inputs(0, (2, 3, 4, 5), dtype))


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - {"read_only"}))
def test_running_statistics_of_every_layout_are_updated(layout):
    x, w, b, mean, var, dy = inputs(0, (2, 3, 4, 5))
    _, right_mean, right_var, *_ = batch_norm(x, w, b, mean, var, dy)
    mean, var = LAYOUTS[layout](mean), LAYOUTS[layout](var)
    batch_norm2d_forward(x, w, b, mean, var)
    np.testing.assert_array_equal(mean, right_mean)
    np.testing.assert_array_equal(var, right_var)


def test_read_only_running_statistics_will_do_in_inference_alone():
    x, w, b, mean, var, _ = inputs(0, (2, 3, 4, 5))
    right_mean, frozen = mean.copy(), LAYOUTS["read_only"](var)
    batch_norm2d_forward(x, w, b, mean, frozen, training=False)
    with pytest.raises(ValueError, match=r"^running_mean, running_var: expected writable"):
        batch_norm2d_forward(x, w, b, mean, frozen)
    np.testing.assert_array_equal(mean, right_mean)


X, ONES = random_array(0, (2, 4, 3, 3)), np.ones(4)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[0]}, ValueError, "^x: expected 4 dimensions"),
        ({"x": X[:0]}, ValueError, "^x: expected at least one element"),
        ({"x": X[:1, :, :1, :1]}, ValueError, "^x: expected more than one number a channel"),
        ({"x": X.astype(int)}, TypeError, "^x: "),
        ({"x": X.astype(np.float32)}, TypeError, "x float32, w float64"),
        ({"w": np.ones(3)}, ValueError, r"^w: expected shape \(4,\), got \(3,\)"),
        ({"w": np.ones(4, int)}, TypeError, "^w: "),
        ({"b": np.ones((4, 1))}, ValueError, "^b: expected 1 dim"),
        ({"b": np.ones(4, np.float32)}, TypeError, "b float32"),
        ({"running_mean": np.ones(5)}, ValueError, "^running_mean: expected shape"),
        ({"running_mean": [0.0] * 4}, TypeError, "^running_mean: .* got list"),
        ({"running_var": np.ones(1)}, ValueError, "^running_var: expected shape"),
        ({"running_var": np.ones(4, np.float32)}, TypeError, "running_var float32"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    names = ("w", "b", "running_mean", "running_var")
    arguments = {"x": X} | {name: ONES.copy() for name in names} | changes
    with pytest.raises(error, match=message):
        batch_norm2d_forward(**arguments)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (X[:, :3], ValueError),
        (X[:1], ValueError),
        (X[0], ValueError),
        (X.astype(np.float32), TypeError),
        (X.astype(int), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = batch_norm2d_forward(X, ONES, ONES, ONES.copy(), ONES.copy())
    with pytest.raises(error, match=r"^dy: expected"):
        batch_norm2d_backward(dy, cache)
