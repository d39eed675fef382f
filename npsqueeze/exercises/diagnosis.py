"""From wrong numbers to the mistake behind them.

Each wrong idea is computed: what would the results be, had someone made this mistake? If they agree
with what came, in every case that was tried, the mistake is found. First the mistakes that belong
to the exercise, then those that can happen anywhere: a factor, a sign, a border, one image of many.
What no idea explains is told by its traits: right for stride 1, wrong for stride 2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Results, number_array


class Trial(NamedTuple):
    """A case: its arguments, the right results, and what came (or the trouble that it made)."""

    arguments: Arguments
    right: Results
    came: Results | None
    trouble: str = ""


def agree(came: Array, right: Array, tolerance: float) -> bool:
    """Tell whether two results have one shape and the same numbers, but for rounding."""
    if came.shape != right.shape:
        return False
    scale = np.max(np.abs(right), initial=0.0, where=np.isfinite(right))
    with np.errstate(invalid="ignore"):
        close = np.abs(came - right) <= tolerance * scale + 1e-12
    return bool(np.all(close | (came == right) | (np.isnan(came) & np.isnan(right))))


def wrong_results(exercise: Exercise, trials: Sequence[Trial]) -> list[str]:
    """Return the names of the results that are wrong in at least one trial."""
    wrong = {
        name
        for trial in trials
        if trial.came is not None
        for name, right in trial.right.items()
        if not agree(trial.came[name], right, exercise.tolerance)
    }
    names = dict.fromkeys(name for trial in trials for name in trial.right)
    return [name for name in names if name in wrong]


def explain(exercise: Exercise, trials: Sequence[Trial]) -> list[str]:
    """Return what is wrong with the results that came, a sentence for each mistake."""
    judged = [trial for trial in trials if trial.came is not None]
    unexplained = wrong_results(exercise, judged)
    sentences = []
    for mistake in exercise.mistakes:
        names = _explained(exercise, mistake.wrong, judged)
        if names & set(unexplained):
            sentences.append(f"{_list(sorted(names & set(unexplained)))}: {mistake.meaning}")
            unexplained = [name for name in unexplained if name not in names]
    for name in unexplained:
        general = next(_general(exercise, name, judged), "") or _by_traits(exercise, name, trials)
        sentences.append(
            f"{name}: {general or 'wrong numbers'}; {_example(exercise, name, judged)}"
        )
    return sentences


def _explained(
    exercise: Exercise,
    wrong: Callable[[Arguments, Results], Mapping[str, Any]],
    trials: Sequence[Trial],
) -> set[str]:
    """Return the results that this mistake explains: those that it foretells in every trial."""
    differs: set[str] = set()
    for trial in trials:
        try:
            with np.errstate(all="ignore"):
                results = wrong(trial.arguments, trial.right)
            foretold = {name: number_array(name, value) for name, value in results.items()}
        except Exception:  # the mistake cannot be made with these arguments
            continue
        for name, value in foretold.items():
            if not agree(trial.came[name], value, exercise.tolerance):  # type: ignore[index]
                return set()
            if not agree(value, trial.right[name], exercise.tolerance):
                differs.add(name)
    return differs


def _general(exercise: Exercise, name: str, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield the mistakes that any result may show."""
    mine = [trial for trial in trials if name in trial.right]

    def foretells(change: Callable[[Arguments, Array], Array]) -> bool:
        wrong = lambda arguments, right: {name: change(arguments, right[name])}  # noqa: E731
        return name in _explained(exercise, wrong, mine)

    misshapen = next((t for t in mine if t.came[name].shape != t.right[name].shape), None)  # type: ignore[index]
    if misshapen is not None:
        yield _shape(name, misshapen)
        return
    if any(np.isnan(t.came[name]).any() and not np.isnan(t.right[name]).any() for t in mine):  # type: ignore[index]
        yield "it holds NaN"
    if foretells(lambda _, right: np.zeros_like(right)):
        yield "it is zero everywhere"
    if foretells(lambda _, right: -right):
        yield "the sign is wrong"
    for factor, text in ((2.0, "twice too large"), (0.5, "half of what it should be")):
        if foretells(lambda _, right, factor=factor: factor * right):  # type: ignore[misc]
            yield text
    for count, value in exercise.counts.items():
        if foretells(lambda arguments, right, value=value: right * value(arguments)):  # type: ignore[misc]
            yield f"{count} times too large"
        if foretells(lambda arguments, right, value=value: right / value(arguments)):  # type: ignore[misc]
            yield f"{count} times too small: a mean where a sum is wanted, or the mean taken twice"
    if foretells(lambda _, right: right.swapaxes(-1, -2)):
        yield "its last two axes are exchanged"
    if foretells(lambda _, right: right[..., ::-1, ::-1]):
        yield "it is turned by 180 degrees: both last axes run backwards"
    batched = [trial for trial in mine if len(trial.right[name]) > 1]
    if batched and all(len(t.right[name]) == len(next(iter(t.arguments.values()))) for t in mine):
        for index, text in ((0, "first"), (-1, "last")):
            same = all(agree(t.came[name][index], t.right[name][index], 1e-5) for t in batched)  # type: ignore[index]
            if same and not any(
                agree(t.came[name][1:-1], t.right[name][1:-1], 1e-5)  # type: ignore[index]
                for t in batched
                if len(t.right[name]) > 2
            ):
                yield f"right for the {text} image of the batch alone"


