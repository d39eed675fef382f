"""What the tests of the exercises share: wrong functions, and the verdicts on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from npsqueeze.exercises import EXERCISES
from npsqueeze.exercises.checking import Verdict, judge

Function = Callable[..., Any]


def verdict_on(name: str, function: Any, seconds: float = 5.0) -> Verdict:
    return judge(EXERCISES[name], function, seconds)


def message_about(name: str, function: Any, seconds: float = 5.0) -> str:
    verdict = verdict_on(name, function, seconds)
    assert not verdict.passed
    assert verdict.message.startswith(f"{name}: ")
    return verdict.message


class Plant(NamedTuple):
    """A wrong function, as a student writes it, and words that the verdict on it must contain."""

    exercise: str
    function: Function
    words: tuple[str, ...]


class Planted(list[Plant]):
    """A file's wrong functions, collected by decorating them."""

    def __call__(self, exercise: str, *words: str) -> Callable[[Function], Function]:
        def collect(function: Function) -> Function:
            self.append(Plant(exercise, function, words))
            return function

        return collect

    def test(self) -> Callable[[Plant], None]:
        """Return the test of them all, for the file to keep under a name of its own."""
        names = [plant.function.__name__ for plant in self]

        @pytest.mark.parametrize("plant", list(self), ids=names)
        def test_a_planted_mistake_is_named(plant: Plant) -> None:
            check_that_it_is_named(plant)

        return test_a_planted_mistake_is_named


def check_that_it_is_named(plant: Plant) -> None:
    exercise = EXERCISES[plant.exercise]
    verdict = judge(exercise, plant.function, 30)
    assert not verdict.passed or "One thing more" in verdict.message
    for word in plant.words:
        assert word in verdict.message, verdict.message
    # and it is accused of nothing else
    for line in verdict.message.splitlines():
        for mistake in (*exercise.consequences, *exercise.mistakes):
            if line.endswith(mistake.meaning):
                assert any(word in line for word in plant.words), line
