import functools
import importlib
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npsqueeze.exercises import EXERCISES
from npsqueeze.exercises.checking import judge
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results
from tests.exercise_checks import Plant


def all_planted() -> list[Plant]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_exercises_*.py"))
    modules = [importlib.import_module(f"tests.{name}") for name in names]
    return [plant for module in modules for plant in getattr(module, "planted", [])]


def test_many_mistakes_are_planted_in_all_functions() -> None:
    planted = all_planted()
    assert len(planted) >= 120
    assert {plant.exercise for plant in planted} == EXERCISES.keys()
    assert len({plant.function.__name__ for plant in planted}) == len(planted)


@functools.cache
def of_results(name: str) -> Exercise:
    """Return the exercise for functions that return their results by name."""
    exercise = EXERCISES[name]
    rights = cycle([*exercise.right, *exercise.answers(exercise.beyond)])
    return replace(
        exercise, answer=lambda *_: next(rights), read=lambda results, _: results, function=None
    )


def results_of(mistake: Mistake, arguments: Arguments, right: Results) -> Results:
    """Return what a function that makes this mistake, and no other, returns."""
    try:
        with np.errstate(all="ignore"):
            wrong = mistake.wrong(arguments, right)
    except Exception:  # it cannot be made with these arguments
        wrong = {}
    return right | {name: np.asarray(wrong[name]) for name in wrong if name in right}


KNOWN = [
    pytest.param(name, mistake, id=f"{name}-{mistake.meaning[:40]}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]


@pytest.mark.parametrize(("name", "mistake"), KNOWN)
def test_who_makes_a_known_mistake_is_told_so(name: str, mistake: Mistake) -> None:
    exercise = of_results(name)
    all_cases = [*exercise.cases, *exercise.beyond]
    rights = [*EXERCISES[name].right, *EXERCISES[name].answers(exercise.beyond)]
    cases = cycle(zip(all_cases, rights, strict=True))

    def function(*values: Any) -> Results:
        for value in values:
            if isinstance(value, np.random.Generator):
                value.normal()
        return results_of(mistake, *next(cases))

    verdict = judge(exercise, function, 30)
    assert not verdict.passed or "One thing more" in verdict.message
    assert mistake.meaning in verdict.message


def test_no_meaning_is_long() -> None:
    meanings = [each.meaning for exercise in EXERCISES.values() for each in exercise.mistakes]
    assert max(map(len, meanings)) <= 160


def test_nothing_is_called_right_where_only_the_trouble_is_missing() -> None:
    """It raises for all kernels but 1x1, and what it returns for those is wrong."""

    def function(x: Any, w: Any, b: Any, stride: int, padding: int, dilation: int) -> Any:
        if w.shape[2] > 1:
            return w[0, 0, 0, 0] * x[:, :1, 1:]
        raise ValueError("1x1")

    message = judge(EXERCISES["conv2d_forward"], function).message
    assert "it raised ValueError" in message
    assert "right for" not in message


def test_numbers_are_explained_before_nan() -> None:
    """The sign is wrong, and NaN is swallowed."""
    message = judge(EXERCISES["relu_backward"], lambda dy, x: -dy * (x > 0)).message
    assert message.endswith("dx: the sign is wrong; " + message.split("; ")[-1])
    assert "NaN" not in message
