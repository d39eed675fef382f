"""The vector operations: LLVM's and their plain twins must say the same."""

import re
from collections.abc import Callable

import numba
import numpy as np
import pytest

from npsqueeze.arrays import Array
from npsqueeze.kernels import simd
from npsqueeze.kernels.simd import (
    add,
    broadcast,
    fill,
    fma,
    keep_equal,
    keep_positive,
    lanes,
    load,
    multiply,
    select_above,
    store,
    zeros,
)

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@numba.njit
def copy_vector(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, load(x, index))


@numba.njit
def fill_vector(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, broadcast(x, index))


@numba.njit
def clear_vector(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, zeros(x))


@numba.njit
def add_vectors(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, add(load(x, index), load(y, index)))


@numba.njit
def multiply_and_add(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, fma(load(x, index), load(y, index), load(out, index)))


@numba.njit
def multiply_vectors(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, multiply(load(x, index), load(y, index)))


@numba.njit
def fill_with_first(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, fill(x, y[0]))


@numba.njit
def keep_where_positive(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, keep_positive(load(x, index), load(y, index)))


@numba.njit
def keep_where_equal(x: Array, y: Array, out: Array, index: int) -> None:
    store(out, index, keep_equal(load(x, index), load(y, index), load(out, index)))


@numba.njit
def select_where_above(x: Array, y: Array, out: Array, index: int) -> None:
    first, second = load(x, index), load(y, index)
    store(out, index, select_above(first, second, load(out, index), second))


@numba.njit
def count_lanes(x: Array) -> int:
    return lanes(x)


TWINS: list[tuple[Callable[..., None], Callable[..., Array]]] = [
    (copy_vector, lambda x, y, out, i: simd._load(x, i)),
    (fill_vector, lambda x, y, out, i: simd._broadcast(x, i)),
    (clear_vector, lambda x, y, out, i: simd._zeros(x)),
    (add_vectors, lambda x, y, out, i: simd._add(simd._load(x, i), simd._load(y, i))),
    (
        multiply_and_add,
        lambda x, y, out, i: simd._fma(simd._load(x, i), simd._load(y, i), simd._load(out, i)),
    ),
    (multiply_vectors, lambda x, y, out, i: simd._multiply(simd._load(x, i), simd._load(y, i))),
    (fill_with_first, lambda x, y, out, i: simd._fill(x, y[0])),
    (
        keep_where_positive,
        lambda x, y, out, i: simd._keep_positive(simd._load(x, i), simd._load(y, i)),
    ),
    (
        keep_where_equal,
        lambda x, y, out, i: simd._keep_equal(*(simd._load(each, i) for each in (x, y, out))),
    ),
    (
        select_where_above,
        lambda x, y, out, i: simd._select_above(
            *(simd._load(each, i) for each in (x, y, out)), simd._load(y, i)
        ),
    ),
]


def numbers(dtype: type, length: int) -> tuple[Array, Array, Array]:
    """Return three arrays of small integers, which neither way rounds."""
    x, y, out = np.random.default_rng(0).integers(-99, 100, (3, length)).astype(dtype)
    return x, y, out


