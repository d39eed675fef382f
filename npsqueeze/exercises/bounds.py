"""Does a compiled function stay within its arrays? Python looks, for Numba does not.

Numba checks no index. What it writes beyond the end of an array spoils other memory, and the
process may die of it. So the Python that it was compiled from runs first, on small arrays.
"""

import traceback
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from npsqueeze.exercises.exercise import Trouble
from npsqueeze.exercises.running import call, explain_error
from npsqueeze.kernels import simd

SIZES = (37, 29, 43)  # no block and no tile divides them

TWINS = (
    (simd.load, simd._load),
    (simd.store, simd._store),
    (simd.broadcast, simd._broadcast),
    (simd.fma, simd._fma),
)
"""What the vectors of notebook 09 mean in plain NumPy, with their bounds checked."""


def check_bounds(function: Callable[..., Any], seconds: float) -> None:
    """Run a function of two matrices as plain Python, if a part of it is compiled.

    Raises
    ------
    Trouble
        If a compiled part leaves an array. Whatever else goes wrong will show when it really runs.
    """
    interpreted, compiled = as_python(function)
    rows, depth, columns = SIZES
    for dtype in (np.float64, np.float32) if compiled else ():
        a, b = np.ones((rows, depth), dtype), np.ones((depth, columns), dtype)
        try:
            call(interpreted, (a, b), seconds)
        except IndexError as error:
            frames = traceback.walk_tb(error.__traceback__)
            if any(frame.f_code in compiled for frame, _ in frames):
                raise Trouble(
                    f"{explain_error(error, interpreted)} (for a {a.shape}, b {b.shape} as plain "
                    "Python). Compiled, it reads or writes beyond the end of an array: Numba does "
                    "not check that, and it can end the session. Mind sizes that no tile divides"
                ) from None
        except BaseException:
            return


def as_python(function: Any) -> tuple[Any, set[CodeType]]:
    """Return a function as it was before Numba compiled it, and the code that Numba compiles.

    The functions beside it, which it may call, are interpreted too.
    """
    plain = _plain(function)
    if not isinstance(plain, FunctionType):
        return function, set()
    namespace, compiled = dict(plain.__globals__), set()

    def interpreted(value: Any) -> Any:
        for vector, twin in TWINS:
            if value is vector:
                return twin
        inner = _plain(value)
        if not isinstance(inner, FunctionType) or inner.__globals__ is not plain.__globals__:
            return value
        if inner is not value:
            compiled.add(inner.__code__)
        twin = FunctionType(
            inner.__code__, namespace, inner.__name__, inner.__defaults__, inner.__closure__
        )
        twin.__kwdefaults__ = inner.__kwdefaults__
        return twin

    for name, value in plain.__globals__.items():
        namespace[name] = interpreted(value)
    return interpreted(function), compiled


def _plain(value: Any) -> Any:
    """Return the function that Numba compiled, or the value itself; strangers are not touched."""
    return value.py_func if type(value).__name__ == "CPUDispatcher" else value
