"""A run's folder: what is in it, that nothing is ever half written, and what it refuses."""

import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npsqueeze as nps
from npsqueeze.checkpoint import load_checkpoint, save_checkpoint
from npsqueeze.errors import CheckpointError
from npsqueeze.runs import Run
from tests import tiny
from tests.tiny import digest, embedded_pictures, tiny_network

one_thread = tiny.one_thread

SAVED = [".lock", "best.npz", "config.json", "last.npz", "metrics.csv"]
FILES = [
    ".lock", "best.npz", "config.json", "confusion.png", "curves.png", "filters.png", "last.npz",
    "metrics.csv", "mistakes.png",
]  # fmt: skip
PICTURES, TEST_PICTURES = embedded_pictures(40), embedded_pictures(20)
EPOCHS = 4


def network(**options):
    return tiny_network(batch_norm=True, bypass="simple", width=0.125, **options)


def train(folder, model=None, **options):
    options = {
        "epochs": EPOCHS,
        "batch_size": 10,
        "lr": 0.05,
        "report": lambda line: None,
    } | options
    return nps.train(model or network(), PICTURES, TEST_PICTURES, run=folder, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder, the trained model and the history of a run that reached its end."""
    folder = tmp_path_factory.mktemp("runs") / "deep" / "run"
    model = network()
    return folder, model, train(folder, model)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a small run's folder; nothing is drawn, which takes longer than the training."""
    monkeypatch.setattr(Run, "draw", lambda *_: None)
    train(tmp_path / "run", epochs=1)
    return tmp_path / "run"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_files(finished):
    folder, *_ = finished
    assert names(folder) == FILES  # and so no .part
    for name in FILES:
        if name.endswith("png"):
            with Image.open(folder / name) as picture:
                picture.load()
                assert min(picture.size) > 100


def test_the_configuration(finished):
    folder, model, _ = finished
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == json.loads(json.dumps(model.config))
    assert (config["settings"]["lr"], config["settings"]["epochs"]) == (0.05, EPOCHS)
    assert config["classes"] == list(PICTURES.classes)
    assert config["image_size"] == 16
    assert len(config["train_set"]) == len(config["test_set"]) == 64
    assert config["train_set"] != config["test_set"]


def test_the_metrics(finished):
    folder, _, history = finished
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert rows == history.rows


def test_last_and_best(finished):
    folder, model, history = finished
    arrays, metadata = load_checkpoint(folder / "last.npz")
    assert metadata["progress"]["step"] == 4 * EPOCHS
    assert metadata["progress"]["rows"] == history.rows
    assert {name.split(".")[0] for name in arrays} == {"model", "optimizer"}
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(arrays[f"model.{name}"], array, strict=True)

    best, metadata = nps.load_model(folder / "best.npz")
    accuracies = [row["test_accuracy"] for row in history.rows]
    assert accuracies[metadata["epoch"] - 1] == max(accuracies)
    assert nps.evaluate(best, TEST_PICTURES).accuracy == max(accuracies)


def test_a_model_from_a_checkpoint(finished):
    folder, model, _ = finished
    loaded, metadata = nps.load_model(str(folder / "last.npz"))
    assert digest(loaded) == digest(model)
    assert loaded.config == model.config
    assert not any(module.training for module in loaded.modules())
    assert metadata["image_size"] == 16
    assert metadata["settings"]["mean"] == [0.4914, 0.4822, 0.4465]


def test_the_best_stays_when_it_gets_worse(tmp_path):
    folder = Run(tmp_path, network(), {}, PICTURES, TEST_PICTURES)
    for accuracies, kept in (([0.3], 1), ([0.3, 0.2], 1), ([0.3, 0.2, 0.3], 3)):
        rows = [{"epoch": i + 1, "test_accuracy": a} for i, a in enumerate(accuracies)]
        folder.save({"model.a": np.ones(1)}, {"rows": rows, "seen": 0})
        assert load_checkpoint(tmp_path / "best.npz")[1]["epoch"] == kept
    folder.save({"model.a": np.ones(1)}, {"rows": rows[:1], "seen": 10})  # in mid-epoch
    assert load_checkpoint(tmp_path / "best.npz")[1]["epoch"] == 3


def test_a_folder_with_a_run_is_not_overwritten(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(CheckpointError, match="holds a training already; resume it, or"):
        train(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_cannot_be(tmp_path, place):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(CheckpointError, match="expected a folder that can be written") as caught:
        train(tmp_path / place)
    assert str(caught.value).startswith(str(tmp_path / place))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match=r"expected a folder .* \(Permission denied\)"):
        train(tmp_path / "run")
    tmp_path.chmod(0o700)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(CheckpointError, match=r"run: expected a folder .*\(No such file"):
        train(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_checkpoint_cut_off(run, share):
    for name in ("last.npz", "best.npz"):
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"last.npz: damaged, or no .npz file"):
        train(run, epochs=1, resume=True)
    with pytest.raises(CheckpointError, match=r"best.npz: damaged, or no .npz file"):
        nps.load_model(run / "best.npz")


def test_a_checkpoint_of_another_architecture(run):
    other = network(squeeze_ratio=0.25)
    arrays, metadata = load_checkpoint(run / "best.npz")
    weights = {f"model.{name}": array for name, array in other.state_dict().items()}
    save_checkpoint(run / "best.npz", weights, metadata)
    with pytest.raises(CheckpointError, match=r"best.npz: holds no network .*: expected shape"):
        nps.load_model(run / "best.npz")
    save_checkpoint(run / "last.npz", arrays, metadata | {"model": other.config})
    with pytest.raises(CheckpointError, match=r"model, squeeze_ratio: expected 0.125, got 0.25"):
        train(run, epochs=1, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "NoneType"),
        ({"model": {"version": "cifar"}}, "num_classes: expected"),
        ({"model": {"version": "cifar", "num_classes": 10}}, "missing: features.0.bias"),
        ({"model": network().config | {"width": 1e6}}, "expected shape"),  # would fill the memory
        ({"model": network().config | {"depth": 8}}, "depth"),
        ({"model": network().config | {"width": -1.0}}, "width: expected"),
        ({"model": network().config | {"bypass": "complex"}}, "missing: .*bypass.weight"),
        ({"classes": ["cat"]}, "one name for each class"),
    ],
)
def test_a_checkpoint_that_describes_no_network(run, change, message):
    arrays, metadata = load_checkpoint(run / "best.npz")
    save_checkpoint(run / "best.npz", arrays, metadata | change)
    with pytest.raises(CheckpointError, match=rf"best.npz: holds no network .*{message}") as caught:
        nps.load_model(run / "best.npz")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_something_else(tmp_path):
    save_checkpoint(tmp_path / "numbers.npz", {"a": np.ones(2)}, {})
    with pytest.raises(CheckpointError, match=r"numbers.npz: holds no network of this package"):
        nps.load_model(tmp_path / "numbers.npz")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("file", ["last.npz", "best.npz", "metrics.csv"])
