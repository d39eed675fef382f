import numba
import numpy as np
import pytest

from npsqueeze import kernels
from npsqueeze.exercises import speed
from npsqueeze.exercises.bounds import check_bounds
from npsqueeze.exercises.exercise import Trouble
from npsqueeze.kernels.simd import broadcast, fma, load, store
from tests.exercise_checks import Planted, message_about, verdict_on

planted = Planted()


def blocks(a, b, size=32, start=np.zeros):
    """The right way, with NumPy on blocks; `start` makes the result."""
    c = start((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a), size):
        for j in range(0, b.shape[1], size):
            for k in range(0, len(b), size):
                part = a[i : i + size, k : k + size] @ b[k : k + size, j : j + size]
                c[i : i + size, j : j + size] += part
    return c


# --- mistakes -------------------------------------------------------------------------------------


@planted("blocked_matmul", "left out along all axes")
def edges_cut_off(a, b):
    size, (m, k), n = 16, a.shape, b.shape[1]
    c = np.zeros((m, n), a.dtype)
    for i in range(m // size):
        for j in range(n // size):
            for p in range(k // size):
                rows, columns, depth = (slice(at * size, at * size + size) for at in (i, j, p))
                c[rows, columns] += a[rows, depth] @ b[depth, columns]
    return c


@planted("blocked_matmul", "left out along the sum")
def the_sum_is_cut_off(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(0, len(b) - 31, 32):
        c += a[:, k : k + 32] @ b[k : k + 32]
    return c


@planted("blocked_matmul", "left out along the rows of a")
def rows_are_cut_off(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a) // 4 * 4, 4):
        c[i : i + 4] = a[i : i + 4] @ b
    return c


@planted("blocked_matmul", "left out along the columns of b")
def columns_are_cut_off(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for j in range(0, b.shape[1] // 8 * 8, 8):
        c[:, j : j + 8] = a @ b[:, j : j + 8]
    return c


@planted("blocked_matmul", "left out along rows and columns")
def tiles_are_cut_off(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a) // 8 * 8, 8):
        for j in range(0, b.shape[1] // 8 * 8, 8):
            c[i : i + 8, j : j + 8] = a[i : i + 8] @ b[:, j : j + 8]
    return c


@planted("blocked_matmul", "only the last block of the sum")
def overwritten(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(0, len(b), 32):
        c[:] = a[:, k : k + 32] @ b[k : k + 32]
    return c


@planted("blocked_matmul", "only the last block of the sum")
def overwritten_term_by_term(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(len(b)):
        c[:] = np.outer(a[:, k], b[k])
    return c


@planted("blocked_matmul", "only the first block of the sum")
def returned_too_early(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(0, len(b), 16):
        c += a[:, k : k + 16] @ b[k : k + 16]
        break
    return c


@planted("blocked_matmul", "of the sum are added twice")
def the_last_block_of_the_sum_overlaps(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(0, len(b), 12):
        k = max(min(k, len(b) - 12), 0)
        c += a[:, k : k + 12] @ b[k : k + 12]
    return c


@planted("blocked_matmul", "of the result are added to twice")
def the_last_tile_overlaps(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a), 6):
        i = max(min(i, len(a) - 6), 0)
        for j in range(0, b.shape[1], 6):
            j = max(min(j, b.shape[1] - 6), 0)
            c[i : i + 6, j : j + 6] += a[i : i + 6] @ b[:, j : j + 6]
    return c


@planted("blocked_matmul", "read as if it were transposed")
def b_is_transposed(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        c += np.outer(a[:, k], b[:, k])
    return c


@planted("blocked_matmul", "read as if it were transposed")
def a_is_transposed(a, b):
    return blocks(a.T, b)


@planted("blocked_matmul", "its last two axes are exchanged")
def the_result_is_transposed(a, b):
    return blocks(a, b).T.copy()


@planted("blocked_matmul", "the operands are exchanged")
def b_times_a(a, b):
    return blocks(b, a)


@planted("blocked_matmul", "the product place by place")
def place_by_place(a, b):
    return a * b


@planted("blocked_matmul", "the result begins at one")
def from_one(a, b):
    return blocks(a, b, start=np.ones)


@planted("blocked_matmul", "the result begins as a")
def from_a(a, b):
    c = a.copy()
    c += blocks(a, b)
    return c


@planted("blocked_matmul", "goes on from one number of the result to the next")
def the_total_is_never_set_back(a, b):
    c, total = np.zeros((len(a), b.shape[1]), a.dtype), 0.0
    for i in range(len(a)):
        for j in range(b.shape[1]):
            total += a[i] @ b[:, j]
            c[i, j] = total
    return c


@planted("blocked_matmul", "whole numbers only")
def in_integers(a, b):
    return blocks(10 * a, 10 * b).astype(int)


@planted("blocked_matmul", "returned float32 for operands of float64")
def always_single(a, b):
    return blocks(a.astype(np.float32), b.astype(np.float32))


@planted("blocked_matmul", "right for float64, wrong for float32", "returned float64")
def always_double(a, b):
    return blocks(a.astype(np.float64), b.astype(np.float64))


test_a_planted_mistake_is_named = planted.test()


def test_other_blocks_than_those_foretold_are_told_by_their_trait() -> None:
    def cut_in_sevens_and_nines(a, b):
        c = blocks(a, b)
        c[len(c) // 32 * 32 :] = 0
        c[:, b.shape[1] // 16 * 16 :] = 0
        return c

    message = message_about("blocked_matmul", cut_in_sevens_and_nines)
    assert "right for 64, wrong for sizes that no block divides" in message
    assert "places where it is 0" in message


def test_nan_is_shown_where_it_is() -> None:
    def twice_and_once_nan(a, b):
        c = 2 * (a @ b)
        if len(c) == 30:
            c[3, 4] = np.nan
        return c

    message = message_about("blocked_matmul", twice_and_once_nan)
    assert "it holds NaN; c[3, 4] is nan" in message


# --- indices out of bounds ------------------------------------------------------------------------


@numba.njit
def add_pairs_of_rows(a, b, c):
    for i in range(0, len(c), 2):
        for k in range(len(b)):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
                c[i + 1, j] += a[i + 1, k] * b[k, j]


def pairs_of_rows(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    add_pairs_of_rows(a, b, c)
    return c


@numba.njit
def vectors(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for i in range(len(a)):
        for j in range(0, b.shape[1], 16):
            total = load(flat_c, i * b.shape[1] + j)
            for k in range(len(b)):
                row = load(flat_b, k * b.shape[1] + j)
                total = fma(broadcast(flat_a, i * a.shape[1] + k), row, total)
            store(flat_c, i * b.shape[1] + j, total)
    return c


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("function", [pairs_of_rows, vectors])
def test_compiled_code_that_leaves_its_arrays_is_told_before_it_runs(function) -> None:
    message = message_about("blocked_matmul", function)
    assert "it raised IndexError in line" in message
    assert "beyond the end of an array: Numba does not check that" in message
    assert not [*add_pairs_of_rows.signatures, *vectors.signatures]


@pytest.mark.parametrize("function", [blocks, np.matmul, numba.njit(blocks), kernels.gemm])
def test_code_within_its_arrays_and_code_that_is_not_compiled_pass(function) -> None:
    check_bounds(function, 5)


def test_python_code_out_of_bounds_is_left_to_the_cases() -> None:
    def out_of_bounds(a, b):
        return blocks(a, b) + a[len(a)]

    check_bounds(out_of_bounds, 5)
    assert "Numba" not in message_about("blocked_matmul", out_of_bounds)


# --- the result begins at zero --------------------------------------------------------------------


@numba.njit
def unfilled(a, b):
    c = np.empty((len(a), b.shape[1]), a.dtype)
    for i in range(len(a)):
        for k in range(len(b)):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


def test_a_result_that_does_not_begin_at_zero() -> None:
    def function(a, b):
        return blocks(a, b, start=np.empty)

    for each in (function, unfilled):
        with pytest.raises(Trouble, match=r"begin with np\.zeros"):
            speed.demand_zeroed(each, 5)
    assert speed.demand_zeroed(blocks, 5) == ""


# --- speed ----------------------------------------------------------------------------------------


def three_loops(a, b):
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for i in range(len(a)):
        for j in range(b.shape[1]):
            for k in range(len(b)):
                c[i, j] += a[i, k] * b[k, j]
    return c


def test_plain_python_is_right_but_too_slow() -> None:
    message = message_about("blocked_matmul", three_loops, 30)
    assert "right, but too slow" in message
    assert "plain Python" in message


def test_numpys_own_product_passes() -> None:
    verdict = verdict_on("blocked_matmul", np.matmul)
    assert verdict.passed
    assert "% of the library's rate on one core" in verdict.message
    assert "npsqueeze/kernels/gemm.py:" in verdict.message


@pytest.mark.parametrize(
    ("theirs", "step"),
    [
        (0.005, "plain Python"),
        (0.5, "compiled loops"),
        (2.3, "without vectors"),
    ],
)
def test_a_rate_below_a_twentieth_is_told_its_nearest_step(theirs: float, step: str) -> None:
    with pytest.raises(Trouble, match=f"where 2.5 are needed.*nearest to: .*{step}"):
        speed.judge_rates(theirs, 50.0)


@pytest.mark.parametrize(
    ("theirs", "step"),
    [
        (2.6, "without vectors"),
        (15.0, "loops with vectors"),
        (20.0, "loops with vectors"),
        (25.0, "loops with vectors"),
        (48.0, "SIMD"),
        (102.0, "more than one core can do"),
    ],
)
def test_a_rate_above_a_twentieth_passes(theirs: float, step: str) -> None:
    text = speed.judge_rates(theirs, 50.0)
    assert text.startswith(f"{theirs:.3g} GFLOP/s, {2 * theirs:.0f} %")
    assert step in text


def test_a_function_that_raises_or_never_ends_when_it_is_measured() -> None:
    def raises(a, b):
        if len(a) > 200:
            raise ValueError("too large")
        return a @ b

    def hangs(a, b):
        while len(a) > 200:
            pass
        return a @ b

    with pytest.raises(Trouble, match="it raised ValueError: too large"):
        speed.demand_speed(raises, 5)
    with pytest.raises(Trouble, match=r"not back after 0\.2 s"):
        speed.demand_speed(hangs, 0.2)


def test_measuring_leaves_the_number_of_threads_as_it_was() -> None:
    before = kernels.get_num_threads()
    theirs, ours = speed.measure(np.matmul, 5)
    assert theirs > 0
    assert ours > 0
    assert kernels.get_num_threads() == before
