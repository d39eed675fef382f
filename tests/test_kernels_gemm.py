"""The matrix product: small integers make every sum exact, so that equal means equal."""

from dataclasses import dataclass

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npsqueeze.arrays import Array
from npsqueeze.kernels.gemm import (
    MIN_TASK_ROWS,
    MIN_TASKS,
    TASK_PANELS,
    TILE_ROWS,
    gemm,
    task_size,
    tile_height,
)
from tests.strategies import assert_close, dtypes, random_array, seeds

INTERPRETED = bool(numba.config.DISABLE_JIT)
# Interpreted, an unused lane that holds 0·inf makes NumPy speak up.
quiet_lanes = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
GUARD = 37  # numbers before and after an array; odd, so that no vector is aligned


def expected_product(a: Array, b: Array, c: Array, transpose_a: bool, transpose_b: bool) -> Array:
    """Return what gemm should write in c, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    a = a.swapaxes(1, 2) if transpose_a else a
    b = b.swapaxes(1, 2) if transpose_b else b
    result = np.zeros(c.shape)
    for i in range(len(b)):
        result[i // (len(b) // len(c))] += np.matmul(a[i % len(a)], b[i])
    return result


def guarded(array: Array) -> tuple[Array, Array]:
    """Return a copy of `array` that lies between NaN, and the whole buffer."""
    buffer = np.full(array.size + 2 * GUARD, np.nan, array.dtype)
    inner = buffer[GUARD:-GUARD].reshape(array.shape)
    inner[:] = array
    return inner, buffer


def check_exactly(a: Array, b: Array, c: Array, transpose_a: bool, transpose_b: bool) -> None:
    """Assert that gemm is exact, reads nothing outside of a and b and writes nothing outside of c.

    What it read outside would be NaN, and so would the sum be.
    """
    expected = expected_product(a, b, c, transpose_a, transpose_b)
    (a, _), (b, _), (c, buffer) = guarded(a), guarded(b), guarded(c)
    gemm(a, b, c, transpose_a, transpose_b)
    np.testing.assert_array_equal(c, expected)
    assert np.isnan(buffer[:GUARD]).all()
    assert np.isnan(buffer[-GUARD:]).all()


@dataclass(frozen=True)
class GemmCase:
    """A batch of products: A (a_count, M, K) times B (products, K, N), summed up in C."""

    a_count: int
    products: int
    sums: int
    rows: int
    columns: int
    depth: int
    transposed: tuple[bool, bool]
    seed: int

    def arrays(self, dtype: type) -> tuple[Array, Array, Array]:
        """Return small integers in a, b and c."""
        rng = np.random.default_rng(self.seed)
        transpose_a, transpose_b = self.transposed
        a_shape, b_shape = (self.rows, self.depth), (self.depth, self.columns)
        shapes = (
            (self.a_count, *(a_shape[::-1] if transpose_a else a_shape)),
            (self.products, *(b_shape[::-1] if transpose_b else b_shape)),
            (self.sums, self.rows, self.columns),
        )
        a, b, c = (rng.integers(-8, 9, shape).astype(dtype) for shape in shapes)
        return a, b, c


@st.composite
def gemm_cases(draw: st.DrawFn) -> GemmCase:
    """Draw sizes around the tile and the vector, and now and then a long depth or many columns."""
    sums, share = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    products = sums * share
    size = st.integers(1, 7 if INTERPRETED else 40)
    return GemmCase(
        a_count=draw(st.sampled_from([n for n in range(1, products + 1) if products % n == 0])),
        products=products,
        sums=sums,
        rows=draw(size),
        columns=draw(size if INTERPRETED else size | st.integers(120, 300)),
        depth=draw(size if INTERPRETED else size | st.integers(250, 600)),
        transposed=(draw(st.booleans()), draw(st.booleans())),
        seed=draw(seeds),
    )


@given(gemm_cases(), dtypes)
@settings(max_examples=50 if INTERPRETED else 150)
def test_any_batch_of_products_is_exact(case, dtype):
    check_exactly(*case.arrays(dtype), *case.transposed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("rows", "columns", "depth"),
    [
        (1, 1, 257),  # a second block of depth, of one
        (2, 16, 256),  # exactly one vector of float32, two of float64, one whole block
        (7, 130, 3),  # more panels than one task takes
        (5, 17, 513),
        pytest.param(
            *(97, 259, 300), marks=pytest.mark.skipif(INTERPRETED, reason="takes long interpreted")
        ),
    ],
)
def test_across_the_borders_of_blocks(rows, columns, depth, transposed, dtype):
    case = GemmCase(1, 1, 1, rows, columns, depth, transposed, seed=depth)
    check_exactly(*case.arrays(dtype), *transposed)


@pytest.mark.parametrize("rows", range(1, 20 if INTERPRETED else 60))
def test_every_number_of_rows(rows):
    case = GemmCase(1, 1, 1, rows, 19, 3, (False, False), seed=rows)
    check_exactly(*case.arrays(np.float32), False, False)


@given(st.integers(1, 200))
def test_tiles_cover_the_rows_in_sixes_and_fours(rows):
    heights = []
    while sum(heights) < rows:
        heights.append(tile_height(rows - sum(heights)))
    assert sum(heights) == rows
    assert set(heights[:-1]) <= {4, 6}
    assert 1 <= heights[-1] <= 6
    assert heights[-1] != 5


@given(st.integers(1, 20), st.integers(1, 300), st.integers(1, 100))
def test_tasks_are_whole_tiles_and_as_many_as_the_cores_want(sums, rows, panels):
    task_rows, task_panels = task_size(sums, rows, panels)
    assert task_rows % TILE_ROWS == 0
    assert 1 <= task_panels <= TASK_PANELS
    tasks = sums * -(-rows // task_rows) * -(-panels // task_panels)
    if rows >= MIN_TASKS * MIN_TASK_ROWS:
        assert tasks > MIN_TASKS // 2  # rounding up to whole tiles may cost a few


def test_one_matrix_for_all_for_each_group_or_for_each_product():
    b, c = random_array(1, (6, 4, 5)), np.empty((6, 3, 5))
    for a_count in (1, 2, 6):
        a = random_array(a_count, (a_count, 3, 4))
        gemm(a, b, c, False, False)
        chosen = np.concatenate([a] * (6 // a_count))
        assert_close(c, np.einsum("imk,ikn->imn", chosen, b), 1e-14)


def test_sums_take_successive_products():
    a, b = random_array(1, (6, 3, 4)), random_array(2, (6, 4, 5))
    each = a @ b
    for sums, expected in {
        6: each,
        2: np.stack([each[:3].sum(axis=0), each[3:].sum(axis=0)]),
        1: each.sum(axis=0, keepdims=True),
    }.items():
        c = np.empty((sums, 3, 5))
        gemm(a, b, c, False, False)
        assert_close(c, expected, 1e-14)


@given(gemm_cases(), dtypes)
@settings(max_examples=50)
def test_rounding_stays_below_the_bound_for_a_sum(case, dtype):
    a, b, c = (random_array((case.seed, i), x.shape, dtype) for i, x in enumerate(case.arrays(int)))
    expected = expected_product(a, b, c, *case.transposed)
    magnitude = expected_product(abs(a), abs(b), c, *case.transposed)
    gemm(a, b, c, *case.transposed)
    terms = case.depth * case.products // case.sums
    assert (abs(c - expected) <= (terms + 1) * np.finfo(dtype).eps * magnitude).all()


@quiet_lanes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_their_row_and_column_alone(value):
    a, b = abs(random_array(1, (1, 9, 5))) + 1, abs(random_array(2, (1, 5, 21))) + 1
    c, clean = np.empty((1, 9, 21)), a @ b
    for array, place, hit in [(a, (0, 7, 3), np.s_[0, 7, :]), (b, (0, 2, 18), np.s_[0, :, 18])]:
        before, array[place] = array[place], value
        gemm(a, b, c, False, False)
        array[place] = before
        expected = clean.copy()
        expected[hit] = value
        assert_close(c, expected, 1e-14)


@quiet_lanes
def test_zero_times_infinity_is_nan():
    a, b, c = np.zeros((1, 4, 3)), np.ones((1, 3, 8)), np.empty((1, 4, 8))
    b[0, 1, 5] = np.inf
    gemm(a, b, c, False, False)
    np.testing.assert_array_equal(np.isnan(c), np.broadcast_to(np.arange(8) == 5, c.shape))


def test_what_stood_in_the_result_is_forgotten():
    a, b, c = np.ones((1, 6, 2)), np.ones((1, 2, 20)), np.full((1, 6, 20), np.nan)
    gemm(a, b, c, False, False)
    np.testing.assert_array_equal(c, 2)


def test_an_empty_sum_is_zero():
    a, b, c = np.empty((1, 7, 0)), np.empty((1, 0, 19)), np.full((1, 7, 19), 3.0)
    gemm(a, b, c, False, False)
    np.testing.assert_array_equal(c, 0)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_an_empty_result_asks_for_nothing(shape):
    products, rows, columns = shape
    a, b, c = np.ones((1, rows, 5)), np.ones((products, 5, columns)), np.empty(shape)
    gemm(a, b, c, False, False)
    assert c.shape == shape
