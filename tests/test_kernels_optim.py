"""The optimisers' kernels against their formulas, number by number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.kernels.optim import adamw_step, sgd_step
from npsqueeze.optim import SGD, AdamW
from tests.strategies import dtypes, random_array, seeds

sizes = st.integers(0, 70)


def tolerance(dtype: type) -> float:
    return 1e-5 if dtype == np.float32 else 1e-13


@given(seeds, sizes, dtypes, st.booleans())
def test_sgd_is_its_formula(seed, size, dtype, nesterov):
    w, dw, v = (random_array((seed, part), (size,), dtype) for part in range(3))
    lr, momentum, decay = map(dtype, (0.1, 0.9, 0.05))
    expected = np.empty((2, size))
    for i in range(size):
        g = float(dw[i]) + 0.05 * float(w[i])
        velocity = 0.9 * float(v[i]) + g
        step = g + 0.9 * velocity if nesterov else velocity
        expected[:, i] = float(w[i]) - 0.1 * step, velocity
    gradient = dw.copy()
    sgd_step(w, dw, v, lr, momentum, decay, nesterov)
    np.testing.assert_allclose([w, v], expected, rtol=0, atol=tolerance(dtype) * 10)
    np.testing.assert_array_equal(dw, gradient)
    assert w.dtype == v.dtype == dtype


@given(seeds, sizes, dtypes)
def test_adamw_is_its_formula(seed, size, dtype):
    w, dw, m, v = (random_array((seed, part), (size,), dtype) for part in range(4))
    v = np.abs(v)
    factors = keep, rate, beta1, rest1, beta2, rest2, bias2, eps = (
        0.99, 0.02, 0.9, 0.1, 0.75, 0.25, 0.4, 1e-3,
    )  # fmt: skip
    expected = np.empty((3, size))
    for i in range(size):
        mean = beta1 * float(m[i]) + rest1 * float(dw[i])
        square = beta2 * float(v[i]) + rest2 * float(dw[i]) ** 2
        step = rate * mean / (math.sqrt(square / bias2) + eps)
        expected[:, i] = keep * float(w[i]) - step, mean, square
    adamw_step(w, dw, m, v, *map(dtype, factors))
    np.testing.assert_allclose([w, m, v], expected, rtol=0, atol=tolerance(dtype) * 10)
    assert w.dtype == m.dtype == v.dtype == dtype


class Parameter:
    def __init__(self, data, grad):
        self.data, self.grad = data, grad


LAYOUTS = {
    "transposed": lambda x: np.asfortranarray(x),
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "half precision": lambda x: x.astype(np.float16),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "make", [lambda p: SGD(p, 0.1, 0.9, True, 0.01), lambda p: AdamW(p, 0.1)], ids=["SGD", "AdamW"]
)
def test_any_layout_of_memory_gives_the_same(make, layout):
    data, grad = random_array(0, (5, 3), np.float32), random_array(1, (5, 3), np.float32)
    plain = Parameter(data.copy(), grad.copy())
    other = Parameter(LAYOUTS[layout](data), LAYOUTS[layout](grad))
    other.grad.flags.writeable = False
    array, dtype = other.data, other.data.dtype
    optimizers = make([plain]), make([other])
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.step()
    assert other.data is array
    assert other.data.dtype == dtype
    np.testing.assert_allclose(other.data, plain.data, atol=1e-2 if dtype == np.float16 else 1e-6)
