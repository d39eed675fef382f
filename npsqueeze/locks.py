"""A lock on a folder, which dies with the process that holds it.

It is the operating system's lock on the open file that counts, not that there is a file: however
a process ends, `kill -9` included, its files are closed and the lock is gone. Nothing can be left
behind that a later start would have to judge.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LOCK_NAME = ".lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:  # Windows says "permission denied" of a lock that is taken
            raise BlockingIOError(*error.args) from error

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder alone, by a lock on its file `.lock`, which stays when all is done.

    Two threads of one process exclude each other as two processes do: each opens the file itself.

    Raises
    ------
    BlockingIOError
        If another one holds it, at once.
    OSError
        If the file cannot be opened for writing, or the file system knows no locks.
    """
    with (folder / LOCK_NAME).open("ab") as file:
        _lock(file)
        yield
