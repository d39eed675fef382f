"""Which exercises are solved: one small file in the user's data folder."""

import json
import os
from contextlib import suppress
from datetime import date
from pathlib import Path

from npsqueeze.files import atomic_write


def progress_file() -> Path:
    """Return where it is kept: `npsqueeze/exercises.json` in the user's data folder."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "npsqueeze" / "exercises.json"


def solved() -> dict[str, str]:
    """Return the day on which each solved exercise was solved, by name; empty if none was."""
    try:
        days = json.loads(progress_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a user without a home
        return {}
    return {str(name): str(day) for name, day in days.items()} if isinstance(days, dict) else {}


def record(name: str) -> None:
    """Remember that an exercise is solved, from its first time on, where a file can be written."""
    days = solved()
    if name not in days:
        days[name] = date.today().isoformat()
        with suppress(OSError, RuntimeError):
            path = progress_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(json.dumps(days, indent=1).encode())
