"""Centred differences that know about kinks: the method of all gradient checks.

A backward pass claims to know a derivative; a difference quotient of the forward pass must agree.
With a random cotangent dy, the function of one number is f(t) = Σ dy·y(t), where t moves one
element of an input, or all parameters of a network along a random direction.

*The quotient.* (8·[f(h) - f(-h)] - [f(2h) - f(-2h)])/12h is off by h⁴·f⁽⁵⁾/30, and by rounding of
about 1e-16/h: some 1e-13 each at h = 1e-3, where the usual [f(h) - f(-h)]/2h gets to 1e-10 at best.
The outputs are subtracted before they are summed, so that those that stay the same cancel exactly.

*The kink.* ReLU at 0 and max pooling at a tie have two slopes; a quotient across them gives
neither. A point that disagrees is tried again with smaller steps, which leave out a kink nearby. If
the smallest disagrees too, the third and fourth differences of the same five outputs decide. Where
y is smooth they are 2h³y‴ and h⁴y⁗, next to nothing, but a kink within ±2h shows in at least one of
them, and half the larger one, over h, bounds what it does to the quotient. A gap within that bound
at every step excludes the point from the check, and is counted; any other is a mistake.
(Which of its two slopes a kink should get, no quotient can tell: compare with a reference.)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.errors import GradientError

LARGEST_SHARE_OF_KINKS = 0.2
"""A check that must exclude more of its points proves too little to pass."""


class Point(NamedTuple):
    """A number t to differentiate by, at t = 0: the outputs as a function of it, and the claim."""

    at: tuple[int, ...]
    outputs: Callable[[float], Array]
    analytic: float
    unit: float = 1.0  # of the steps


@dataclass(frozen=True)
class InputReport:
    """The points of one input: how many, and the worst one that is not at a kink."""

    name: str
    points: int
    kinks: int
    wrong: int
    worst_error: float
    worst_index: tuple[int, ...]
    analytic: float
    numeric: float

    @property
    def ratio(self) -> float:
        """Return analytic/numeric at the worst point."""
        return self.analytic / self.numeric if self.numeric else math.nan


@dataclass(frozen=True)
class Report:
    """The outcome of a check; as a string, a table with a row for each input."""

    inputs: tuple[InputReport, ...]
    tolerance: float

    @property
    def points(self) -> int:
        """Return the number of points, those at kinks included."""
        return sum(each.points for each in self.inputs)

    @property
    def kinks(self) -> int:
        """Return the number of points that were excluded."""
        return sum(each.kinks for each in self.inputs)

    @property
    def worst_error(self) -> float:
        """Return the largest relative error."""
        return max(each.worst_error for each in self.inputs)

    def __str__(self) -> str:
        width = max(len("input"), *(len(each.name) for each in self.inputs))
        rows = [
            f"{each.name:{width}}  {each.points:6}  {each.kinks:5}  {each.worst_error:11.1e}  "
            f"{each.analytic:11.4e}  {each.numeric:11.4e}  {each.worst_index}"
            for each in self.inputs
        ]
        header = f"{'input':{width}}  points  kinks  worst error     analytic      numeric  at"
        return "\n".join([header, *rows])


def compare(
    name: str,
    points: Sequence[Point],
    y: Array,
    dy: Array,
    steps: Sequence[float],
    tolerance: float,
) -> InputReport:
    """Compare what each point claims with its difference quotient.

    The relative error is |a - n| / max(|a|, |n|, 1e-3·max|n|) of the analytic a and the numeric n;
    the denominator is also so large that rounding cannot fail a gradient which is zero.

    Parameters
    ----------
    name : str
        What the points belong to.
    points : sequence of Point
    y, dy : arrays of one shape
        The outputs at t = 0, and their cotangent.
    steps : decreasing numbers
        The h to try, in units of each point.
    tolerance : float
        The relative error at which a point agrees.
    """
    analytic = np.array([point.analytic for point in points])
    numeric, error = np.empty_like(analytic), np.full_like(analytic, np.inf)
    kinks = np.full(len(points), True)
    rounding = 10 * np.finfo(np.float64).eps * np.linalg.norm(dy * y) / steps[0]
    for step in steps:
        for i in map(int, np.flatnonzero(error > tolerance)):
            numeric[i], bound = _difference_quotient(points[i], y, dy, step * points[i].unit)
            kinks[i] &= np.abs(analytic[i] - numeric[i]) <= bound
        largest = np.abs(numeric[np.isfinite(numeric)]).max(initial=0)
        floor = max(1e-3 * largest, rounding / tolerance, np.finfo(np.float64).tiny)
        with np.errstate(invalid="ignore"):
            gap = np.abs(analytic - numeric)
            error = gap / np.maximum(floor, np.maximum(np.abs(analytic), np.abs(numeric)))
        error[np.isnan(error)] = np.inf
    kinks &= error > tolerance
    error[kinks] = 0
    worst = int(error.argmax())
    return InputReport(
        name,
        len(points),
        int(kinks.sum()),
        int((error > tolerance).sum()),
        float(error[worst]),
        points[worst].at,
        float(analytic[worst]),
        float(numeric[worst]),
    )


def _difference_quotient(point: Point, y: Array, dy: Array, h: float) -> tuple[float, float]:
    """Return the derivative of Σ dy·y(t) at t = 0, and the most that a kink adds to it."""
    ahead, behind, far_ahead, far_behind = map(point.outputs, (h, -h, 2 * h, -2 * h))
    with np.errstate(invalid="ignore"):
        near, far = ahead - behind, far_ahead - far_behind
        third = far - 2 * near
        fourth = far_ahead + far_behind - 4 * (ahead + behind) + 6 * y
        bend = np.maximum(np.abs(third), np.abs(fourth))
        return np.sum(dy * (8 * near - far)) / (12 * h), np.sum(np.abs(dy) * bend) / (2 * h)


def judge(report: Report, batch_size: int) -> Report:
    """Return the report, or raise GradientError with a line for each input that fails."""
    failures = []
    for each in report.inputs:
        if each.wrong:
            failures.append(
                f"{each.name}: wrong at {each.wrong} of {each.points} points, worst at "
                f"{each.worst_index}: analytic {each.analytic:.8g}, numeric {each.numeric:.8g}, "
                f"error {each.worst_error:.1e} > {report.tolerance:.0e}, ratio {each.ratio:.4g}"
                f"{_hint(each.ratio, batch_size)}"
            )
        if each.kinks > LARGEST_SHARE_OF_KINKS * each.points:
            failures.append(
                f"{each.name}: {each.kinks} of {each.points} points lie at kinks, more than "
                f"{LARGEST_SHARE_OF_KINKS:.0%}: choose other values"
            )
    if failures:
        error = GradientError("\n".join(failures))
        error.report = report
        raise error
    return report


def _hint(ratio: float, batch_size: int) -> str:
    """Return what a telling ratio of analytic to numeric usually means."""
    usual = {
        "a term is missing": 0,
        "the sign is wrong": -1,
        "a term is counted twice": 2,
        "one of two equal terms is missing": 0.5,
        f"N = {batch_size}, a sum over the batch where the forward pass has a mean": batch_size,
        f"1/N, N = {batch_size}, a mean where the forward pass has a sum": 1 / batch_size,
    }
    meanings = [text for text, value in usual.items() if value != 1 and abs(ratio - value) < 0.01]
    return f" ({'; or '.join(meanings)}?)" if meanings else ""
