"""Max and average pooling against the loops, and the cases that other libraries got wrong."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.arrays import Array
from npsqueeze.kernels.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from tests.strategies import PoolCase, assert_close, dtypes, pool_cases, random_array

EXAMPLES = 30 if numba.config.DISABLE_JIT else 100


def geometry(case: PoolCase) -> tuple[tuple[int, int], ...]:
    return case.kernel_size, case.stride, case.padding


def output_size(case: PoolCase) -> tuple[int, int]:
    oh, ow = (
        reference.output_size(size, *axis, ceil_mode=case.ceil_mode)
        for size, *axis in zip(case.x_shape[2:], *geometry(case), strict=True)
    )
    return oh, ow


def max_pool(case: PoolCase, x: Array) -> tuple[Array, Array]:
    """Return y and winner; NaN and -1 where the kernel has left something out."""
    y = np.full((*x.shape[:2], *output_size(case)), np.nan, x.dtype)
    winner = np.full(y.shape, -1, np.int32)
    max_pool_forward(x, y, winner, *geometry(case))
    return y, winner


def with_special_values(case: PoolCase, dtype: type) -> Array:
    """Return the case's x; where it has ties, a quarter is NaN and a quarter infinite."""
    x = case.array(dtype)
    if case.ties:
        x[x == 1] = np.nan
        x[x == -1] = -np.inf
        x[x > 1] = np.inf
    return x


def one_window(x: Array) -> tuple[float, int]:
    """Return maximum and winner of a single window over all of x (H, W)."""
    case = PoolCase((1, 1, *x.shape), x.shape, (1, 1), (0, 0), False, False, 0)
    y, winner = max_pool(case, x[None, None])
    return float(y[0, 0, 0, 0]), int(winner[0, 0, 0, 0])


def divisors(case: PoolCase, count_include_pad: bool) -> Array:
    """Return the number of pixels in each window, counted one by one."""
    oh, ow = output_size(case)
    (kh, kw), (sh, sw), (ph, pw) = geometry(case)
    H, W = case.x_shape[2:]
    counted = np.pad(np.ones((H, W)), ((ph, ph), (pw, pw)), constant_values=count_include_pad)
    return np.array(
        [
            [counted[i * sh : i * sh + kh, j * sw : j * sw + kw].sum() for j in range(ow)]
            for i in range(oh)
        ]
    )


@given(pool_cases(), dtypes)
@settings(max_examples=EXAMPLES)
def test_max_pool_is_that_of_the_loops(case, dtype):
    x = with_special_values(case, dtype)
    y, winner = max_pool(case, x)
    np.testing.assert_array_equal(y, reference.max_pool2d(x, **case.options))
    planes = x.reshape(*x.shape[:2], -1)
    chosen = np.take_along_axis(planes, winner.reshape(*x.shape[:2], -1).astype(int), axis=2)
    np.testing.assert_array_equal(chosen.reshape(y.shape), y)


@given(pool_cases(), dtypes)
@settings(max_examples=EXAMPLES)
def test_max_pool_backward_is_that_of_the_loops(case, dtype):
    x = with_special_values(case, dtype)
    y, winner = max_pool(case, x)
    dy = random_array((case.seed, 1), y.shape, dtype)
    dx = np.full(x.shape, np.nan, dtype)
    max_pool_backward(dy, winner, dx)
    expected = reference.max_pool2d_backward(dy, x, **case.options)
    assert_close(dx, expected, 20 * np.finfo(dtype).eps)


def test_the_first_maximum_in_a_tie_wins():
    assert one_window(np.zeros((3, 3))) == (0, 0)
    assert one_window(np.array([[1.0, 3.0, 2.0], [3.0, 3.0, 0.0]])) == (3, 1)
    assert one_window(np.array([[1.0, 2.0], [5.0, 5.0]])) == (5, 2)


def test_minus_infinity_throughout_is_a_tie_too():
    assert one_window(np.full((2, 3), -np.inf)) == (-np.inf, 0)


@pytest.mark.parametrize("place", range(6))
def test_a_nan_wins_wherever_it_stands(place):
    x = np.array([[1.0, np.inf, 3.0], [9.0, -np.inf, 2.0]])
    x.flat[place] = np.nan
    value, winner = one_window(x)
    assert np.isnan(value)
    assert winner == place


