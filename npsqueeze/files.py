"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from npsqueeze.errors import CheckpointError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the name `path` only once it is complete and on the disk.

    On an exception the new file is removed, and an old one of that name stays as it was.
    """
    path = Path(path)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    # The rename itself lasts through a power cut once the folder is on the disk, too; Windows
    # does not open folders.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that belongs to a network or its training.

    Raises
    ------
    CheckpointError
        If it cannot be written; what was there before is whole.
    """
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process has left of its `atomic_write`s in a folder of one's own."""
    for unfinished in folder.glob(f".*.{'[0-9a-f]' * 8}.part"):
        unfinished.unlink(missing_ok=True)


def in_checkout(name: str) -> Path | None:
    """Return a file of the checkout around the current folder; None if there is no such file."""
    here = Path.cwd()
    files = (folder / name for folder in (here, *here.parents))
    return next((file for file in files if file.is_file()), None)
