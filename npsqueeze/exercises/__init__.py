"""Exercises that check themselves: write a function, and hear what is wrong with it.

    exercises.check("conv2d_backward", my_function)
    exercises.hint("conv2d_backward")

The tasks stand at the end of each notebook in `tutorials/`; the solutions are the library's own
source. A function takes its arguments spelt out, as the twins in `npsqueeze.reference` do; one that
has a parameter called `cache` is called with the cache of the library's forward pass instead.
"""

from collections.abc import Callable
from typing import Any

from npsqueeze.exercises import (
    activation,
    adam,
    architecture,
    augmentation,
    average_pooling,
    batch_normalisation,
    blocked_matmul,
    columns,
    convolution,
    convolution_backward,
    dropout,
    fire,
    gradients,
    linear,
    looking,
    loss,
    max_pooling,
    momentum,
    pictures,
    progress,
    softmax,
)
from npsqueeze.exercises.checking import judge, source
from npsqueeze.exercises.exercise import Exercise

_TOPICS = (
    pictures, convolution, columns, convolution_backward, activation, max_pooling, average_pooling,
    linear, softmax, loss, gradients, fire, architecture,
    blocked_matmul, momentum, adam, batch_normalisation, dropout, augmentation, looking,
)  # fmt: skip
EXERCISES = {each.name: each for topic in _TOPICS for each in topic.EXERCISES}
"""All exercises by name, in the order of the course."""

_hints_given: dict[str, int] = {}


def check(name: str, function: Callable[..., Any], *, seconds: float = 10.0) -> bool:
    """Run a reader's function on cases that bite, print the verdict, return whether it is right.

    Nothing that the function does can end the session: exceptions, wrong shapes, None, NaN, changed
    arguments and endless loops are explained. A solved exercise is remembered
    (`npsqueeze exercises` lists them).

    Parameters
    ----------
    name : str
        Of the exercise, such as ``"conv2d_backward"``.
    function : callable
        It gets float64 arrays.
    seconds : float
        How long one call may take.

    Raises
    ------
    ValueError
        If there is no exercise of this name.
    """
    exercise = _find(name)
    verdict = judge(exercise, function, seconds)
    print(verdict.message)
    if verdict.passed:
        progress.record(name)
    elif exercise.hints:
        print(f'  for a hint: exercises.hint("{name}")')
    return verdict.passed


def hint(name: str) -> None:
    """Print the next hint for an exercise, and after the last one the place of the solution.

    Raises
    ------
    ValueError
        If there is no exercise of this name.
    """
    exercise = _find(name)
    given = _hints_given.get(name, 0)
    _hints_given[name] = given + 1
    if given < len(exercise.hints):
        print(f"hint {given + 1} of {len(exercise.hints)}: {exercise.hints[given]}")
    else:
        _hints_given[name] = 0
        print(f"no more hints; the solution is the library's own: {source(exercise)}")


def _find(name: str) -> Exercise:
    if name not in EXERCISES:
        raise ValueError(f"name: expected one of {', '.join(EXERCISES)}, got {name!r}")
    return EXERCISES[name]