def _shape(name: str, trial: Trial) -> str:
    came, right = trial.came[name], trial.right[name]  # type: ignore[index]
    like = [key for key, value in trial.arguments.items() if np.shape(value) == right.shape]
    expected = f"expected {right.shape}" + (f", the shape of {like[0]}" if like else "")
    text = f"it has shape {came.shape}, {expected}"
    if came.size == right.size and agree(came.reshape(right.shape), right, 1e-5):
        return text + ": the numbers are right, reshape them"
    if came.ndim == 2 and agree(came.T, right, 1e-5):
        return text + ": it is transposed"
    return text


def _by_traits(exercise: Exercise, name: str, trials: Sequence[Trial]) -> str:
    """Return which trait of a case goes with a wrong result, and with that alone."""
    right: list[Arguments] = []
    wrong: list[Arguments] = []
    for trial in trials:
        if name in trial.right:
            good = trial.came is not None and agree(
                trial.came[name], trial.right[name], exercise.tolerance
            )
            (right if good else wrong).append(trial.arguments)
    return trait_of(exercise, right, wrong)


def trait_of(exercise: Exercise, right: Sequence[Arguments], wrong: Sequence[Arguments]) -> str:
    """Return "right for …, wrong for …" if one trait divides the cases so, else an empty string."""
    if not right or not wrong:
        return ""
    found = ""
    for present, absent, holds in exercise.traits:
        for bad, good, wanted in ((present, absent, True), (absent, present, False)):
            if any(holds(arguments) == wanted for arguments in right):
                continue
            if all(holds(arguments) == wanted for arguments in wrong):
                return f"right for {good}, wrong for {bad}"
            if not found and sum(holds(arguments) == wanted for arguments in wrong) > 1:
                found = f"never right for {bad}"
    return found


def _example(exercise: Exercise, name: str, trials: Sequence[Trial]) -> str:
    """Return one wrong number, and what it should be."""
    for trial in trials:
        came, right = (trial.came or {}).get(name), trial.right.get(name)
        if came is None or right is None or agree(came, right, exercise.tolerance):
            continue
        case = f"for {case_text(trial.arguments)}"
        if came.shape != right.shape:
            return case
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(np.abs(came - right), nan=np.inf, posinf=np.inf)
        place = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
        index = f"[{', '.join(map(str, place))}]" if place else ""
        return f"{name}{index} is {came[place]:.6g}, expected {right[place]:.6g}, {case}"
    return ""


def case_text(arguments: Arguments) -> str:
    """Return the arguments of a case in a line: shapes of arrays, values of the rest."""
    words = []
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            words.append(f"{name} {value.shape}")
        elif isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
            words.append(f"{name} of shapes {', '.join(str(np.shape(v)) for v in value)}")
        elif isinstance(value, dict) and any(isinstance(v, np.ndarray) for v in value.values()):
            words.append(", ".join(f"{key} {np.shape(v)}" for key, v in value.items()))
        elif isinstance(value, str | int | float | tuple | list | dict):
            words.append(f"{name} {value}")
        elif hasattr(value, "__name__"):
            words.append(value.__name__)
    return ", ".join(words)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
