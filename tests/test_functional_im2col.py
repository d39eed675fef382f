from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import functional, reference

sizes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(5, 9), st.integers(5, 9))
kernels = st.tuples(st.integers(1, 3), st.integers(1, 3))
options = st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


@given(sizes, kernels, options, st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_both_agree_with_the_loops_and_are_transposes_of_each_other(
    shape: tuple[int, int, int, int],
    kernel_size: tuple[int, int],
    window: tuple[int, int, int],
    dtype: Any,
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=shape).astype(dtype)
    columns = functional.im2col(x, kernel_size, *window)
    assert columns.dtype == dtype
    np.testing.assert_array_equal(columns, reference.im2col(x, kernel_size, *window))

    dcolumns = draw.normal(size=columns.shape).astype(dtype)
    dx = functional.col2im(dcolumns, shape, kernel_size, *window)
    assert dx.dtype == dtype
    expected = reference.col2im(dcolumns, shape, kernel_size, *window)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-5)
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    assert np.sum(columns * dcolumns) == pytest.approx(np.sum(x * dx), abs=tolerance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": np.zeros((2, 8, 5))}, r"columns: expected shape \(2, 12, 12\)"),
        ({"columns": np.zeros((2, 12, 12), int)}, "columns: expected an array of float32"),
        ({"x_shape": (2, 3, 5)}, r"x_shape: expected \(N, C, H, W\)"),
        ({"x_shape": (2, 0, 5, 4)}, r"x_shape: expected \(N, C, H, W\)"),
        ({"kernel_size": 9}, "x: expected an image that holds a window"),
        ({"stride": 0}, "stride: expected an int"),
    ],
)
def test_col2im_names_a_wrong_argument(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "columns": np.zeros((2, 12, 12)),
        "x_shape": (2, 3, 5, 4),
        "kernel_size": 2,
    }
    with pytest.raises((TypeError, ValueError), match=message):
        functional.col2im(**(arguments | change))


def test_im2col_names_a_wrong_argument() -> None:
    with pytest.raises(ValueError, match="x: expected 4 dimensions"):
        functional.im2col(np.zeros((3, 5, 5)), 2)
    with pytest.raises(ValueError, match="x: expected an image that holds a window"):
        functional.im2col(np.zeros((1, 1, 2, 2)), 3)
