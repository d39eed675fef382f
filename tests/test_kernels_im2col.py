"""im2col and col2im against the loops, and against each other: one is the other's transpose."""

import numba
import numpy as np
from hypothesis import given, settings

from npsqueeze import reference
from npsqueeze.arrays import Array
from npsqueeze.kernels.im2col import col2im, im2col
from tests.strategies import ConvCase, assert_close, conv_cases, dtypes, random_array

EXAMPLES = 30 if numba.config.DISABLE_JIT else 100


def geometry(case: ConvCase) -> dict[str, tuple[int, int]]:
    """Return the arguments of the reference."""
    return {
        "kernel_size": case.w_shape[2:],
        "stride": case.stride,
        "padding": case.padding,
        "dilation": case.dilation,
    }


def columns_shape(case: ConvCase) -> tuple[int, ...]:
    along = zip(case.x_shape[2:], *geometry(case).values(), strict=True)
    out_size = tuple(reference.output_size(*axis) for axis in along)
    return (*case.x_shape[:2], *case.w_shape[2:], *out_size)


def columns_of(case: ConvCase, x: Array) -> Array:
    """Return what im2col makes of x; NaN where it has left something out."""
    columns = np.full(columns_shape(case), np.nan, x.dtype)
    im2col(x, columns, case.stride, case.padding, case.dilation)
    return columns


@given(conv_cases(), dtypes)
@settings(max_examples=EXAMPLES)
def test_im2col_copies_what_the_loops_copy(case, dtype):
    x = case.arrays(dtype)[0]
    expected = reference.im2col(x, **geometry(case))
    np.testing.assert_array_equal(columns_of(case, x).reshape(expected.shape), expected)


@given(conv_cases(), dtypes)
@settings(max_examples=EXAMPLES)
def test_col2im_adds_what_the_loops_add(case, dtype):
    columns = random_array(case.seed, columns_shape(case), dtype)
    x = np.full(case.x_shape, np.nan, dtype)
    col2im(columns, x, case.stride, case.padding, case.dilation)
    N, C, *_, oh, ow = columns.shape
    matrices = columns.reshape(N, C * case.w_shape[2] * case.w_shape[3], oh * ow)
    expected = reference.col2im(matrices, case.x_shape, **geometry(case))
    assert_close(x, expected, 20 * np.finfo(dtype).eps)


@given(conv_cases())
@settings(max_examples=EXAMPLES)
def test_col2im_is_the_transpose_of_im2col(case):
    x, columns = case.arrays()[0], random_array((case.seed, 9), columns_shape(case))
    spread = np.empty_like(x)
    col2im(columns, spread, case.stride, case.padding, case.dilation)
    left, right = columns_of(case, x) * columns, x * spread
    assert abs(left.sum() - right.sum()) <= 1e-13 * (abs(left).sum() + abs(right).sum())


def test_one_by_one_windows_leave_the_image_as_it_is():
    x = random_array(0, (2, 3, 5, 4))
    columns = np.empty((2, 3, 1, 1, 5, 4))
    im2col(x, columns, (1, 1), (0, 0), (1, 1))
    np.testing.assert_array_equal(columns[:, :, 0, 0], x)


def test_a_nan_reaches_the_windows_that_see_it():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.nan
    columns = np.empty((1, 1, 2, 2, 3, 3))
    im2col(x, columns, (1, 1), (0, 0), (1, 1))
    # The pixel (1, 2) is (i, j) in the window that starts at (1 - i, 2 - j).
    places = {(i, j, 1 - i, 2 - j) for i in range(2) for j in range(2)}
    assert {tuple(map(int, place)) for place in np.argwhere(np.isnan(columns[0, 0]))} == places
