"""The kernels that measure the machine: they compute what they claim, whatever it is good for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.kernels.peak import FEW_CHAINS, MANY_CHAINS, TRIAD_BLOCK, fma_chains, triad
from tests.strategies import dtypes

VECTOR_BYTES = 64


@given(dtypes, st.integers(1, 5), st.integers(0, 6), st.sampled_from([FEW_CHAINS, MANY_CHAINS]))
def test_every_chain_runs_every_round(dtype, tasks, rounds, chains):
    width = VECTOR_BYTES // np.dtype(dtype).itemsize
    numbers = np.arange(tasks * chains * width, dtype=dtype)
    factors = np.repeat(np.array([2, 3], dtype), width)
    sums = numbers.reshape(tasks, -1).copy()
    fma_chains(factors, sums, rounds, chains == MANY_CHAINS)
    # s -> 2·s + 3, again and again, and exactly in these small integers
    expected = 2**rounds * numbers + 3 * (2**rounds - 1)
    np.testing.assert_array_equal(sums.ravel(), expected)


@pytest.mark.parametrize("size", [1, 1000, TRIAD_BLOCK, TRIAD_BLOCK + 1])
def test_triad_reaches_every_number(size):
    a, b = np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32)[::-1].copy()
    c = np.full(size, np.nan, np.float32)
    triad(a, b, c, np.float32(3))
    np.testing.assert_array_equal(c, a + 3 * b)
