"""Contenders that behave well or badly, for the tests of the processes."""

import os
import time
from collections.abc import Callable

from npsqueeze.benchmark.contenders import Contender
from npsqueeze.benchmark.processes import THREAD_COUNTS, TUNING
from npsqueeze.benchmark.works import Product, Work

WORK = Product(1, 2, 3, 4)


def contender(way: str, name: str | None = None) -> Contender:
    """Return one whose work is to do what `way` says."""
    return Contender(name or way, __name__, ("gemm",), way)


def prepare(work: Work, way: str, threads: int) -> Callable[[], object] | None:
    """Behave as `way` says."""
    if way == "cannot":
        return None
    if way == "tells its environment":
        counts = [os.environ[name] for name in THREAD_COUNTS]
        left = [name for name in TUNING if name in os.environ]
        raise RuntimeError(f"{threads} {counts} {left}\nand a second line")
    return {
        "works": lambda: time.sleep(0.001),
        "naps": lambda: time.sleep(0.02),
        "hangs": lambda: time.sleep(600),
        "prints": lambda: print("not for the report", flush=True),
        "dies": lambda: os._exit(3),
    }[way]
