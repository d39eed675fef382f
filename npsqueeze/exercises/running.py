"""Calling a function that may do anything: raise, change its arguments, or never come back."""

import copy
import ctypes
import functools
import inspect
import linecache
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from npsqueeze.exercises.exercise import Arguments, Exercise, Trouble

UNFINISHED = (
    inspect.isgeneratorfunction,
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
)
"""What kinds of function return before any line of them has run."""


class Endless(Trouble):
    """It did not come back."""


def run(
    exercise: Exercise, function: Callable[..., Any], arguments: Arguments, seconds: float
) -> Any:
    """Return what the function returns for the arguments, or False for one of its rejections.

    A parameter called `cache` gets the cache of the library's forward pass.

    Raises
    ------
    Trouble
        If it raises, changes an argument, or is not back after so many seconds.
    """
    given = copy.deepcopy(arguments)
    values = list(given.values())
    if exercise.cache is not None and takes_cache(function):
        values = [values[0], exercise.cache(given)]
    try:
        returned = call(function, values, seconds)
    except exercise.rejections:
        returned = False
    except Endless:
        raise
    except BaseException as error:  # whatever it is, it must not end the reader's session
        raise Trouble(explain_error(error, function)) from None
    for name, before in arguments.items():
        if isinstance(before, np.random.Generator):
            unused = before.bit_generator.state == given[name].bit_generator.state
            if unused and returned is not None:  # who returns None has not finished yet
                raise Trouble(
                    f"it draws nothing from {name}: only so does a seed give the same again"
                )
        elif not _equal(before, given[name]):
            raise Trouble(
                f"it changes its argument {name} in place; the caller still needs that: "
                f"work on a copy, or write to a new array"
            )
    return returned


def takes_cache(function: Callable[..., Any]) -> bool:
    """Tell whether the function is written as (dy, cache)."""
    try:
        return "cache" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False


def check_signature(exercise: Exercise, function: Any) -> None:
    """Raise Trouble unless the function can be called as the exercise calls it."""
    if not callable(function):
        raise Trouble(
            f"expected a function, got {type(function).__name__}: pass the function itself, "
            f"without calling it"
        )
    if any(test(function) for test in UNFINISHED):
        raise Trouble(
            "calling it starts nothing, for it is a generator (there is a yield in it) or async: "
            "write a plain def that ends with return"
        )
    with_cache = exercise.cache is not None and takes_cache(function)
    count = 2 if with_cache else len(exercise.cases[0])
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        parameters = ", ".join(inspect.signature(function).parameters)
        also = " or (dy, cache)" if exercise.cache is not None else ""
        raise Trouble(
            f"it takes ({parameters}); the check calls {exercise.signature}{also}"
        ) from None
    except ValueError:
        pass  # no signature to be had


def call(function: Callable[..., Any], arguments: Sequence[Any], seconds: float) -> Any:
    """Run the function in a thread of its own, which can be left behind.

    Raises
    ------
    Endless
        If it is not back in time; it is then told to stop, which a thread obeys in Python code.
    BaseException
        Whatever the function raises.
    """
    returned: list[Any] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with np.errstate(all="ignore"):
                returned.append(function(*arguments))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread.start()
        try:
            thread.join(seconds)
            late = thread.is_alive()
            frame = sys._current_frames().get(thread.ident or 0)
            frame_lines = _stack_frames(frame) if late and frame else []
        finally:
            _stop(thread)
    if late:
        where = _place(frame_lines, function)
        raise Endless(
            f"it was not back after {seconds:g} s{where}: does that loop end, and does what it "
            "waits for change in it?"
        )
    if raised:
        raise raised[0]
    return returned[0]


def _stop(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread; again, should an `except:` in it swallow that."""
    for _ in range(10):
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
        )
        thread.join(0.02)


def explain_error(error: BaseException, function: Callable[..., Any]) -> str:
    """Return what was raised, and in which line of the function's own file."""
    where = _place(_traceback_frames(error.__traceback__), function)
    text = ""
    with suppress(Exception):  # an exception of the reader's own may fail at telling itself
        text = str(error)
    return f"it raised {type(error).__name__}{where}" + (f": {text}" if text else "")


def _stack_frames(frame: FrameType) -> list[tuple[str, int]]:
    return [(entry.f_code.co_filename, line) for entry, line in traceback.walk_stack(frame)][::-1]


def _traceback_frames(trace: TracebackType | None) -> list[tuple[str, int]]:
    return [(entry.f_code.co_filename, line) for entry, line in traceback.walk_tb(trace)]


def _place(frames: list[tuple[str, int]], function: Callable[..., Any]) -> str:
    """Return " in line 3, `…`" for the innermost frame that lies in the function's own file."""
    code = _code(function)
    if code is None:
        return ""
    own = [line for filename, line in frames if filename == code.co_filename]
    if not own:
        return ""
    text = linecache.getline(code.co_filename, own[-1]).strip()
    return f" in line {own[-1]}" + (f", `{text}`" if text else "")


def _code(function: Callable[..., Any]) -> Any:
    """Return the code of a function, also behind decorators, a partial or a `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    with suppress(ValueError):  # a function that claims to wrap itself
        function = inspect.unwrap(function)
    return getattr(function, "__code__", getattr(type(function).__call__, "__code__", None))


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray):
        same_type = isinstance(after, np.ndarray) and after.dtype == before.dtype
        return same_type and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_equal(before[k], after[k]) for k in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_equal, before, after))
    return callable(before) or bool(before == after)