@both_dtypes
@pytest.mark.parametrize(("x", "y", "above", "kept", "equal"), [
    (1, 0, True, False, False), (0, 1, False, True, False), (1, 1, False, True, True),
    (0, -1, True, False, False), (0, 0, False, False, True), (-0.0, 0, False, False, True),
    (np.nan, 1, True, True, False), (1, np.nan, False, True, False),
    (np.nan, np.nan, False, True, False), (np.inf, 1, True, True, False),
])  # fmt: skip
def test_comparisons_know_ties_and_nan(x, y, above, kept, equal, dtype):
    left, right, out = (np.full(64 // np.dtype(dtype).itemsize, v, dtype) for v in (x, y, 7))
    select_where_above(left, right, out, 0)
    np.testing.assert_array_equal(out, 7 if above else right)
    keep_where_positive(np.full_like(out, 5), right, out, 0)
    np.testing.assert_array_equal(out, 5 if kept else 0)
    out[:] = right
    keep_where_equal(left + 2, left, out, 0)
    np.testing.assert_array_equal(out, left + 2 if equal else 0)


@both_dtypes
@pytest.mark.parametrize(("operation", "twin"), TWINS)
@pytest.mark.parametrize("index", [0, 1, 7, -1])
def test_an_operation_is_its_twin(operation, twin, index, dtype):
    width = 64 // np.dtype(dtype).itemsize
    x, y, out = numbers(dtype, 3 * width)
    index = len(x) - width if index == -1 else index  # the first place, two unaligned, the last
    expected = out.copy()
    simd._store(expected, index, twin(x, y, out, index))
    operation(x, y, out, index)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == dtype


@both_dtypes
def test_a_vector_has_64_bytes(dtype):
    x = np.zeros(1, dtype)
    assert count_lanes(x) == simd._lanes(x) == 64 // x.itemsize
    assert len(simd._zeros(x)) * x.itemsize == simd.VECTOR_BYTES == 64


@both_dtypes
def test_nan_and_infinity_stay_in_their_lanes(dtype):
    x, y, out = numbers(dtype, 64 // np.dtype(dtype).itemsize)
    x[1], y[3], out[5] = np.nan, np.inf, -np.inf
    x[3] = 0
    with np.errstate(invalid="ignore"):
        expected = x * y + out
        multiply_and_add(x, y, out, 0)
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(out[[1, 3]]).all()
    assert out[5] == -np.inf
    assert np.isfinite(np.delete(out, [1, 3, 5])).all()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="NumPy has no fused instruction")
@both_dtypes
def test_fma_rounds_once(dtype):
    eps, width = np.finfo(dtype).eps, 64 // np.dtype(dtype).itemsize
    x, y, out = np.full(width, 1 + eps), np.full(width, 1 - eps), np.full(width, -1.0)
    x, y, out = x.astype(dtype), y.astype(dtype), out.astype(dtype)
    multiply_and_add(x, y, out, 0)  # (1 + eps)(1 - eps) rounds to 1, and would leave nothing
    np.testing.assert_array_equal(out, -(eps**2))


@both_dtypes
@pytest.mark.parametrize("offset", [-1, 1])
def test_the_twins_check_their_bounds(offset, dtype):
    width = 64 // np.dtype(dtype).itemsize
    array = np.arange(2 * width).astype(dtype)
    beyond = -1 if offset < 0 else width + 1
    before = array.copy()
    with pytest.raises(IndexError, match=f"a vector at {beyond} leaves an array of {2 * width}"):
        simd._load(array, beyond)
    with pytest.raises(IndexError, match=f"a vector at {beyond} leaves an array of {2 * width}"):
        simd._store(array, beyond, simd._zeros(array))
    with pytest.raises(IndexError):
        simd._broadcast(array, -1 if offset < 0 else 2 * width)
    np.testing.assert_array_equal(array, before)


@numba.njit(parallel=True)
def sum_of_copies(x: Array, sums: Array) -> None:
    """Sum x up in each task, out of an array of the task's own that only vectors have touched."""
    width = lanes(x)
    for task in numba.prange(sums.size // width):
        kept = np.empty(x.size, x.dtype).reshape(-1)
        for i in range(0, x.size, width):
            store(kept, i, load(x, i))
        others = np.full(x.size, -1.0, x.dtype), np.full(x.size, task, x.dtype)
        total = zeros(x)
        for i in range(0, x.size, width):
            total = add(total, load(kept, i))
        store(sums, task * width, total)
        sums[task * width] += others[0][task % x.size] + 1


@both_dtypes
def test_an_array_lives_until_its_last_vector_is_loaded(dtype):
    """Numba frees an array after its last use; what an intrinsic reads must count as one."""
    x, sums, _ = numbers(dtype, 64 * 16)
    width = 64 // x.itemsize
    for _ in range(20):
        sum_of_copies(x, sums)
        expected = np.tile(x.reshape(-1, width).sum(axis=0), sums.size // width)
        np.testing.assert_array_equal(sums, expected)


@numba.njit
def load_from_a_copy(x: Array, out: Array, index: int) -> None:
    kept = np.empty(x.size, x.dtype)
    for i in range(0, x.size, lanes(x)):
        store(kept, i, load(x, i))
    store(out, 0, load(kept, index))


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there is no code to look at")
@both_dtypes
def test_the_last_load_stands_before_the_release(dtype):
    x, out, _ = numbers(dtype, 64)
    load_from_a_copy(x, out, 3)
    code = load_from_a_copy.inspect_llvm(load_from_a_copy.signatures[-1])
    kind = "<16 x float>" if dtype == np.float32 else "<8 x double>"
    (kept,) = re.findall(r"(%\S+) = .*call .*@NRT_MemInfo_alloc\w*\(", code)
    release = re.compile(rf"@NRT_decref\(ptr.* {re.escape(kept)}\)")
    blocks = [b for b in code.split("\n\n") if f"load {kind}" in b and release.search(b)]
    assert len(blocks) == 1  # of code without jumps
    assert f"load {kind}" not in release.split(blocks[0])[-1]


def test_a_loaded_vector_is_no_view():
    array = np.arange(16, dtype=np.float32)
    vector = simd._load(array, 0)
    array[:] = -1
    np.testing.assert_array_equal(vector, np.arange(16))
