import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import functional, reference
from npsqueeze.functional import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool2d_backward,
    global_avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from tests.functional_checks import (
    assert_all_close,
    check_layouts,
    torch_results,
    without_cancellation,
)
from tests.strategies import dtypes, pool_cases, random_array, seeds

NAMES = ["max_pool2d", "avg_pool2d"]
shapes = st.tuples(*[st.integers(1, 4)] * 4)


def pool(name, x, dy, **options):
    y, cache = getattr(functional, f"{name}_forward")(x, **options)
    return [y, getattr(functional, f"{name}_backward")(dy, cache)]


def loops(name, x, dy, **options):
    y = getattr(reference, name)(x, **options)
    return [y, getattr(reference, f"{name}_backward")(dy, x, **options)]


def torchs(name, x, dy, **options):
    def forward(F, x):
        if name == "global_avg_pool2d":
            return F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]
        return getattr(F, name)(x, **options)

    return torch_results(forward, [x], dy)


def check_pool(oracle, name, x, seed, **options):
    """Compare a pooling and its gradient for a random dy with the loops' or PyTorch's."""
    y, _ = getattr(functional, f"{name}_forward")(x, **options)
    dy = without_cancellation(random_array((seed, 1), y.shape, x.dtype))
    assert_all_close(pool(name, x, dy, **options), oracle(name, x, dy, **options), x.dtype)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(case=pool_cases(), dtype=dtypes)
def test_max_pool2d_is_that_of_the_oracle(oracle, case, dtype):
    check_pool(oracle, "max_pool2d", case.array(dtype), case.seed, **case.options)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(case=pool_cases(), dtype=dtypes, count_include_pad=st.booleans())
def test_avg_pool2d_is_that_of_the_oracle(oracle, case, dtype, count_include_pad):
    options = case.options | {"count_include_pad": count_include_pad}
    check_pool(oracle, "avg_pool2d", without_cancellation(case.array(dtype)), case.seed, **options)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(shape=shapes, dtype=dtypes, seed=seeds)
def test_global_avg_pool2d_is_that_of_the_oracle(oracle, shape, dtype, seed):
    x = without_cancellation(random_array((seed, 0), shape, dtype))
    check_pool(oracle, "global_avg_pool2d", x, seed)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_stride_the_windows_stand_side_by_side(name):
    x, dy = random_array(0, (1, 2, 7, 6)), random_array(1, (1, 2, 2, 3))
    expected = pool(name, x, dy, kernel_size=(3, 2), stride=(3, 2))
    assert_all_close(pool(name, x, dy, kernel_size=(3, 2)), expected, np.float64)


@pytest.mark.parametrize("side", [111, 110, 55])
def test_the_pools_of_squeezenet_in_float32(side):
    x = random_array(0, (1, 4, side, side), np.float32)
    out = side // 2
    dy = random_array(1, (1, 4, out, out), np.float32)
    options = {"kernel_size": 3, "stride": 2, "ceil_mode": True}
    for name in NAMES:
        expected = torchs(name, x.astype(np.float64), dy.astype(np.float64), **options)
        assert_all_close(pool(name, x, dy, **options), expected, np.float32)


def test_the_first_maximum_in_row_major_order_gets_the_gradient():
    x = np.array([[[[0.0, 2.0, 1.0], [2.0, 2.0, 0.0]]]])
    _, dx = pool("max_pool2d", x, np.full((1, 1, 1, 1), 3.0), kernel_size=(2, 3))
    np.testing.assert_array_equal(dx, [[[[0, 3, 0], [0, 0, 0]]]])


def test_a_maximum_of_several_windows_gets_the_sum():
    x, dy = np.zeros((1, 1, 3, 3)), np.array([[[[1.0, 2.0], [4.0, 8.0]]]])
    x[0, 0, 1, 1] = 5
    y, dx = pool("max_pool2d", x, dy, kernel_size=2, stride=1)
    assert np.all(y == 5)
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 0], [0, 15, 0], [0, 0, 0]])


