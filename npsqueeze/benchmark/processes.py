"""One process for each contender, which take turns.

Two thread pools in one process would spoil each other: after a parallel loop their threads spin for
a while, waiting for the next one, and take the cores from whoever comes then. So every contender
has a process of its own, and between two turns all of them sleep long enough for that to end.
"""

import contextlib
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

from npsqueeze.benchmark.contenders import Contender
from npsqueeze.benchmark.results import Outcome
from npsqueeze.benchmark.works import Work

PAUSE = 0.05  # seconds between turns
TURN = 0.05  # seconds that a turn takes at least
LAST_BREATH = 1.0  # seconds that a process gets to end by itself
THREAD_COUNTS = (
    "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
)  # fmt: skip
TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # every library is to choose for itself


class Processes:
    """The contenders' processes, for as long as the ``with`` lasts."""

    def __init__(self, contenders: Sequence[Contender], threads: int) -> None:
        self.contenders, self.threads = contenders, threads
        self.workers: list[_Worker] = []

    def __enter__(self) -> Self:
        try:
            with _environment(self.threads):
                for contender in self.contenders:
                    self.workers.append(_Worker(contender, self.threads))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()

    def measure(self, work: Work, rounds: int) -> tuple[Outcome, ...]:
        """Return the outcome of every contender that can do the work, in their order."""
        workers = [worker for worker in self.workers if work.kind in worker.contender.kinds]
        for worker in workers:
            worker.prepare(work)
            time.sleep(PAUSE)
        for _ in range(rounds):
            for worker in workers:
                worker.take_turn()
                time.sleep(PAUSE)
        return tuple(worker.outcome() for worker in workers if worker.able or worker.error)


class _Worker:
    """The parent's end of one contender's process."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self.contender = contender
        self.able, self.error, self.seconds = False, "", [0.0]
        context = multiprocessing.get_context("spawn")
        self.connection, end = context.Pipe()
        # A daemon: it ends when the parent does.
        self.process = context.Process(target=serve, args=(end, contender, threads), daemon=True)
        self.process.start()
        end.close()  # so that the process holds the only one, and its death is seen here

    def prepare(self, work: Work) -> None:
        """Let it make its arrays, compile what it compiles, and do the work once."""
        self.error, self.seconds = "", []
        self.able = bool(self._ask("prepare", work))

    def take_turn(self) -> None:
        """Let it do the work for a while."""
        if self.able and not self.error:
            seconds = self._ask("turn")
            if not self.error:
                self.seconds.append(seconds)

    def outcome(self) -> Outcome:
        """Return the median, or the error."""
        memory = None if self.error else self._ask("memory")
        if self.error:
            return Outcome(self.contender.name, error=self.error)
        return Outcome(self.contender.name, statistics.median(self.seconds), memory)

    def end(self) -> None:
        """Close the connection, at which an idle process ends; stop a busy one."""
        self.connection.close()
        self.process.join(LAST_BREATH)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()

    def _ask(self, *message: Any) -> Any:
        """Return the process's answer; None, with the error noted, if it has failed."""
        try:
            self.connection.send(message)
            answer, self.error = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(LAST_BREATH)
            self.error = f"its process has ended, with exit code {self.process.exitcode}"
            return None
        return answer


def serve(connection: Connection, contender: Contender, threads: int) -> None:
    """Answer the parent, in the contender's process, until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    os.dup2(sys.__stderr__.fileno(), 1)  # type: ignore[union-attr]  # stdout is the report's
    function: Callable[[], object] | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = connection.recv()
            answer: Any = None
            try:
                if message[0] == "prepare":
                    function = None  # frees its arrays
                    function = contender.prepare(message[1], threads)
                    answer = function is not None
                    if function is not None:
                        function()
                elif message[0] == "turn" and function is not None:
                    answer = _time(function)
                elif message[0] == "memory":
                    answer = _peak_memory()
            except Exception as error:  # whatever a library raises is reported, and ends no one
                first_line = (str(error).splitlines() or [""])[0]
                connection.send((None, f"{type(error).__name__}: {first_line}"))
            else:
                connection.send((answer, ""))


def _time(function: Callable[[], object]) -> float:
    """Return the median time of a call.

    The first one, which wakes the threads and fills the caches, counts only where it is a small
    part of the turn, or all of it.
    """
    seconds: list[float] = []
    started = time.perf_counter()
    while sum(seconds) < TURN:
        function()
        now = time.perf_counter()
        seconds.append(now - started)
        started = now
    return statistics.median(seconds[1:] or seconds)


def _peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes; None where nobody counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Give the processes that start meanwhile their number of threads.

    The libraries read it when they are imported, which a new process does before it runs anything
    of ours.
    """
    names = (*THREAD_COUNTS, *TUNING)
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        os.environ.update(dict.fromkeys(THREAD_COUNTS, str(threads)))
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
