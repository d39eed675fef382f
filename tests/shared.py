"""Real weights and photographs, which lie beside the project and are no part of it."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("NPSQUEEZE_SHARED", Path(__file__).parents[2] / "shared"))


def shared(name: str) -> Path:
    """Return the path of a shared file; skip the test where there is none."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not in ../shared, nor where NPSQUEEZE_SHARED points")
    return path
