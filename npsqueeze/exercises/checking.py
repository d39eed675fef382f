"""The check of one function: run it on every case, compare, and explain."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import npsqueeze
from npsqueeze.errors import GradientError
from npsqueeze.exercises.diagnosis import (
    Trial,
    agree,
    case_text,
    explain,
    is_right,
    known_mistakes,
    trait_of,
    wrong_results,
)
from npsqueeze.exercises.exercise import Arguments, Exercise, Results, Trouble, describe
from npsqueeze.exercises.running import Endless, check_signature, run
from npsqueeze.gradient_check import gradcheck_directional


class Verdict(NamedTuple):
    """Whether the function is right, and what there is to say about it."""

    passed: bool
    message: str


def judge(exercise: Exercise, function: Any, seconds: float = 10.0) -> Verdict:
    """Return the verdict on a reader's function, whatever it does."""
    try:
        check_signature(exercise, function)
        for precaution in exercise.precautions:
            precaution(function, seconds)
    except Trouble as trouble:
        return Verdict(False, f"{exercise.name}: {trouble}")
    trials = _try_all(exercise, function, exercise.cases, exercise.right, seconds)
    failed = [trial for trial in trials if trial.trouble]
    wrong = wrong_results(exercise, trials)
    if failed and (not wrong or failed[0] is trials[0]):
        lines = [f"{exercise.name}: {_trouble(exercise, trials)}"]
        # what came of the other cases may show why
        lines += [f"  {sentence}" for sentence in known_mistakes(exercise, trials)[0]]
        return Verdict(False, "\n".join(lines))
    if wrong:
        message = _wrong(exercise, trials, wrong)
        if not failed and _remembers(exercise, function, trials[0], seconds):
            message += (
                "\n  and called again with the same arguments it returns something else: does an "
                "array, a list or a random number outlive the call, or is memory of np.empty read?"
            )
        return Verdict(False, message)
    try:
        agreement = _check_gradient(exercise, trials[0])
    except GradientError as error:
        return Verdict(False, f"{exercise.name}: finite differences disagree: {error}")
    try:
        said = [demand(function, seconds) for demand in exercise.demands]
    except Trouble as trouble:
        return Verdict(False, f"{exercise.name}: {trouble}")
    remarks = "".join(f"; {text}" for text in said if text)
    message = (
        f"{exercise.name}: right, in all {len(trials)} cases{agreement}{remarks}. Compare with the "
        f"library's own: {source(exercise)}"
    )
    answers = exercise.answers(exercise.beyond)
    further = _try_all(exercise, function, exercise.beyond, answers, seconds)
    lines = [
        message,
        *(f"  One thing more: {each}" for each in explain(exercise, [*trials, *further])),
    ]
    return Verdict(True, "\n".join(lines))


def source(exercise: Exercise) -> str:
    """Return where the library's own solution stands, as file:line."""
    solution = inspect.unwrap(exercise.solution)
    file = Path(inspect.getsourcefile(solution) or "").resolve()
    folder = Path(npsqueeze.__file__).resolve().parent.parent
    line = inspect.getsourcelines(solution)[1]
    return f"{file.relative_to(folder).as_posix()}:{line}"


def _try_all(
    exercise: Exercise,
    function: Callable[..., Any],
    cases: Sequence[Arguments],
    answers: Sequence[Results],
    seconds: float,
) -> list[Trial]:
    trials = []
    for arguments, right in zip(cases, answers, strict=True):
        came: Results | None = None
        text, endless = "", False
        try:
            came = _results(exercise, function, arguments, seconds)
        except Trouble as trouble:
            text, endless = str(trouble), isinstance(trouble, Endless)
        trials.append(Trial(arguments, right, came, text))
        if endless:  # once is long enough
            break
    return trials


def _results(
    exercise: Exercise, function: Callable[..., Any], arguments: Arguments, seconds: float
) -> Results:
    """Return what the function returns, by name.

    Raises
    ------
    Trouble
        If it does not return, or if what it returns cannot be read.
    """
    returned = run(exercise, function, arguments, seconds)
    try:
        return exercise.read(returned, arguments)
    except Trouble:
        raise
    except Exception as error:  # an object may do anything when it is looked at
        raise Trouble(
            f"it returned a {describe(returned)} that cannot be read: {type(error).__name__}"
        ) from None


def _remembers(
    exercise: Exercise, function: Callable[..., Any], trial: Trial, seconds: float
) -> bool:
    """Tell whether the function returns something else when it is called like this again."""
    try:
        again = _results(exercise, function, trial.arguments, seconds)
    except Trouble:
        return True
    return not all(
        came.shape != trial.right[name].shape or agree(again[name], came, exercise.tolerance)
        for name, came in (trial.came or {}).items()
    )


def _trouble(exercise: Exercise, trials: Sequence[Trial]) -> str:
    """Return what the first trouble was, for which cases, and what was right nevertheless."""
    first = next(trial for trial in trials if trial.trouble)
    right = [trial for trial in trials if is_right(exercise, trial, trial.right)]
    others = [trial for trial in trials if not is_right(exercise, trial, trial.right)]
    divided = trait_of(exercise, [t.arguments for t in right], [t.arguments for t in others])
    text = f"{first.trouble} (for {case_text(first.arguments)})"
    return f"{divided}: {text}" if divided else text


def _wrong(exercise: Exercise, trials: Sequence[Trial], wrong: Sequence[str]) -> str:
    """Return the message about wrong results."""
    names = dict.fromkeys(name for trial in trials for name in trial.right)
    right = [name for name in names if name not in wrong]
    lines = [f"{exercise.name}: not yet right."]
    if right:
        lines.append(f"  right already: {', '.join(right)}")
    lines += [f"  {sentence}" for sentence in explain(exercise, trials)]
    if any(trial.trouble for trial in trials):
        lines.append(f"  and {_trouble(exercise, trials)}")
    return "\n".join(lines)


def _check_gradient(exercise: Exercise, trial: Trial) -> str:
    """Compare the results of a case with finite differences, and return how well they agree.

    Raises
    ------
    GradientError
        If they do not.
    """
    if exercise.function is None or trial.came is None:
        return ""
    function, arrays = exercise.function(trial.arguments)
    claims = [np.asarray(claim, np.float64) for claim in trial.came.values()]
    report = gradcheck_directional(function, claims, arrays, directions=3, tolerance=1e-4)
    return f"; finite differences agree to {report.worst_error:.0e}"