def test_a_save_that_fails_keeps_the_last_one(tmp_path, monkeypatch, error, file):
    no_epoch_is_worse = {"seed": 1}  # or best.npz would not be saved in the second
    calls, replace = [], Path.replace

    def replace_twice(self, target):
        calls.append(Path(target).name)
        if calls.count(file) == 2:
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_twice)
    expected = CheckpointError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match=rf"{file}: cannot be written|^$"):
        train(tmp_path / "run", **no_epoch_is_worse)
    assert names(tmp_path / "run") == SAVED
    saved = 4 if file == "last.npz" else 8  # last.npz comes first, and the others follow it
    assert load_checkpoint(tmp_path / "run" / "last.npz")[1]["progress"]["step"] == saved

    monkeypatch.undo()  # there is room again: the run goes on from there
    monkeypatch.setattr(Run, "draw", lambda *_: None)
    model, whole = network(), network()
    resumed = train(tmp_path / "run", model, resume=True, **no_epoch_is_worse)
    history = train(None, whole, **no_epoch_is_worse)
    assert digest(model) == digest(whole)
    assert resumed.evaluation.loss == history.evaluation.loss
    best = max(history.rows, key=lambda row: (row["test_accuracy"], row["epoch"]))
    assert load_checkpoint(tmp_path / "run" / "best.npz")[1]["epoch"] == best["epoch"]


def test_the_other_files_follow_the_checkpoint(run, monkeypatch):
    right = {name: (run / name).read_bytes() for name in ("best.npz", "metrics.csv", "config.json")}
    # As after a kill between two files: they are a save ahead or behind, or missing.
    with (run / "metrics.csv").open("a") as file:
        file.write("2,0.1,2,0.1,2,0.1,100\n")
    (run / "best.npz").unlink()
    (run / "config.json").write_text("{}")
    (run / ".last.npz.0123abcd.part").write_text("half")
    train(run, epochs=1, resume=True)
    assert {name: (run / name).read_bytes() for name in right} == right
    assert names(run) == SAVED


