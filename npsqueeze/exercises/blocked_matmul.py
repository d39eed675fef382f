"""Exercise of notebook 09: a matrix product by blocks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.exercises.bounds import check_bounds
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results, Trait, Trouble
from npsqueeze.exercises.exercise import arrays as read_arrays
from npsqueeze.exercises.speed import demand_speed, demand_zeroed

NOTEBOOK = "09_making_it_fast.ipynb"
BLOCKS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 25, 32, 48, 50, 64, 100, 128)
"""Sizes of blocks that people choose."""

TRANSPOSED = (
    "an operand is read as if it were transposed: a has the indices i, k and b has k, j, the row "
    "first"
)


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(19)
    shapes = (
        (64, 64, 64), (67, 45, 83), (30, 71, 29), (1, 150, 3), (5, 1, 7), (130, 150, 140),
    )  # fmt: skip
    cases = [{"a": draw.normal(size=(m, k)), "b": draw.normal(size=(k, n))} for m, k, n in shapes]
    single = {"a": draw.normal(size=(34, 70)), "b": draw.normal(size=(70, 50))}
    return [*cases, {name: value.astype(np.float32) for name, value in single.items()}]


def _read(value: Any, arguments: Arguments) -> Results:
    """Return the product, which must be of its operands' type."""
    results = read_arrays("c")(value, arguments)
    came, right = results["c"].dtype, arguments["a"].dtype
    if came.kind == "f" and came != right:
        raise Trouble(
            f"it returned {came} for operands of {right}: make the result of their type, "
            "np.zeros((M, N), a.dtype), for twice the digits or twice the lanes are lost"
        )
    return results


def _mistake(meaning: str, formula: Callable[[Array, Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"c": formula(a["a"], a["b"])})


Counted = Callable[[int], Array]
"""Maps the length of an axis to how often each of its places is counted."""


def _counting(meaning: str, rows: Counted, depth: Counted, columns: Counted) -> Mistake:
    """Return the mistake of counting places of the three axes another time than once."""

    def product(a: Array, b: Array) -> Array:
        m, k, n = *a.shape, b.shape[1]
        return (rows(m)[:, None] * a * depth(k)) @ (b * columns(n))

    return _mistake(meaning, product)


def _block_mistakes() -> Iterator[Mistake]:
    """Yield what goes wrong with blocks, for each size of them."""
    once: Counted = np.ones
    for size in BLOCKS:
        # `size` is bound at once, for the functions are called after the loop
        def cut(n: int, size: int = size) -> Array:
            return np.arange(n) < n // size * size

        def twice(n: int, size: int = size) -> Array:
            """Move the last block back to fit, where the one before has been."""
            places = np.arange(n)
            return 1 + ((places >= max(n - size, 0)) & (places < (n - 1) // size * size))

        edges = "the last, smaller block is left out"
        ends = "a block ends where the matrix ends: min(start + B, size), or a slice"
        yield _counting(f"{edges} along all axes; {ends}", cut, cut, cut)
        yield _counting(f"{edges} along the rows of a; {ends}", cut, once, once)
        yield _counting(f"{edges} along the sum; {ends}", once, cut, once)
        yield _counting(f"{edges} along the columns of b; {ends}", once, once, cut)
        yield _counting(f"{edges} along rows and columns; {ends}", cut, once, cut)
        moved = "the last block is moved back to fit and overlaps the one before: those places "
        yield _counting(f"{moved}of the sum are added twice", once, twice, once)
        yield _counting(f"{moved}of the result are added to twice", twice, once, twice)


def _sum_mistakes() -> Iterator[Mistake]:
    """Yield the ways to count one block of the sum over k alone, for each size of them."""
    for size in (1, *BLOCKS):

        def last(n: int, size: int = size) -> Array:
            return np.arange(n) >= (n - 1) // size * size

        def first(n: int, size: int = size) -> Array:
            return np.arange(n) < size

        yield _counting(
            "only the last block of the sum over k counts: each overwrites the one before; add, by "
            "+=", np.ones, last, np.ones,
        )  # fmt: skip
        yield _counting(
            "only the first block of the sum over k counts: go on to the others",
            np.ones, first, np.ones,
        )  # fmt: skip


blocked_matmul = Exercise(
    name="blocked_matmul",
    notebook=NOTEBOOK,
    solution=kernels.gemm,
    answer=lambda a, b: a @ b,
    cases=_cases(),
    read=_read,
    traits=(
        Trait("sizes that no block divides", "64",
              lambda a: any(size % 64 for size in (*a["a"].shape, a["b"].shape[1]))),
        Trait("float32", "float64", lambda a: a["a"].dtype == np.float32),
    ),
    counts={
        "M (the rows of a)": lambda a: a["a"].shape[0],
        "K (the length of the sum)": lambda a: a["a"].shape[1],
        "N (the columns of b)": lambda a: a["b"].shape[1],
    },
    mistakes=(
        *_block_mistakes(),
        *_sum_mistakes(),
        _mistake(TRANSPOSED, lambda a, b: a @ b.T),
        _mistake(TRANSPOSED, lambda a, b: a.T @ b),
        _mistake(TRANSPOSED, lambda a, b: a.T @ b.T),
        _mistake("the operands are exchanged: that is b·a", lambda a, b: b @ a),
        _mistake("that is the product place by place; in a matrix product a row meets a column",
                 lambda a, b: a * b),
        _mistake("the result begins at one: np.zeros", lambda a, b: 1 + a @ b),
        _mistake("the result begins as a: np.zeros", lambda a, b: a + a @ b),
        _mistake("the result begins as b: np.zeros", lambda a, b: b + a @ b),
        _mistake("the sum over k goes on from one number of the result to the next: begin each "
                 "at zero", lambda a, b: np.cumsum(a @ b, axis=1)),
        _mistake("the sum over k goes on from one number of the result to the next: begin each "
                 "at zero", lambda a, b: np.cumsum((a @ b).ravel()).reshape(len(a), -1)),
    ),
    precautions=(check_bounds,),
    demands=(demand_zeroed, demand_speed),
    hints=(
        "Five loops are enough: over the blocks of columns and of the sum, and in each block over "
        "i, k and j. (The rows may be cut into blocks too.)",
        "A slice such as b[k0 : k0 + B, j0 : j0 + B] ends where its array ends, so the edges need "
        "no care: loop over what the slices hold, from 0.",
        "For the speed: j innermost, along the rows of b and of the result; and loops that begin "
        "at 0, over slices (section 5 of the notebook shows why).",
    ),
)  # fmt: skip

EXERCISES = (blocked_matmul,)
