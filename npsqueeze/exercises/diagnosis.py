"""From wrong numbers to the mistake behind them.

Each wrong idea is computed: what would the results be, had someone made this mistake? If they agree
with what came, in every case that was tried, the mistake is found. First comes the order of the
results, then the mistakes that belong to the exercise, then those that can happen anywhere: a
shape, a factor, a sign, whole numbers, one image of many. What no idea explains is told by its
traits (right for stride 1, wrong for stride 2), or by the places where it is wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    return came.shape == right.shape and bool(np.all(_close(came, right, tolerance)))


def _close(came: Array, right: Array, tolerance: float) -> Array:
    """Tell for each number whether it is right, but for rounding."""
    came, right = np.asarray(came, float), np.asarray(right, float)
    scale = np.max(np.abs(right), initial=0.0, where=np.isfinite(right))
    with np.errstate(invalid="ignore"):
        close = np.abs(came - right) <= tolerance * scale + 1e-12
    return close | (came == right) | (np.isnan(came) & np.isnan(right))


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
    trials = _numbers_first(exercise, trials)
    judged = [trial for trial in trials if trial.came is not None]
    order = _wrong_order(exercise, judged)
    if order:
        return [order]
    sentences, unexplained = known_mistakes(exercise, judged)
    for name in unexplained:
        general = next(_general(exercise, name, judged), "")
        if not general:
            divided, places = _by_traits(exercise, name, trials), _where(exercise, name, judged)
            if places == WRONG_PLACES and not divided:
                places += ": mind the order of axes and loops"
            general = "; ".join(filter(None, (divided, places)))
        example = _example(exercise, name, judged)
        sentences.append(f"{name}: {general}; {example}" if general else example)
    return sentences


def _numbers_first(exercise: Exercise, trials: Sequence[Trial]) -> Sequence[Trial]:
    """Return the trials without NaN and inf if anything is wrong in them, else all."""

    def finite(value: Any) -> bool:
        return not isinstance(value, np.ndarray) or bool(np.isfinite(value).all())

    plain = [trial for trial in trials if all(map(finite, trial.arguments.values()))]
    return plain if wrong_results(exercise, plain) else trials


def known_mistakes(exercise: Exercise, trials: Sequence[Trial]) -> tuple[list[str], list[str]]:
    """Return a sentence for each of the exercise's mistakes, and the results left unexplained."""
    judged = [trial for trial in trials if trial.came is not None]
    unexplained = wrong_results(exercise, judged)
    sentences = []
    for mistake, of_came in (
        *((each, True) for each in exercise.consequences),
        *((each, False) for each in exercise.mistakes),
    ):
        explained = _explained(exercise, mistake.wrong, judged, of_came)
        names = [name for name in unexplained if name in explained]
        if names:
            sentences.append(f"{_list(names)}: {mistake.meaning}")
            unexplained = [name for name in unexplained if name not in names]
    return sentences, unexplained


def _wrong_order(exercise: Exercise, trials: Sequence[Trial]) -> str:
    """Return the sentence about right results in another order, or an empty string."""
    sentence = ""
    for trial in trials:
        names = list(trial.right)
        order = [
            next((n for n in names if agree(came, trial.right[n], exercise.tolerance)), "")
            for came in (trial.came or {}).values()
        ]
        if sorted(order) != sorted(names):
            return ""
        if order != names and not sentence:
            sentence = (
                f"the numbers are right, but they come in the order {', '.join(order)}; "
                f"expected {', '.join(names)}"
            )
    return sentence


def _explained(
    exercise: Exercise,
    wrong: Callable[[Arguments, Results], Mapping[str, Any]],
    trials: Sequence[Trial],
    of_came: bool = False,
) -> set[str]:
    """Return the results that this mistake explains: those that it foretells in every trial.

    It foretells them from the right results, or from those that came.
    """
    differs: set[str] = set()
    for trial in trials:
        came = trial.came or {}
        try:
            with np.errstate(all="ignore"):
                results = wrong(trial.arguments, came if of_came else trial.right)
            foretold = {
                name: number_array(name, value)
                for name, value in results.items()
                if name in trial.right
            }
        except Exception:  # the mistake cannot be made with these arguments
            continue
        for name, value in foretold.items():
            if not agree(came[name], value, exercise.tolerance):
                return set()
            if not agree(value, trial.right[name], exercise.tolerance):
                differs.add(name)
    return differs


