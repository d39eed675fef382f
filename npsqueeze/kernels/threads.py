"""The threads that the kernels share: which library runs them, how many, and what is refused.

Numba hands a parallel loop to one of three threading layers, and takes the first that it finds:

    layer      a loop starts in   needs                      after a fork   two Python threads
    tbb        2 to 3 us          `pip install tbb`          works          work
    omp        2 us               OpenMP (Linux: libgomp)    aborts         work
    workqueue  50 us              nothing, it is Numba's     works          abort

This order is Numba's own, and it is the right one for us, so its settings stay as they are: who
wants another layer says so by NUMBA_THREADING_LAYER (or `numba.config.THREADING_LAYER`), before the
first kernel runs. The layer of a process cannot be changed after that. The results do not depend on
it: the kernels cut their work by its shape, and each element is written by one thread.

What a layer does not stand never reaches it:

- Several Python threads may run kernels: they take turns, each with all cores, by a lock; the
  GIL alone does not see to it. (Networks and plans keep what they saw last: one for each thread.)
- A process made by `fork` may run kernels if its parent ran none, or if the layer is not GNU's omp.
  That one would abort the child; there, a kernel raises a RuntimeError that names the cure.
- No kernel runs beside NumPy's matrix product: OpenBLAS has threads of its own, and taking turns
  with them makes both wait for milliseconds. All matrix products are ours (`gemm`).
"""

import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numba

FORKED = (
    "this process was forked from one that had run kernels, and its threads (GNU OpenMP) do not "
    "survive that: start processes by multiprocessing's 'spawn' or 'forkserver', or set "
    "NUMBA_THREADING_LAYER=workqueue"
)

_lost_its_threads = False
_turn = threading.RLock()


def set_num_threads(count: int) -> None:
    """Let the kernels use `count` threads, at most as many as Numba started with (all cores).

    Each Python thread has its own number, at first all.

    Raises
    ------
    ValueError
        If `count` is below 1 or above that number.
    """
    largest = numba.config.NUMBA_NUM_THREADS
    if not isinstance(count, int) or not 1 <= count <= largest:
        raise ValueError(f"count: expected 1 to {largest} threads, got {count!r}")
    numba.set_num_threads(count)


def get_num_threads() -> int:
    """Return the number of threads that the kernels use."""
    return int(numba.get_num_threads())


def threading_layer() -> str | None:
    """Return the layer that runs the threads: tbb, omp or workqueue; None before the first run."""
    try:
        return str(numba.threading_layer())
    except ValueError:
        return None


def guarded(compiled: Any) -> Callable[..., Any]:
    """Return the parallel kernel, with a turn to wait for or an error where it would abort.

    This takes less than half a microsecond.
    """

    @functools.wraps(compiled, updated=())
    def run(*arguments: Any, **named: Any) -> Any:
        if _lost_its_threads:
            raise RuntimeError(FORKED)
        with _turn:
            return compiled(*arguments, **named)

    run.dispatcher = compiled  # type: ignore[attr-defined]
    return run


def _look_for_threads() -> None:
    """Tell, in a child after the fork, whether its threads are lost."""
    global _lost_its_threads  # what fork changes is the process, and so the module
    _lost_its_threads = sys.platform.startswith("linux") and threading_layer() == "omp"
    _turn.release()


if hasattr(os, "register_at_fork"):
    # A fork during another thread's turn would leave the child with a lock that nobody opens.
    os.register_at_fork(
        before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_look_for_threads
    )
