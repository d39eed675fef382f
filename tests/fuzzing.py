"""Damage files in every way that comes to mind, and hold what reads them to its errors.

The test suite tries a few hundred damages of each kind; NPSQUEEZE_FUZZ=10000 tries so many.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

COUNT = int(os.environ.get("NPSQUEEZE_FUZZ", "200"))
SECONDS = 20  # no single file may take longer, even on a busy machine
EXTREMES = [
    value.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
    for value in (0, 1, 50_000 % 2 ** (8 * size), 2 ** (8 * size - 1) - 1, 2 ** (8 * size) - 1)
]


def damaged(contents: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` damaged versions of `contents`."""
    draw = np.random.default_rng(seed)
    ways = (_flip, _cut, _insert, _splice, _overwrite, _overwrite_early)
    for _ in range(count):
        content = contents[draw.integers(len(contents))]
        for _ in range(draw.integers(1, 4)):
            content = ways[draw.integers(len(ways))](content, contents, draw)
        yield content


def hold(read: Callable[[Path], Any], path: Path, contents: list[bytes], *errors: type) -> int:
    """Let `read` have its try at damaged files; return how many of them it read.

    Anything but success and one of the `errors`, with a message of one line, is raised.
    """
    read_anyway = 0
    for content in damaged(contents, COUNT, seed=COUNT):
        path.write_bytes(content)
        started = time.monotonic()
        try:
            read(path)
            read_anyway += 1
        except errors as error:
            assert str(error).startswith(f"{path}: ")
        assert time.monotonic() - started < SECONDS
    return read_anyway


def _flip(content: bytes, _: list[bytes], draw: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in draw.integers(0, max(len(content), 1), draw.integers(1, 9)):
        if content:
            changed[place] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def _cut(content: bytes, _: list[bytes], draw: np.random.Generator) -> bytes:
    start, end = sorted(draw.integers(0, len(content) + 1, 2).tolist())
    return content[:start] + content[end:] if draw.random() < 0.5 else content[:end]


def _insert(content: bytes, _: list[bytes], draw: np.random.Generator) -> bytes:
    place = int(draw.integers(len(content) + 1))
    return content[:place] + draw.bytes(int(draw.integers(1, 20))) + content[place:]


def _splice(content: bytes, contents: list[bytes], draw: np.random.Generator) -> bytes:
    other = contents[draw.integers(len(contents))]
    here, there = int(draw.integers(len(content) + 1)), int(draw.integers(len(other) + 1))
    return content[:here] + other[there:]


def _overwrite(content: bytes, _: list[bytes], draw: np.random.Generator) -> bytes:
    place = int(draw.integers(len(content) + 1))
    value = EXTREMES[draw.integers(len(EXTREMES))]
    return content[:place] + value + content[place + len(value) :]


def _overwrite_early(content: bytes, _: list[bytes], draw: np.random.Generator) -> bytes:
    place = int(draw.integers(min(len(content), 200) + 1))
    value = EXTREMES[draw.integers(len(EXTREMES))]
    return content[:place] + value + content[place + len(value) :]
