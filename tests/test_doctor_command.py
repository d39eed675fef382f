"""`npsqueeze doctor`: what it prints and draws, its exit status, its mistakes."""

import re

import pytest

from npsqueeze.cli import main
from tests import tiny
from tests.tiny import EMBEDDED

one_thread = tiny.one_thread

QUICK = ["doctor", "--data", str(EMBEDDED), "--subset", "300", "--width", "0.125", "--threads", "1"]


def test_a_healthy_training(capsys, tmp_path):
    folder = tmp_path / "pictures"
    assert main([*QUICK, "--out", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("300 training and 1,000 test pictures")
    assert all(re.match(r"(ok|warning) +[\w/ ]+: ", line) for line in lines[2:-1])
    assert len(lines[2:-1]) == 19
    assert lines[-1] == f"{folder}/: pictures.png, scales.png, learning_rate.png"
    assert {path.name for path in folder.iterdir()} == set(lines[-1].split(": ")[1].split(", "))


def test_what_is_wrong_comes_first(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "--mean", "0", "--std", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("WRONG    input statistics: pixels not normalised: mean 0.4")
    assert lines[-1] == "runs/doctor/: pictures.png, scales.png"
    assert (tmp_path / "runs" / "doctor" / "pictures.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lr", "-1"], "lr: expected"),
        (["--subset", "7"], "--subset: n: expected a multiple of 10"),
        (["--data", "nowhere"], "nowhere: expected a folder"),
        (["--bypass", "simple", "--width", "0"], "width: expected"),
        (["--out", str(EMBEDDED / "test_batch.bin")], "expected a folder that can be written"),
    ],
)
def test_mistakes(capsys, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
