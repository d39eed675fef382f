"""The command `npsqueeze bench`: measures, tells its progress, reports."""

import sys
from collections.abc import Iterator, Sequence
from json import dumps
from pathlib import Path

from npsqueeze.benchmark import machine, report
from npsqueeze.benchmark.contenders import Contender, installed
from npsqueeze.benchmark.processes import Processes
from npsqueeze.benchmark.results import PEAK_MEMORY_KINDS, Result, Roof
from npsqueeze.benchmark.roofline import draw
from npsqueeze.benchmark.works import KINDS, Work, peaks, works_of

IDLE = 0.5  # load that needs no warning
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "size")


def bench(
    works: Sequence[str] = (),
    threads: int | None = None,
    batch_size: int = 128,
    rounds: int = 5,
    json: bool = False,
    plot: str | None = None,
) -> int:
    """Measure the named kinds of work; return 1 if npsqueeze itself failed at one.

    Raises
    ------
    ValueError
        If an argument is out of its range; the message names the flag.
    """
    threads = machine.cores() if threads is None else threads
    _check(works, threads, batch_size, rounds, plot)
    contenders, notes = installed()
    if (load := machine.load()) > IDLE:
        notes.append(f"something else was running (load {load:.1f}): the figures may be far off")
    for note in notes:
        _tell(note)
    results = list(
        measure(chosen(works or DEFAULT_KINDS, threads, batch_size), contenders, threads, rounds)
    )
    roof = Roof.of(results, threads)
    if plot is not None:
        draw(results, roof, plot)
        _tell(f"drawn in {plot}")
    if json:
        settings = {"threads": threads, "batch_size": batch_size, "rounds": rounds}
        print(dumps(report.document(results, roof, machine.facts(), settings, notes), indent=2))
    else:
        facts = machine.facts()
        print(f"{facts['cpu']}, {threads} of {facts['cores']} cores\n")
        print(report.table(results, roof))
        print(*notes, sep="\n", end="\n" if notes else "")
    return int(any(result.ours.error for result in results))


def chosen(kinds: Sequence[str], threads: int, batch_size: int) -> list[Work]:
    """Return the works of these kinds; the peaks always, as all else is measured by them."""
    others = [kind for kind in KINDS if kind in kinds and kind != "peak"]
    return [*peaks(threads), *(work for kind in others for work in works_of(kind, batch_size))]


def measure(
    works: Sequence[Work], contenders: Sequence[Contender], threads: int, rounds: int
) -> Iterator[Result]:
    """Measure one work after another, telling of each.

    A work whose peak memory counts gets fresh processes, which have held nothing else.
    """
    shared = [work for work in works if work.kind not in PEAK_MEMORY_KINDS]
    alone = [work for work in works if work.kind in PEAK_MEMORY_KINDS]
    for group in [shared, *([work] for work in alone)]:
        kinds = {work.kind for work in group}
        able = [contender for contender in contenders if kinds & set(contender.kinds)]
        with Processes(able if group else [], threads) as processes:
            for work in group:
                result = Result(work, processes.measure(work, rounds))
                _tell(_line(result))
                yield result


def _line(result: Result) -> str:
    """Return what there is to tell of a work as soon as it is measured."""
    times = [
        f"{outcome.contender} failed ({outcome.error})"
        if outcome.seconds is None
        else f"{outcome.contender} {1e3 * outcome.seconds:.3g} ms"
        for outcome in result.outcomes
    ]
    return f"{result.work.kind}: {result.work.name}: {', '.join(times)}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _check(
    kinds: Sequence[str], threads: int, batch_size: int, rounds: int, plot: str | None
) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"WORK: expected some of {', '.join(KINDS)}, got {kind!r}")
    if not 1 <= threads <= machine.cores():
        raise ValueError(f"--threads: expected 1 to {machine.cores()} threads, got {threads}")
    for flag, value in (("--batch-size", batch_size), ("--rounds", rounds)):
        if value < 1:
            raise ValueError(f"{flag}: expected at least 1, got {value}")
    if plot is not None:  # known to be wrong before the measurements, not after them
        path = Path(plot)
        if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
            raise ValueError(f"--plot: expected a .png file in a folder that exists, got {plot!r}")