def _general(exercise: Exercise, name: str, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield the mistakes that any result may show, the most telling first."""
    pairs = [(t.came[name], t.right[name]) for t in trials if t.came and name in t.right]

    def foretells(change: Callable[[Arguments, Array], Array]) -> bool:
        wrong = lambda arguments, right: {name: change(arguments, right[name])}  # noqa: E731
        return name in _explained(exercise, wrong, [t for t in trials if name in t.right])

    if foretells(lambda _, right: right.swapaxes(-1, -2)):
        yield "its last two axes are exchanged: height and width, or rows and columns"
    yield from _shape(name, trials)
    yield from _whole_numbers(pairs)
    if any(_has_new_nan(*pair) for pair in pairs):
        yield "it holds NaN"
    for count, value in exercise.counts.items():
        if foretells(lambda arguments, right, value=value: right * value(arguments)):  # type: ignore[misc]
            yield f"{count} times too large"
        if foretells(lambda arguments, right, value=value: right / value(arguments)):  # type: ignore[misc]
            yield f"{count} times too small: a mean where a sum is wanted, or the mean taken twice"
    factor = _factor(pairs)
    if foretells(lambda _, right: factor * right):
        yield FACTORS.get(round(factor, 4), f"{factor:.4g} times what it should be, in every case")
    if foretells(lambda _, right: right[..., ::-1, ::-1]):
        yield "it is turned by 180 degrees: both last axes run backwards"
    yield from _one_image(trials, pairs)


FACTORS = {
    0.0: "it is zero everywhere",
    -1.0: "the sign is wrong",
    2.0: "twice too large",
    0.5: "half of what it should be",
}


def _has_new_nan(came: Array, right: Array) -> bool:
    same_shape = came.shape == right.shape  # of another one, nobody knows how large it is
    return same_shape and bool(np.isnan(came).any() and not np.isnan(right).any())


def _factor(pairs: Sequence[tuple[Array, Array]]) -> float:
    """Return came / right, of the largest right number of the first pair."""
    came, right = pairs[0]
    place = np.abs(right).argmax()
    return float(came.flat[place] / right.flat[place]) if right.flat[place] else 1.0


def _whole_numbers(pairs: Sequence[tuple[Array, Array]]) -> Iterator[str]:
    """Yield what an array of integers does to numbers with a fraction."""
    if not any(np.any(right != np.trunc(right)) for _, right in pairs):
        return
    if all(came.dtype.kind in "iu" for came, _ in pairs):
        yield (
            f"its numbers are of the type {pairs[0][0].dtype}, whole numbers only, so that all "
            "behind the point is cut off: make it an array of floats, as np.zeros(shape) does"
        )
    elif all(agree(came, np.trunc(right), 1e-5) for came, right in pairs):
        yield "cut to whole numbers: is it written to an array of integers on the way?"


def _one_image(trials: Sequence[Trial], pairs: Sequence[tuple[Array, Array]]) -> Iterator[str]:
    """Yield that only the first, or only the last image of each batch is right."""
    batches = [np.shape(next(iter(trial.arguments.values()), ()))[:1] for trial in trials]
    if len(pairs) != len(batches) or any(
        right.shape[:1] != n for (_, right), n in zip(pairs, batches, strict=True)
    ):
        return
    larger = [(came, right) for came, right in pairs if right.ndim and len(right) > 1]
    for index, text in ((0, "first"), (-1, "last")):
        same = [[agree(c, r, 1e-5) for c, r in zip(*pair, strict=True)] for pair in larger]
        if same and all(each[index] for each in same) and all(sum(each) == 1 for each in same):
            yield f"right for the {text} image of the batch alone"


def _shape(name: str, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield what is wrong with the shape, if it is wrong in any trial."""
    trials = [trial for trial in trials if trial.came and name in trial.right]
    pairs = [(trial.came[name], trial.right[name]) for trial in trials]  # type: ignore[index]
    for trial, (came, right) in zip(trials, pairs, strict=True):
        if came.shape == right.shape:
            continue
        like = [
            key
            for key, value in trial.arguments.items()
            if isinstance(value, np.ndarray) and value.shape == right.shape
        ]
        expected = f"{right.shape}, the shape of {like[0]}" if like else f"{right.shape}"
        text = f"it has shape {came.shape}, expected {expected if right.ndim else 'one number'}"
        if came.size == right.size and agree(came.reshape(right.shape), right, 1e-5):
            text += ": the numbers are right, reshape them"
        elif came.shape != right.shape and sorted(came.shape) == sorted(right.shape):
            text += ": the axes stand in another order"
        elif came.ndim == right.ndim > 1 and came.shape[:-2] == right.shape[:-2]:
            height, width = right.shape[-2:]
            if came.shape[-2:] == (height, height):
                text += ": its width is computed from the height"
            elif came.shape[-2:] == (height - 1, width - 1):
                text += ": a row and a column too few (+ 1)"
            elif came.shape[-2:] == (width, width):
                text += ": its height is computed from the width"
        yield text
        return


def _by_traits(exercise: Exercise, name: str, trials: Sequence[Trial]) -> str:
    """Return which trait of a case goes with a wrong result, and with that alone."""
    right: list[Arguments] = []
    wrong: list[Arguments] = []
    for trial in trials:
        if name in trial.right:
            (right if is_right(exercise, trial, [name]) else wrong).append(trial.arguments)
    return trait_of(exercise, right, wrong)


def is_right(exercise: Exercise, trial: Trial, names: Iterable[str]) -> bool:
    """Tell whether something came of a trial, and the named results of it are right."""
    return trial.came is not None and all(
        agree(trial.came[name], trial.right[name], exercise.tolerance) for name in names
    )


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
            never = [holds(arguments) == wanted for arguments in wrong]
            # else it says nothing: the others are mostly wrong too
            if not found and sum(never) > 1 and len(right) > len(never) - sum(never):
                found = f"never right for {bad}"
    return found


WRONG_PLACES = "the right numbers in the wrong places"


def _where(exercise: Exercise, name: str, trials: Sequence[Trial]) -> str:
    """Return what the wrong numbers have in common, or an empty string."""
    pairs = [(t.came[name], t.right[name]) for t in trials if t.came and name in t.right]
    if all(agree(np.sort(came, None), np.sort(right, None), 1e-5) for came, right in pairs):
        return WRONG_PLACES
    if all(agree(came, right, 5e-3) for came, right in pairs):
        return "nearly right: too few digits (float16, or a rounded number?), or a small term extra"
    wrong = np.concatenate([~_close(*pair, exercise.tolerance).ravel() for pair in pairs])
    came, right = (
        np.concatenate([each.ravel() for each in side]) for side in zip(*pairs, strict=True)
    )
    if wrong.all() or len(wrong) == len(pairs):
        return ""
    if not np.any(right[wrong]):
        return "right but for places where 0 is expected"
    if not np.any(came[wrong]):
        return "right but for places where it is 0: were they never written to?"
    return ""


def _example(exercise: Exercise, name: str, trials: Sequence[Trial]) -> str:
    """Return one wrong number, NaN if there is any, and what it should be."""
    wrong = [
        (trial.arguments, trial.came[name], trial.right[name])
        for trial in trials
        if trial.came is not None
        and name in trial.right
        and not agree(trial.came[name], trial.right[name], exercise.tolerance)
    ]
    if not wrong:
        return ""
    with_nan = (each for each in wrong if _has_new_nan(*each[1:]))
    arguments, came, right = next(with_nan, wrong[0])
    case = f"for {case_text(arguments)}"
    if came.shape != right.shape:
        return case
    with np.errstate(invalid="ignore"):
        gap = np.nan_to_num(np.abs(came - right), nan=np.inf, posinf=np.inf)
    place = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    index = f"[{', '.join(map(str, place))}]" if place else ""
    return f"{name}{index} is {came[place]:.6g}, expected {right[place]:.6g}, {case}"


def case_text(arguments: Arguments) -> str:
    """Return the arguments of a case in a line: shapes of arrays, values of the rest."""
    words = []
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            words.append(f"{name} {value.shape}")
        elif isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
            words.append(f"{name} of shapes {', '.join(str(np.shape(v)) for v in value)}")
        elif isinstance(value, dict) and any(isinstance(v, np.ndarray) for v in value.values()):
            words.append(f"{len(value)} {name}")
        elif isinstance(value, str | int | float | tuple | list | dict):
            words.append(f"{name} {value}")
        elif hasattr(value, "__name__"):
            words.append(value.__name__)
    return ", ".join(words)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
