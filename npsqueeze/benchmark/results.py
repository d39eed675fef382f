"""What was measured, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from npsqueeze.benchmark.contenders import OURS
from npsqueeze.benchmark.works import Peak, Stream, Work

PEAK_MEMORY_KINDS = ("step", "size")  # measured in a fresh process for each work


@dataclass(frozen=True)
class Outcome:
    """What a contender's process reports: the median time, and its peak memory in bytes.

    Without a time there is an error in words.
    """

    contender: str
    seconds: float | None = None
    memory: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Result:
    """One work by every contender that can do it; ours is the first."""

    work: Work
    outcomes: tuple[Outcome, ...]

    @property
    def ours(self) -> Outcome:
        """That of npsqueeze by its fast road."""
        ours = (outcome for outcome in self.outcomes if outcome.contender == OURS)
        return next(ours, Outcome(OURS))

    @property
    def best(self) -> Outcome | None:
        """That of the fastest competitor."""
        others = [
            outcome
            for outcome in self.outcomes
            if outcome.seconds and not outcome.contender.startswith(OURS)
        ]
        return min(others, key=lambda outcome: outcome.seconds or 0, default=None)

    @property
    def ratio(self) -> float | None:
        """The time of the best competitor over ours: above 1, we are faster."""
        return None if self.best is None else self.ratio_to(self.best)

    def ratio_to(self, other: Outcome) -> float | None:
        """Return the time of `other` over ours."""
        ours = self.ours.seconds
        return other.seconds / ours if ours and other.seconds else None

    @property
    def gflops(self) -> float | None:
        """Our rate, in 10⁹ operations a second."""
        return self.rate_of(self.ours)

    def rate_of(self, outcome: Outcome) -> float | None:
        """Return the rate of an outcome, in 10⁹ operations a second."""
        return self.work.flops / outcome.seconds / 1e9 if outcome.seconds else None


@dataclass(frozen=True)
class Roof:
    """What the machine can do: 10⁹ operations, and 10⁹ bytes, a second."""

    one_core: float
    all_threads: float
    memory: float

    @staticmethod
    def of(results: Sequence[Result], threads: int) -> "Roof | None":
        """Return the roof that the works of kind "peak" found; None if one of them failed."""
        found = [(result.work, result.ours.seconds) for result in results]
        rates: dict[int, float] = {}
        memory = 0.0
        for work, seconds in found:
            if seconds and isinstance(work, Peak):
                rate = work.flops / seconds / 1e9
                rates[work.threads] = max(rate, rates.get(work.threads, 0))
            elif seconds and isinstance(work, Stream):
                memory = work.bytes / seconds / 1e9
        if not memory or not {1, threads} <= rates.keys():
            return None
        return Roof(rates[1], rates[threads], memory)

    def under(self, intensity: float) -> float:
        """Return the highest rate of a work with so many operations for each byte."""
        return min(self.all_threads, self.memory * intensity)
