"""Files appear whole or not at all, and what a killed writer has left is removed."""

import subprocess
import sys

from npsqueeze.files import atomic_write, remove_unfinished

KILLED = """
import os, pathlib, signal, sys
from npsqueeze.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_atomic_write_shows_nothing_before_the_end(tmp_path):
    with atomic_write(tmp_path / "a.txt") as file:
        file.write(b"abc")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_bytes() == b"abc"


def test_what_a_killed_writer_has_left_is_removed_and_nothing_else(tmp_path):
    others = [".a.txt.part", ".a.txt.1234567.part", "a.txt.12345678.part", ".a.txt.1234567g.part"]
    for name in ("a.txt", *others):
        (tmp_path / name).write_text("mine")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], check=False)
    assert (tmp_path / "a.txt").read_text() == "mine"
    (unfinished,) = {path.name for path in tmp_path.iterdir()} - {"a.txt", *others}
    assert (tmp_path / unfinished).read_text() == "half"

    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.txt", *others])
