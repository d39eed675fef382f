"""The results as tables, and as JSON."""

from collections.abc import Sequence
from typing import Any

from npsqueeze.benchmark.contenders import OURS
from npsqueeze.benchmark.results import Result, Roof
from npsqueeze.benchmark.works import Network

EXPLANATION = """\
Times are medians in milliseconds. The rate is npsqueeze's, with its operations counted as those of
direct convolution, and stands beside its share of the peak, the multiply-adds that so many threads
can do at most. The ratio is the best competitor's time over npsqueeze's: above 1, npsqueeze is
faster."""


def table(results: Sequence[Result], roof: Roof | None) -> str:
    """Return one table for each kind of work, and the errors beneath."""
    kinds = list(dict.fromkeys(result.work.kind for result in results))
    parts = []
    for kind in kinds:
        of_kind = [result for result in results if result.work.kind == kind]
        parts.append(_size_table(of_kind) if kind == "size" else _kind_table(kind, of_kind, roof))
    if roof is not None:
        parts.append(
            f"peak: {roof.one_core:.1f} GFLOP/s by one thread, {roof.all_threads:.1f} by all; "
            f"memory: {roof.memory:.1f} GB/s"
        )
    return "\n\n".join([*parts, *errors(results), EXPLANATION])


def errors(results: Sequence[Result]) -> list[str]:
    """Return a line for each contender that has failed at a work."""
    return [
        f"{outcome.contender}, {result.work.name}: {outcome.error}"
        for result in results
        for outcome in result.outcomes
        if outcome.error
    ]


def document(
    results: Sequence[Result],
    roof: Roof | None,
    machine: dict[str, Any],
    settings: dict[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return everything as what JSON can hold."""
    return {
        "machine": machine,
        "settings": settings,
        "notes": list(notes),
        "peak": None
        if roof is None
        else {
            "one_core_gflops": roof.one_core,
            "all_threads_gflops": roof.all_threads,
            "memory_gigabytes_per_second": roof.memory,
        },
        "results": [_entry(result, roof) for result in results],
    }


def _entry(result: Result, roof: Roof | None) -> dict[str, Any]:
    work = result.work
    return {
        "kind": work.kind,
        "work": work.name,
        "flops": work.flops,
        "bytes": work.bytes,
        "gflops": result.gflops,
        "fraction_of_peak": _fraction(result, roof),
        "best_competitor": result.best and result.best.contender,
        "ratio": result.ratio,
        "contenders": {
            outcome.contender: {
                "seconds": outcome.seconds,
                "gflops": result.rate_of(outcome),
                "ratio": result.ratio_to(outcome),
                "peak_mib": outcome.memory and outcome.memory / 2**20,
                "error": outcome.error or None,
            }
            for outcome in result.outcomes
        },
    }


def _kind_table(kind: str, results: Sequence[Result], roof: Roof | None) -> str:
    """Return a line for each work, with a column for each contender."""
    names = _contenders(results)
    has_rivals = any(not name.startswith(OURS) for name in names)
    head = [kind, *names, "GFLOP/s", "of peak", *(["ratio", "to"] if has_rivals else [])]
    rows = [head]
    for result in results:
        milliseconds = {
            outcome.contender: "failed"
            if outcome.seconds is None
            else f"{1e3 * outcome.seconds:.3g}"
            for outcome in result.outcomes
        }
        row = [result.work.name, *(milliseconds.get(name, "") for name in names)]
        fraction = _fraction(result, roof)
        row += [_number(result.gflops, ".1f"), _number(fraction and 100 * fraction, ".0f", " %")]
        if has_rivals:
            row += [_number(result.ratio, ".2f"), result.best.contender if result.best else ""]
        rows.append(row)
        memory = {outcome.contender: outcome.memory for outcome in result.outcomes}
        if kind == "step" and any(memory.values()):
            cells = [_number((memory.get(name) or 0) / 2**20 or None, ".0f") for name in names]
            rows.append(["  peak MiB", *cells, *[""] * (len(row) - 1 - len(names))])
    return _align(rows)


def _size_table(results: Sequence[Result]) -> str:
    """Return what a picture costs in batches, and of pixels, of several sizes."""
    rows = [["size", "ms a picture", "GFLOP/s", "peak MiB"]]
    for result in results:
        cost = picture_cost(result)
        memory = result.ours.memory
        rows.append(
            [
                result.work.name,
                _number(cost and 1e3 * cost, ".3f"),
                _number(result.gflops, ".1f"),
                _number(memory and memory / 2**20, ".0f"),
            ]
        )
    return _align(rows)


def picture_cost(result: Result) -> float | None:
    """Return the seconds that one picture of a network's batch takes."""
    seconds, work = result.ours.seconds, result.work
    return seconds / work.shape[0] if seconds and isinstance(work, Network) else None


def _contenders(results: Sequence[Result]) -> list[str]:
    outcomes = (outcome for result in results for outcome in result.outcomes)
    return list(dict.fromkeys(outcome.contender for outcome in outcomes))


def _fraction(result: Result, roof: Roof | None) -> float | None:
    return None if roof is None or not result.gflops else result.gflops / roof.all_threads


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _align(rows: Sequence[Sequence[str]]) -> str:
    """Return the cells in columns: text to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if heading in (rows[0][0], "to") else cell.rjust(width)
            for cell, width, heading in zip(row, widths, rows[0], strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
