"""The table of pixels that the windows see, counted one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.kernels.windows import window_pixels, with_outside
from tests.strategies import conv_cases, dtypes, random_array, seeds


@given(conv_cases())
def test_each_place_of_each_window_has_its_pixel(case):
    (H, W), kernel_size = case.x_shape[2:], case.w_shape[2:]
    geometry = (kernel_size, case.stride, case.padding, case.dilation)
    out_size = tuple(reference.output_size(*along) for along in zip((H, W), *geometry, strict=True))
    actual = window_pixels((H, W), kernel_size, out_size, *geometry[1:])
    ph, pw = case.padding
    numbered = np.pad(np.arange(H * W).reshape(H, W), ((ph,), (pw,)), constant_values=H * W)
    expected = reference.im2col(numbered[None, None], kernel_size, case.stride, 0, case.dilation)
    np.testing.assert_array_equal(actual, expected[0])


@given(st.integers(1, 40), dtypes, seeds)
def test_the_value_of_what_lies_outside_comes_last(size, dtype, seed):
    image = random_array(seed, (size,), dtype)
    result = with_outside(image, -np.inf)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, [*image, -np.inf])
