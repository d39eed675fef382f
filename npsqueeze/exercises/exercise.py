"""What an exercise is: a function to write, cases that bite, and the mistakes that people make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npsqueeze.arrays import Array

Arguments: TypeAlias = dict[str, Any]
"""The arguments of one call, by name, in their order."""

Results: TypeAlias = dict[str, Array]
"""What a call returns, by name: dx, dw …"""


class Trouble(Exception):  # noqa: N818 (no error of ours)
    """What a function did that keeps its result from being judged, told to its author."""


class Trait(NamedTuple):
    """A property that divides the cases: with it, without it, and how to tell."""

    present: str
    absent: str
    holds: Callable[[Arguments], bool]


class Mistake(NamedTuple):
    """A wrong idea that can be computed.

    `wrong` maps a call's arguments and right results to the results that the idea leads to; those
    that it leaves out it has no opinion on. A function that returns just these, case by case, has
    made this mistake.
    """

    meaning: str
    wrong: Callable[[Arguments, Results], Mapping[str, Any]]


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    Attributes
    ----------
    name : str
        Its public name.
    notebook : str
        The file in `tutorials/` that asks for it.
    solution : callable
        The library's own function.
    answer : callable
        The right result for the arguments, as the function itself would return it.
    cases : sequence of Arguments
        From the simplest to the hardest; the first is smooth.
    hints : sequence of str
        One step each.
    read : callable
        Makes `Results` of what a function returned, given the arguments; raises `Trouble`.
    consequences : sequence of Mistake
        Results that are wrong only because another one is: here `wrong` is given the results that
        came, in place of the right ones.
    mistakes, traits, counts
        What may have gone wrong, what divides the cases, and the numbers (N, P …) by which a result
        may be too large or too small.
    function : callable, optional
        For a backward pass: maps the arguments to (function of arrays, arrays), whose gradients the
        results are.
    cache : callable, optional
        For a backward pass: the cache of the library's forward pass.
    rejections : exception types
        Raising one of these is a result: False.
    tolerance : float
        The largest error that passes, relative to the largest number of a result.
    beyond : sequence of Arguments
        Cases beyond the task, such as NaN: a function that fails them is right all the same, and
        its author is told.
    precautions : sequence of callables
        What is looked at before any case runs, for a case could end the session. Each gets the
        function and the seconds for a call, and raises `Trouble`.
    demands : sequence of callables
        What is wanted of a function that is right in all cases, such as speed. Each gets the
        function and the seconds for a call, returns what there is to say, and raises `Trouble` if
        it is not content.
    """

    name: str
    notebook: str
    solution: Callable[..., Any]
    answer: Callable[..., Any]
    cases: Sequence[Arguments]
    hints: Sequence[str]
    read: Callable[[Any, Arguments], Results]
    consequences: Sequence[Mistake] = ()
    mistakes: Sequence[Mistake] = ()
    traits: Sequence[Trait] = ()
    counts: Mapping[str, Callable[[Arguments], float]] = field(default_factory=dict)
    function: Callable[[Arguments], tuple[Callable[..., float], list[Array]]] | None = None
    cache: Callable[[Arguments], Any] | None = None
    rejections: tuple[type[Exception], ...] = ()
    tolerance: float = 1e-5
    beyond: Sequence[Arguments] = ()
    precautions: Sequence[Callable[[Callable[..., Any], float], None]] = ()
    demands: Sequence[Callable[[Callable[..., Any], float], str]] = ()

    @property
    def signature(self) -> str:
        """Return how it is called."""
        return f"{self.name}({', '.join(self.cases[0])})"

    @cached_property
    def right(self) -> list[Results]:
        """Return the right results of all cases; computed once, for plain loops take their time."""
        return self.answers(self.cases)

    def answers(self, cases: Sequence[Arguments]) -> list[Results]:
        """Return the right results of some cases."""
        return [self.read(self.answer(*each.values()), each) for each in cases]


def arrays(*names: str, forward: bool = False) -> Callable[[Any, Arguments], Results]:
    """Return a reader of results: one array, or a tuple of as many as there are names.

    A `forward` pass may return its cache too.
    """

    def read(value: Any, arguments: Arguments) -> Results:
        if forward and isinstance(value, tuple) and len(value) == 2:
            value = value[0]
        if len(names) == 1 and not isinstance(value, tuple):  # a list is an array too
            value = (value,)
        return named(names, value)

    return read


def named(names: Sequence[str], values: Any) -> Results:
    """Return the values, which must be as many arrays of numbers as there are names, by name.

    Raises
    ------
    Trouble
        If they are not.
    """
    order = ", in this order" if len(names) > 1 else ""
    expected = f"expected {', '.join(names)}{order}"
    nothing = isinstance(values, tuple | list) and values and all(v is None for v in values)
    if values is None or nothing:
        raise Trouble(f"it returned None: is the function finished? {expected}")
    if not isinstance(values, tuple | list):
        raise Trouble(f"it returned one {describe(values)}; {expected}")
    if len(values) != len(names):
        raise Trouble(f"it returned {len(values)} values; {expected}")
    return {name: number_array(name, value) for name, value in zip(names, values, strict=True)}


def number_array(name: str, value: Any) -> Array:
    """Return `value` as an array of numbers.

    Raises
    ------
    Trouble
        If it is none.
    """
    if value is None:
        raise Trouble(f"{name} is None; expected an array")
    try:
        array = np.asarray(value)
    except Exception:  # such as a list of lists of unequal lengths
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise Trouble(f"{name} is {describe(value)}; expected an array of numbers")
    return array


def describe(value: Any) -> str:
    """Return what a value is, in a word or two."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype} with shape {value.shape}"
    return type(value).__name__
