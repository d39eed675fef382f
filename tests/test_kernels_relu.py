"""The ReLU's two passes against the loops, and what they do at the kink and to a NaN."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.kernels.relu import relu_backward, relu_forward
from tests.strategies import dtypes, random_array, seeds

EXAMPLES = 30 if numba.config.DISABLE_JIT else 100
SPECIAL = [-np.inf, -1.0, -0.0, 0.0, 5e-324, 1.0, np.inf, np.nan]


@given(seeds, st.integers(0, 100), dtypes)
@settings(max_examples=EXAMPLES)
def test_both_passes_are_those_of_the_loops(seed, size, dtype):
    x = random_array((seed, 0), (size,), dtype).round(1)  # of which some are zero
    dy = random_array((seed, 1), (size,), dtype)
    y, dx = np.full((2, size), np.nan, dtype)
    relu_forward(x, y)
    relu_backward(dy, y, dx)
    np.testing.assert_array_equal(y, reference.relu(x))
    np.testing.assert_array_equal(dx, reference.relu_backward(dy, x))


@pytest.mark.parametrize("place", range(20))
def test_special_values_in_every_lane(place):
    for value in SPECIAL:
        x, dy = np.full((2, 20), -3.0)
        x[place] = value
        y, dx = np.empty((2, 20))
        relu_forward(x, y)
        relu_backward(dy, y, dx)
        passes = not value <= 0
        expected_y, expected_dx = np.zeros((2, 20))
        expected_y[place] = value if passes else 0
        expected_dx[place] = -3.0 if passes else 0
        np.testing.assert_array_equal(y, expected_y)
        np.testing.assert_array_equal(dx, expected_dx)


def test_a_nan_in_the_gradient_passes_where_the_input_did():
    y, dy, dx = np.array([2.0, 0.0, 3.0]), np.array([np.nan, np.nan, 1.0]), np.empty(3)
    relu_backward(dy, y, dx)
    np.testing.assert_array_equal(dx, [np.nan, 0, 1])
