"""Several runs beside each other: their metrics, and labels that say what tells them apart."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npsqueeze.errors import CheckpointError

MOST_DIFFERENCES = 3  # a legend is read at a glance


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run's `metrics.csv`, one an epoch.

    Raises
    ------
    CheckpointError
        If there is none, or it is not what a training writes.
    """
    path = folder / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        numbers = [{key: float(value) for key, value in row.items()} for row in rows]
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise CheckpointError(f"{path}: no metrics of a training ({error})") from error
    if not numbers:
        raise CheckpointError(f"{path}: holds no epoch")
    return numbers


def read_configuration(folder: Path) -> dict[str, Any]:
    """Return the metaparameters and settings in a run's `config.json`, by name.

    Raises
    ------
    CheckpointError
        If there is none, or it is not what a training writes.
    """
    path = folder / "config.json"
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
        return {**configuration["model"], **configuration["settings"]}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: no configuration of a training ({error!r})") from error


def labels(folders: Sequence[Path], configurations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a label for each run: its folder, and the first few values that differ among them."""
    values = list(configurations)
    differing = [
        name
        for name in dict.fromkeys(name for value in values for name in value)
        if any(value.get(name) != values[0].get(name) for value in values)
    ]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    result = []
    for name, value in zip(names, values, strict=True):
        told = [f"{key} {_short(value.get(key))}" for key in differing[:MOST_DIFFERENCES]]
        told += ["…"] if len(differing) > MOST_DIFFERENCES else []
        result.append(f"{name}: {', '.join(told)}" if told else name)
    return result


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
