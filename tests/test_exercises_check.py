from pathlib import Path

import numpy as np
import pytest

from npsqueeze import cli, exercises
from npsqueeze.exercises import EXERCISES, progress


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the reader's own progress out of this."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def test_check_prints_the_verdict_and_offers_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.check("relu_forward", np.abs) is False
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "relu_forward: not yet right."
    assert last == '  for a hint: exercises.hint("relu_forward")'


def test_check_remembers_what_is_solved(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress.solved() == {}
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0)) is True
    out = capsys.readouterr().out
    assert out.startswith("relu_forward: right, in all 5 cases")
    assert "npsqueeze/functional/relu.py:" in out
    assert "hint" not in out
    exercises.check("softmax", np.exp)
    assert progress.solved().keys() == {"relu_forward"}


def test_the_first_day_counts(data_home: Path) -> None:
    file = data_home / "npsqueeze" / "exercises.json"
    file.parent.mkdir()
    file.write_text('{"relu_forward": "2001-02-03"}')
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert progress.solved() == {"relu_forward": "2001-02-03"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\x00", b'{"a": {}}'])
def test_a_broken_progress_file_does_no_harm(data_home: Path, content: bytes) -> None:
    file = data_home / "npsqueeze" / "exercises.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert "relu_forward" in progress.solved()


def test_a_place_that_cannot_be_written_to_does_no_harm(data_home: Path) -> None:
    (data_home / "npsqueeze").write_text("a file where the folder should be")
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert progress.solved() == {}


def test_an_unknown_name() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of normalize, output_size, .* got 'conv3d'"
    ):
        exercises.check("conv3d", len)
    with pytest.raises(ValueError, match=r"expected one of .*fire_channels, .*got 'conv3d'"):
        exercises.hint("conv3d")


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_come_step_by_step_and_start_again(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercises, "_hints_given", {})
    hints = EXERCISES[name].hints
    rounds = []
    for _ in range(2):
        for _ in range(len(hints) + 1):
            exercises.hint(name)
        rounds.append(capsys.readouterr().out.splitlines())
    assert rounds[0] == rounds[1]
    *steps, place = rounds[0]
    assert steps == [f"hint {i} of {len(hints)}: {hint}" for i, hint in enumerate(hints, 1)]
    assert place.startswith("no more hints; the solution is the library's own: npsqueeze/")


def test_the_command_lists_all_exercises(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercises"]) == 0
    out = capsys.readouterr().out
    assert all(f"· {name}\n" in out for name in EXERCISES)
    assert "✓" not in out
    assert out.endswith(f"0 of {len(EXERCISES)} solved\n")
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    capsys.readouterr()
    assert cli.main(["exercises"]) == 0
    out = capsys.readouterr().out
    (solved,) = [line for line in out.splitlines() if "✓" in line]
    assert "relu_forward" in solved
    assert out.endswith(f"1 of {len(EXERCISES)} solved\n")
