"""Demands on a function that is right: that it is fast, and right whatever the memory held before.

A demand takes the reader's function and how many seconds a call may last. It returns what there is
to say, and raises `Trouble` if it is not met.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Trouble
from npsqueeze.exercises.running import call

NEEDED = 1 / 20
"""The share of the library's rate that a product must reach."""

STEPS = {
    "plain Python (section 3), so compile it": 1e-4,
    "compiled loops (section 3); next comes the loop order": 1e-2,
    "loops that the compiler left without vectors (section 5, the trap), or blocks so small that "
    "Python takes longer than NumPy": 0.07,
    "loops with vectors: loop order to register tiles (sections 4 to 7)": 0.4,
    "SIMD (section 8)": 1.0,
}
"""The steps of notebook 09, with about the share that each reaches on the README's machine.

Steps whose shares lie close together stand in one line, or two runs would name two of them.
"""

MORE_THAN_A_CORE = 1.2
"""The share that no single core reaches."""

SHAPE = (256, 1024, 1024)
ROUNDS = 5
TRIAL = 64  # the side of a product that tells how long the large one will take


def demand_zeroed(function: Callable[..., Any], seconds: float) -> str:
    """Want the right product also where fresh memory is not zero, as it mostly happens to be."""
    a, b = np.ones((2, TRIAL, TRIAL))

    def littered() -> Array:
        litter = [np.full((TRIAL, TRIAL), np.nan) for _ in range(16)]
        del litter[:-1]  # np.empty gets this memory next; the last one keeps it with the process
        return np.asarray(function(a, b))

    if not np.array_equal(_call(littered, seconds), a @ b):
        raise Trouble(
            "right, but only by luck: the result does not begin at zero. np.empty holds whatever "
            "was in the memory before; begin with np.zeros"
        )
    return ""


def demand_speed(function: Callable[..., Any], seconds: float) -> str:
    """Want a share of the library's rate on one core; both are measured by turns."""
    theirs, ours = measure(function, seconds)
    return judge_rates(theirs, ours)


def measure(function: Callable[..., Any], seconds: float) -> tuple[float, float]:
    """Return the best rates of the function and of the library on one core, in GFLOP/s."""
    draw = np.random.default_rng(20)
    rows, depth, columns = SHAPE
    a, b = draw.normal(size=(rows, depth)), draw.normal(size=(depth, columns))
    c = np.empty((1, rows, columns))
    operations = 2 * c.size * depth

    def library() -> None:
        kernels.gemm(a[None], b[None], c, False, False)

    threads = kernels.get_num_threads()
    kernels.set_num_threads(1)
    try:
        library()  # compiles it, or reads it from the disk
        small = np.ones((TRIAL, TRIAL))
        trial = min(_call(_timed(function, small, small), seconds) for _ in range(2))
        ours = _timed(library)()
        if trial * operations / (2 * TRIAL**3) > seconds:  # the small product tells enough
            return 2 * TRIAL**3 / trial / 1e9, operations / ours / 1e9
        theirs = math.inf
        for _ in range(ROUNDS):
            theirs = min(theirs, _call(_timed(function, a, b), seconds))
            ours = min(ours, _timed(library)())  # in this thread, which is set to one core
    finally:
        kernels.set_num_threads(threads)
    return operations / theirs / 1e9, operations / ours / 1e9


def judge_rates(theirs: float, ours: float) -> str:
    """Return what there is to say about a rate, given the library's.

    Raises
    ------
    Trouble
        If it is too low.
    """
    share = theirs / ours
    nearest = min(STEPS, key=lambda step: abs(math.log(share / STEPS[step])))
    text = f"that is nearest to: {nearest}"
    if share > MORE_THAN_A_CORE:
        text = "that is more than one core can do: NumPy's product, for one, uses all of them"
    if share < NEEDED:
        needed = _rate(ours * NEEDED)
        raise Trouble(
            f"right, but too slow: {_rate(theirs)} GFLOP/s, where {needed} are needed (a "
            f"twentieth of the library's {_rate(ours)} on one core); {text}"
        )
    return f"{_rate(theirs)} GFLOP/s, {100 * share:.0f} % of the library's rate on one core; {text}"


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _timed(function: Callable[..., Any], *arguments: Any) -> Callable[[], float]:
    """Return a function that calls this one and returns how long that takes."""

    def run() -> float:
        start = time.perf_counter()
        function(*arguments)
        return time.perf_counter() - start

    return run


def _call(work: Callable[[], Any], seconds: float) -> Any:
    """Return what comes of the reader's work; raise nothing but Trouble."""
    try:
        return call(work, (), seconds)
    except Trouble:
        raise
    except BaseException as error:  # it must not end the reader's session
        raise Trouble(f"right at first, then it raised {type(error).__name__}: {error}") from None