BUSY = """
import sys
from tests.test_runs import Path, Run, train
Run.draw = lambda *_: None
def wait(line):
    print(line, flush=True)
    sys.stdin.read()
train(Path(sys.argv[1]), report=wait)
"""


def test_a_second_training_in_the_folder_is_refused(tmp_path):
    command = [sys.executable, "-c", BUSY, str(tmp_path / "run")]
    options = {"cwd": Path(__file__).parents[1], "text": True}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    ) as busy:
        assert busy.stdout.readline().startswith("epoch   1/4")
        before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
        for resume in (False, True):
            with pytest.raises(CheckpointError, match="run: another training is at work there; "):
                train(tmp_path / "run", resume=resume)
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
        busy.communicate("")
    assert busy.returncode == 0
    assert load_checkpoint(tmp_path / "run" / "last.npz")[1]["progress"]["step"] == 4 * EPOCHS


def test_a_second_thread_in_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: None)
    outcomes = []

    def attempt():
        try:
            train(tmp_path / "run", resume=True)
        except CheckpointError as error:
            outcomes.append(str(error))

    def attempt_in_a_thread(line):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    history = train(tmp_path / "run", epochs=1, report=attempt_in_a_thread)
    assert len(history.rows) == 1
    (refusal,) = outcomes
    assert "another training is at work there" in refusal


FULL_DISK = """
import resource, sys
from tests.test_runs import Path, Run, network, train
Run.draw = lambda *_: None
def fill(line):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    train(Path(sys.argv[1]), report=fill)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of file size are POSIX's")
def test_a_disk_that_fills_up_keeps_the_last_save(tmp_path, monkeypatch):
    # The system itself refuses to write beyond the limit, in the middle of the checkpoint.
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "run")],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    message = f"{tmp_path / 'run' / 'last.npz'}: cannot be written: File too large"
    assert (result.stdout, result.stderr) == (f"CheckpointError: {message}\n", "")
    assert (tmp_path / "run" / "last.npz").stat().st_size > 20_000
    assert load_checkpoint(tmp_path / "run" / "last.npz")[1]["progress"]["step"] == 4
    assert names(tmp_path / "run") == [
        ".lock",
        "best.npz",
        "config.json",
        "last.npz",
        "metrics.csv",
    ]

    monkeypatch.setattr(Run, "draw", lambda *_: None)
    model, whole = network(), network()
    train(tmp_path / "run", model, resume=True)
    train(None, whole)
    assert digest(model) == digest(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, data: arrays.pop("model.features.0.weight"), "missing: features.0.weight"),
        (lambda arrays, data: arrays.pop("optimizer.velocity.3"), "'velocity.3' is missing"),
        (lambda arrays, data: data["progress"].pop("rows"), "holds no training .*rows"),
        (lambda arrays, data: data.pop("progress"), "holds no training .*progress"),
        (lambda arrays, data: data["progress"].update(step="4"), "last.npz holds no such training"),
        (lambda arrays, data: data["progress"].update(step=9), "one row of metrics for each of 2"),
        (lambda arrays, data: data["progress"].update(mood="good"), "unexpected keyword.*mood"),
        (lambda arrays, data: data["progress"].update(rows=[3]), "holds no training"),
    ],
)
def test_a_checkpoint_of_no_such_training(run, change, message):
    arrays, metadata = load_checkpoint(run / "last.npz")
    change(arrays, metadata)
    save_checkpoint(run / "last.npz", arrays, metadata)
    before = (run / "last.npz").read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        train(run, epochs=1, resume=True)
    assert str(run) in str(caught.value)
    assert (run / "last.npz").read_bytes() == before


def test_a_disk_too_full_for_pictures_does_not_cost_the_result(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    lines = []
    monkeypatch.setattr(Run, "draw", fail)
    history = train(tmp_path / "run", epochs=1, report=lines.append)
    assert history.evaluation is not None
    assert "no pictures, for they cannot be written ([Errno 28] No space" in lines[-1]


@pytest.mark.parametrize("part", ["settings", "image_size", "classes", "model"])
def test_a_checkpoint_that_lacks_a_part(run, tmp_path, part):
    arrays, metadata = load_checkpoint(run / "best.npz")
    del metadata[part]
    save_checkpoint(tmp_path / "part.npz", arrays, metadata)
    with pytest.raises(CheckpointError, match=rf"part.npz: holds no network .*{part}"):
        nps.load_model(tmp_path / "part.npz")