def test_minus_infinity_has_a_place_too():
    x, dy = np.full((1, 1, 3, 3), -np.inf), np.full((1, 1, 1, 1), 5.0)
    y, dx = pool("max_pool2d", x, dy, kernel_size=3)
    assert y == -np.inf
    np.testing.assert_array_equal(np.argwhere(dx), [[0, 0, 0, 0]])


def test_negative_images_are_not_beaten_by_the_padding():
    y, _ = max_pool2d_forward(np.full((1, 1, 3, 3), -1.0), 3, stride=2, padding=1)
    assert np.all(y == -1)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(case=pool_cases(), name=st.sampled_from(NAMES), data=st.data())
def test_nan_propagates_as_in_the_oracle(oracle, case, name, data):
    x = case.array()
    positions = st.sampled_from(list(np.ndindex(x.shape)))
    for position in data.draw(st.lists(positions, min_size=1, max_size=3)):
        x[position] = np.nan
    check_pool(oracle, name, x, case.seed, **case.options)


def test_nan_makes_its_channel_mean_nan():
    x = random_array(0, (2, 2, 3, 3))
    x[1, 0, 2, 1] = np.nan
    y, _ = global_avg_pool2d_forward(x)
    np.testing.assert_array_equal(np.isnan(y), [[False, False], [True, False]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    x, dy = random_array(0, (2, 3, 7, 6), dtype), random_array(1, (2, 3, 4, 3), dtype)
    for name in NAMES:
        check_layouts(
            lambda *a, name=name: pool(name, *a, kernel_size=3, stride=2, padding=1), x, dy
        )
    check_layouts(lambda *a: pool("global_avg_pool2d", *a), x, random_array(1, (2, 3), dtype))


X = random_array(0, (2, 3, 6, 6))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[0]}, ValueError, "^x: expected 4 dimensions"),
        ({"x": X[:0]}, ValueError, "^x: expected at least one element"),
        ({"x": X.astype(int)}, TypeError, "^x: "),
        ({"x": X.astype(np.float16)}, TypeError, "^x: "),
        ({"x": X[:, :, :, :2]}, ValueError, "^x: .* window .* got 6x2 pixels"),
        ({"kernel_size": 0}, ValueError, "^kernel_size: "),
        ({"kernel_size": 2.0}, ValueError, "^kernel_size: "),
        ({"kernel_size": 7}, ValueError, "^x: .* window"),
        ({"stride": 0}, ValueError, "^stride: "),
        ({"stride": (1,)}, ValueError, "^stride: "),
        ({"padding": -1}, ValueError, "^padding: "),
        ({"padding": 2}, ValueError, "^padding: expected at most half of kernel_size"),
        ({"padding": (1, 2)}, ValueError, "^padding: expected at most half of kernel_size"),
    ],
)
def test_bad_input_is_refused_by_name(name, changes, error, message):
    with pytest.raises(error, match=message):
        getattr(functional, f"{name}_forward")(**{"x": X, "kernel_size": 3, "stride": 2} | changes)


@pytest.mark.parametrize(
    ("x", "error"), [(X[0], ValueError), (X[:0], ValueError), (X.astype(int), TypeError)]
)
def test_bad_input_of_the_global_mean_is_refused_by_name(x, error):
    with pytest.raises(error, match=r"^x: expected"):
        global_avg_pool2d_forward(x)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (lambda: max_pool2d_forward(X, 6), max_pool2d_backward),
        (lambda: avg_pool2d_forward(X, 6), avg_pool2d_backward),
        (lambda: global_avg_pool2d_forward(X), global_avg_pool2d_backward),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(forward, backward):
    y, cache = forward()
    for shape in ((2, 2, *y.shape[2:]), (1, *y.shape[1:]), (*y.shape, 1)):
        with pytest.raises(ValueError, match=r"^dy: expected"):
            backward(np.zeros(shape), cache)
    for dtype in (np.float32, np.int64):
        with pytest.raises(TypeError, match=r"^dy: expected"):
            backward(y.astype(dtype), cache)
