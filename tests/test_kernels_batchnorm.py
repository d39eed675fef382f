"""Batch normalisation's three passes: against NumPy in float64, and against the loops."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.arrays import Array
from npsqueeze.kernels.batchnorm import channel_moments, normalize_backward, normalize_forward
from tests.strategies import assert_close, dtypes, random_array, seeds

EXAMPLES = 30 if numba.config.DISABLE_JIT else 100
EPS = 1e-5

shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(2, 40))


def moments(x: Array) -> tuple[Array, Array]:
    mean, variance = np.full((2, x.shape[1]), np.nan)
    channel_moments(x, mean, variance)
    return mean, variance


def inputs(seed: int, shape: tuple[int, int, int], dtype: type) -> tuple[Array, ...]:
    """Return x, dy (N, C, P) and w, b, mean, variance (C,); the last two are not those of x."""
    x, dy = (random_array((seed, i), shape, dtype) for i in range(2))
    w, b, mean, root = (random_array((seed, i), shape[1:2], dtype) for i in range(2, 6))
    return x, dy, w, b, mean, root**2


def inverse_std(variance: Array, dtype: type) -> Array:
    return (1 / np.sqrt(variance + EPS)).astype(dtype)


@given(seeds, shapes, dtypes)
@settings(max_examples=EXAMPLES)
def test_moments_are_those_of_numpy_in_float64(seed, shape, dtype):
    x = 3 * random_array(seed, shape, dtype) + 1
    mean, variance = moments(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2)), rtol=0, atol=1e-14)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("dtype", "centre", "std"), [(np.float32, 1e4, 1e-2), (float, 1e8, 1.0)])
def test_a_large_mean_does_not_drown_the_variance(dtype, centre, std):
    # One pass, E[x²] - E[x]², would lose all digits: the squares are 1e12 or 1e16 times larger.
    x = (centre + std * random_array(0, (4, 3, 200))).astype(dtype)
    mean, variance = moments(x)
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2)).astype(float), rtol=1e-14)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2)).astype(float), rtol=1e-6)


def test_a_constant_channel_has_no_variance():
    mean, variance = moments(np.full((3, 2, 7), 0.1, np.float32))
    np.testing.assert_array_equal(variance, 0)
    np.testing.assert_allclose(mean, np.float32(0.1), rtol=1e-15)


def test_many_small_numbers_after_a_large_one_are_not_lost():
    # In float32 the sum would stay at 2**25: adding 1 to it rounds away.
    x = np.ones((1, 1, 1000), np.float32)
    x[0, 0, 0] = 2**25
    mean, _ = moments(x)
    assert mean[0] == (2**25 + 999) / 1000


def test_channels_know_nothing_of_each_other():
    x = random_array(0, (2, 3, 5))
    clean = moments(x)
    x[1, 1, 4] = np.nan
    for with_nan, without in zip(moments(x), clean, strict=True):
        assert np.isnan(with_nan[1])
        np.testing.assert_array_equal(with_nan[[0, 2]], without[[0, 2]])


@given(seeds, shapes, dtypes, st.booleans())
@settings(max_examples=EXAMPLES)
def test_forward_is_that_of_the_loops(seed, shape, dtype, training):
    x, _, w, b, mean, variance = inputs(seed, shape, dtype)
    expected = reference.batch_norm2d(
        x[..., None], w, b, mean.copy(), variance.copy(), training=training, eps=EPS
    )
    if training:
        mean, variance = moments(x)
    y = np.full(shape, np.nan, dtype)
    normalize_forward(x, mean.astype(dtype), inverse_std(variance, dtype), w, b, y)
    # Two numbers a channel may lie close together: their mean's rounding is then divided by little.
    spread = float(max(1, (1 / np.sqrt(variance + EPS)).max()))
    assert (
        abs(y - expected[..., 0]).max()
        <= 50
        * spread
        * np.finfo(dtype).eps
        * abs(np.concatenate([expected.ravel(), w, b, [1]])).max()
    )


@given(seeds, shapes, st.booleans())
@settings(max_examples=EXAMPLES)
def test_backward_is_that_of_the_loops(seed, shape, training):
    x, dy, w, _, mean, variance = inputs(seed, shape, np.float64)
    expected = reference.batch_norm2d_backward(
        dy[..., None], x[..., None], w, mean, variance, training=training, eps=EPS
    )
    if training:
        mean, variance = moments(x)
    dx, dw, db = np.full(shape, np.nan), *np.full((2, shape[1]), np.nan)
    normalize_backward(dy, x, mean, inverse_std(variance, float), w, dx, dw, db, training)
    scale = 1e-11 * (1 / np.sqrt(variance.min() + EPS)) * (1 + abs(w).max())
    for actual, loops in zip((dx, dw, db), (expected[0][..., 0], *expected[1:]), strict=True):
        assert abs(actual - loops).max() <= scale


@given(seeds, st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(10, 40)), st.booleans())
@settings(max_examples=EXAMPLES)
def test_float32_gradients_are_those_of_float64_rounded(seed, shape, training):
    results = []
    for dtype in (np.float32, np.float64):
        # The same numbers, all of them representable in float32.
        x, dy, w, *_ = (array.astype(dtype) for array in inputs(seed, shape, np.float32))
        mean, variance = moments(x)
        dx, dw, db = np.empty(shape, dtype), np.empty(shape[1], dtype), np.empty(shape[1], dtype)
        inverse = inverse_std(variance, dtype)
        normalize_backward(dy, x, mean.astype(dtype), inverse, w, dx, dw, db, training)
        results.append((dx, dw, db, inverse))
    *single, _ = results[0]
    *double, inverse = results[1]
    limit = 1e-5 * max(1, inverse.max()) * (1 + abs(w).max())
    for actual, expected in zip(single, double, strict=True):
        assert actual.dtype == np.float32
        assert abs(actual - expected).max() <= limit * max(1, abs(expected).max())


@given(seeds, shapes)
@settings(max_examples=EXAMPLES)
def test_a_training_gradient_has_no_mean_and_no_part_along_the_normalised_input(seed, shape):
    x, dy, w, *_ = inputs(seed, shape, np.float64)
    mean, variance = moments(x)
    inverse = 1 / np.sqrt(variance)  # without eps the second statement is exact
    dx, dw, db = np.empty(shape), np.empty(shape[1]), np.empty(shape[1])
    normalize_backward(dy, x, mean, inverse, w, dx, dw, db, True)
    xhat = (x - mean[:, None]) * inverse[:, None]
    limit = 1e-10 * inverse.max() * (1 + abs(w).max()) * dx.size
    assert abs(dx.sum(axis=(0, 2))).max() <= limit
    assert abs((dx * xhat).sum(axis=(0, 2))).max() <= limit


def test_constant_moments_pass_the_scaled_gradient_alone():
    dy, x = random_array(0, (2, 2, 3)), random_array(1, (2, 2, 3))
    dx, dw, db = np.empty_like(x), np.empty(2), np.empty(2)
    mean, inverse, w = np.array([1.0, -2.0]), np.array([0.5, 4.0]), np.array([3.0, 0.25])
    normalize_backward(dy, x, mean, inverse, w, dx, dw, db, False)
    assert_close(dx, dy * np.array([1.5, 1.0])[:, None], 1e-15)
    assert_close(db, dy.sum(axis=(0, 2)), 1e-14)
    xhat = (x - mean[:, None]) * inverse[:, None]
    assert_close(dw, (dy * xhat).sum(axis=(0, 2)), 1e-14)


def test_gradients_of_the_parameters_are_summed_in_float64():
    # In float32 the sum would stay at 2**25: adding 1 to it rounds away.
    dy = np.ones((1000, 1, 1), np.float32)
    dy[0] = 2**25
    x, dx, one, zero = np.ones_like(dy), np.empty_like(dy), np.ones(1, np.float32), np.zeros(1)
    dw, db = np.empty((2, 1), np.float32)
    normalize_backward(dy, x, zero.astype(np.float32), one, one, dx, dw, db, False)
    assert db[0] == dw[0] == np.float32(2**25 + 999)