def test_of_several_nan_the_last_gets_the_gradient():
    x = np.array([[np.nan, 1.0], [np.nan, np.inf]])
    assert one_window(x)[1] == 2
    assert one_window(np.array([[np.nan, np.nan], [1.0, np.nan]]))[1] == 3
    assert one_window(np.array([[1.0, np.nan, np.nan], [1.0, np.nan, 2.0]]))[1] == 4
    expected = reference.max_pool2d_backward(np.full((1, 1, 1, 1), 7.0), x[None, None], 2)
    assert expected.ravel().tolist() == [0, 0, 7, 0]


def test_padding_never_wins_over_minus_infinity():
    case = PoolCase((1, 1, 2, 2), (2, 2), (1, 1), (1, 1), False, False, 0)
    y, winner = max_pool(case, np.full((1, 1, 2, 2), -np.inf))
    assert y[0, 0].tolist() == [[-np.inf] * 3] * 3
    assert winner[0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


def test_padding_never_wins_over_negative_numbers():
    case = PoolCase((1, 1, 2, 2), (2, 2), (1, 1), (1, 1), False, False, 0)
    y, winner = max_pool(case, np.array([[[[-4.0, -3.0], [-2.0, -1.0]]]]))
    assert y[0, 0].tolist() == [[-4, -3, -3], [-2, -1, -1], [-2, -1, -1]]
    assert winner[0, 0].tolist() == [[0, 1, 1], [2, 3, 3], [2, 3, 3]]


def test_windows_that_hang_over_the_border_are_cut():
    case = PoolCase((1, 1, 4, 4), (3, 3), (2, 2), (0, 0), True, False, 0)
    y, winner = max_pool(case, np.arange(16.0).reshape(1, 1, 4, 4))
    assert y[0, 0].tolist() == [[10, 11], [14, 15]]
    assert winner[0, 0].tolist() == [[10, 11], [14, 15]]


def test_a_pixel_that_wins_several_windows_gets_the_sum():
    case = PoolCase((1, 1, 3, 3), (2, 2), (1, 1), (0, 0), False, False, 0)
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    _, winner = max_pool(case, x)
    dx = np.empty_like(x)
    max_pool_backward(np.array([[[[1.0, 2.0], [4.0, 8.0]]]]), winner, dx)
    assert dx[0, 0].tolist() == [[0, 0, 0], [0, 15, 0], [0, 0, 0]]


@given(pool_cases(), dtypes, st.booleans())
@settings(max_examples=EXAMPLES)
def test_avg_pool_is_that_of_the_loops(case, dtype, count_include_pad):
    x = case.array(dtype)
    divisor = divisors(case, count_include_pad).astype(dtype)
    y = np.full((*x.shape[:2], *divisor.shape), np.nan, dtype)
    avg_pool_forward(x, y, divisor, *geometry(case))
    expected = reference.avg_pool2d(x, **case.options, count_include_pad=count_include_pad)
    # A mean may cancel: the error is one of its terms.
    assert abs(y - expected).max() <= 20 * np.finfo(dtype).eps * abs(x).max()


@given(pool_cases(), dtypes, st.booleans())
@settings(max_examples=EXAMPLES)
def test_avg_pool_backward_is_that_of_the_loops(case, dtype, count_include_pad):
    x = case.array(dtype)
    divisor = divisors(case, count_include_pad).astype(dtype)
    dy = random_array((case.seed, 1), (*x.shape[:2], *divisor.shape), dtype)
    dx = np.full(x.shape, np.nan, dtype)
    avg_pool_backward(dy, dx, divisor, *geometry(case))
    expected = reference.avg_pool2d_backward(
        dy, x, **case.options, count_include_pad=count_include_pad
    )
    assert abs(dx - expected).max() <= 20 * np.finfo(dtype).eps * abs(dy).max()


def test_avg_pool_of_a_window_in_the_corner():
    x, y = np.array([[[[4.0, 8.0], [12.0, 16.0]]]]), np.empty((1, 1, 1, 1))
    for divisor, expected in [(9.0, 40 / 9), (4.0, 10.0)]:
        avg_pool_forward(x, y, np.array([[divisor]]), (3, 3), (1, 1), (1, 1))
        assert y[0, 0, 0, 0] == expected


def test_a_nan_stays_in_the_windows_that_see_it():
    x = np.ones((1, 2, 2, 4))
    x[0, 1, 0, 1] = np.nan
    y = np.empty((1, 2, 1, 2))
    avg_pool_forward(x, y, np.full((1, 2), 4.0), (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(y.ravel(), [1, 1, np.nan, 1])
