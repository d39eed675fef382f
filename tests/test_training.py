"""Training: it learns, repeats itself bit for bit, and resumes as if it had never stopped."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.checkpoint import load_checkpoint
from npsqueeze.data import CLASSES, Dataset
from npsqueeze.errors import CheckpointError, TrainingError
from npsqueeze.evaluation import Evaluation
from npsqueeze.runs import Run
from npsqueeze.trainer import Clock, Trainer
from tests import tiny
from tests.tiny import at_step, digest, embedded_pictures, interrupt_after, tiny_network

one_thread = tiny.one_thread

NETWORK = {"batch_norm": True, "bypass": "simple", "dropout": 0.5}
SETTINGS = {"epochs": 3, "batch_size": 10, "lr": 0.05, "seed": 3}  # four steps an epoch
RECIPES = {
    f"{optimizer} on {engine}": {"optimizer": optimizer, "engine": engine} | others
    for engine in ("compiled", "layers")
    for optimizer, others in (
        ("sgd", {"cutout": 4, "ema": 0.9, "flips": True}),
        ("adamw", {"label_smoothing": 0.1}),
    )
}
PICTURES = embedded_pictures(40)
TEST_PICTURES = embedded_pictures(20)


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out the drawing, which takes longer than the training."""
    monkeypatch.setattr(Run, "draw", lambda *_: None)


def train(model=None, **options):
    """Train a tiny network in silence; return it and the history."""
    model = model or tiny_network(**NETWORK)
    data = options.pop("data", PICTURES), TEST_PICTURES
    options = SETTINGS | {"report": lambda line: None} | options
    return model, nps.train(model, *data, **options)


def without_speed(rows):
    return [{k: v for k, v in row.items() if k != "pictures_per_second"} for row in rows]


def test_it_learns_twenty_pictures_by_heart():
    model = tiny_network(batch_norm=True, bypass="simple", dropout=0.0, width=0.25)
    lines = []
    _, history = train(
        model, data=TEST_PICTURES, epochs=60, batch_size=20, lr=0.02, augment=False,
        weight_decay=0.0, schedule="constant", report=lines.append,
    )  # fmt: skip
    assert history.rows[0]["train_loss"] > 2
    assert history.rows[-1]["train_loss"] < 0.1
    assert history.rows[-1]["train_accuracy"] == 1.0
    assert history.evaluation.accuracy > 0.7  # by the running statistics, which lag behind
    assert len(lines) == 60
    assert lines[-1].startswith("epoch  60/60  loss 0.0")


def test_the_history_tells_every_epoch():
    model, history = train()
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    assert list(history.rows[0]) == [
        "epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
        "pictures_per_second",
    ]  # fmt: skip
    again = nps.evaluate(model, TEST_PICTURES)
    assert (again.loss, again.accuracy) == history.evaluation[:2]
    assert history.rows[-1]["test_loss"] == again.loss
    assert all(0 <= row["train_accuracy"] <= 1 < row["pictures_per_second"] for row in history.rows)


def test_the_loss_of_an_epoch_is_the_mean_over_its_pictures():
    # At lr 0 nothing moves (no batch norm, no dropout): 40 pictures in batches of 16, 16 and 8.
    model = tiny_network(dropout=0.0)
    options = {"lr": 0.0, "batch_size": 16, "epochs": 1, "augment": False, "mean": 0.5, "std": 0.5}
    _, history = train(model, **options)
    expected = nps.evaluate(model, PICTURES, 0.5, 0.5)
    assert history.rows[0]["train_loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert history.rows[0]["train_accuracy"] == pytest.approx(expected.accuracy)


TRAININGS = """
from tests.test_training import RECIPES, train
from tests.tiny import digest
for recipe in RECIPES:
    model, history = train(epochs=1, **RECIPES[recipe])
    print(recipe, digest(model), history.evaluation.loss)
"""


def test_same_seed_same_bits_whatever_the_threads():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", TRAININGS],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "NUMBA_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 4)
    }
    assert len(outputs) == 1
    (output,) = outputs
    assert [line.rsplit(maxsplit=2)[0] for line in output.splitlines()] == list(RECIPES)
    assert len({line.split()[-1] for line in output.splitlines()}) == len(RECIPES)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"lr": 0.06}, {"momentum": 0.8}, {"nesterov": False}, {"weight_decay": 0.1},
     {"schedule": "linear"}, {"warmup": 0.5}, {"label_smoothing": 0.1}, {"augment": False},
     {"mean": 0.5}, {"std": 0.5}, {"batch_size": 20}, {"optimizer": "adamw"}, {"cutout": 5},
     {"ema": 0.5}],
    ids=str,
)  # fmt: skip
def test_every_setting_matters(change):
    plain, changed = (train(**({"epochs": 1} | options))[0] for options in ({}, change))
    assert digest(plain) != digest(changed)


def test_the_average_is_what_is_tested_and_kept(tmp_path, no_pictures):
    model, history = train(run=tmp_path / "run", ema=0.7)
    kept, _ = nps.load_model(tmp_path / "run" / "last.npz")
    assert digest(kept) == digest(model)
    result = nps.evaluate(model, TEST_PICTURES)
    assert result.loss == history.evaluation.loss
    arrays, _ = load_checkpoint(tmp_path / "run" / "last.npz")
    live = {name: array for name, array in arrays.items() if name.startswith("live.")}
    plain, _ = train()
    for name, array in plain.state_dict().items():  # the average changes nothing of the training
        np.testing.assert_array_equal(live[f"live.{name}"], array)
    assert digest(plain) != digest(model)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("step", [2, 4, 7])  # in the first epoch, at its end, in the second
def test_a_stopped_training_goes_on_exactly(tmp_path, monkeypatch, no_pictures, recipe, step):
    options = RECIPES[recipe]
    expected, history = train(run=tmp_path / "whole", **options)

    lines, handler = [], signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt_after(patch, step)
        stopped = train(run=tmp_path / "cut", report=lines.append, **options)[1]
    assert signal.getsignal(signal.SIGINT) is handler
    assert stopped.evaluation is None
    assert len(stopped.rows) == step // 4
    assert lines[-1] == f"stopped after step {step}; saved in {tmp_path / 'cut'}"
    assert load_checkpoint(tmp_path / "cut" / "last.npz")[1]["progress"]["step"] == step

    model, resumed = train(run=tmp_path / "cut", resume=True, **options)
    assert digest(model) == digest(expected)
    assert without_speed(resumed.rows) == without_speed(history.rows)
    assert resumed.evaluation.loss == history.evaluation.loss
    for name in ("last.npz", "best.npz"):
        (arrays, metadata), (right, right_metadata) = (
            load_checkpoint(tmp_path / folder / name) for folder in ("cut", "whole")
        )
        assert arrays.keys() == right.keys()
        for key, array in right.items():
            np.testing.assert_array_equal(arrays[key], array, strict=True)
        assert metadata.get("epoch") == right_metadata.get("epoch")
    cut, whole = ((tmp_path / f / "metrics.csv").read_text().split() for f in ("cut", "whole"))
    assert [line.rsplit(",", 1)[0] for line in cut] == [line.rsplit(",", 1)[0] for line in whole]


def test_a_stop_in_the_very_last_step_stops_nothing(tmp_path, monkeypatch, no_pictures):
    interrupt_after(monkeypatch, 12)
    _, history = train(run=tmp_path / "run")
    assert len(history.rows) == 3
    assert history.evaluation is not None


def test_ctrl_c_without_a_run_interrupts(monkeypatch):
    interrupt_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train()


def test_a_second_ctrl_c_breaks_off_at_once(tmp_path, monkeypatch):
    def two_signals(self):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # or two that come at once would be one
        pytest.fail("the second Ctrl-C was not heard")

    handler = signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # a shell's background job ignores Ctrl-C
    monkeypatch.setattr(Trainer, "take_step", two_signals)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(run=tmp_path / "run")
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_trains_in_another_thread_also():
    results = []
    thread = threading.Thread(target=lambda: results.append(train(epochs=1)))
    thread.start()
    thread.join()
    assert digest(results[0][0]) == digest(train(epochs=1)[0])


def test_a_finished_run_resumes_to_its_result(tmp_path, no_pictures):
    model, history = train(run=tmp_path / "run", epochs=1)
    again, resumed = train(run=tmp_path / "run", epochs=1, resume=True)
    assert digest(again) == digest(model)
    assert resumed.rows == history.rows
    assert resumed.evaluation.accuracy == history.evaluation.accuracy


def relabelled():
    return Dataset(PICTURES.images, PICTURES.labels[::-1].copy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.8}, "settings, momentum: expected 0.8, got 0.9"),
        ({"engine": "layers"}, "settings, engine: expected layers, got compiled"),
        ({"epochs": 9}, "settings, epochs: expected 9, got 3"),
        ({"mean": 0.5}, r"settings, mean: expected 0.5, got \[0.4914"),
        ({"model": tiny_network(**NETWORK, width=0.125)}, "model, width: expected 0.125, got 0.06"),
        ({"model": tiny_network(**NETWORK, seed=1)}, "model, seed: expected 1, got 0"),
        ({"data": relabelled()}, "the pictures of the train_set are not those"),
        ({"data": embedded_pictures(40, size=32)}, "image_size: expected 32, got 16"),
        ({"data": Dataset(PICTURES.images, PICTURES.labels, CLASSES[::-1])}, "classes: expected"),
    ],
)
def test_only_the_same_training_resumes(tmp_path, monkeypatch, no_pictures, options, message):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        train(run=tmp_path / "run")
    before = (tmp_path / "run" / "last.npz").read_bytes()
    with pytest.raises(CheckpointError, match=f"last.npz: (another training: )?{message}"):
        train(run=tmp_path / "run", resume=True, **options)
    assert (tmp_path / "run" / "last.npz").read_bytes() == before


def test_what_the_model_did_before_leaves_no_trace(tmp_path, monkeypatch, no_pictures):
    def used():
        model = tiny_network(**NETWORK)
        logits = model.forward(nps.data.normalize(PICTURES.images[:5]))
        model.backward(logits)
        return model.train()

    whole, _ = train(used())
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        train(used(), run=tmp_path / "run")
    resumed, _ = train(tiny_network(**NETWORK), run=tmp_path / "run", resume=True)
    assert digest(resumed) == digest(whole)


def test_speed_counts_only_what_was_seen_since_the_start(monkeypatch):
    times = iter([10.0, 12.0])
    monkeypatch.setattr("npsqueeze.trainer.time.perf_counter", lambda: next(times))
    assert Clock(seen=30).rate(seen=40) == 5.0


def test_the_progress_bar(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    train(epochs=1)
    text = screen.getvalue()
    assert re.search(r"loss \d\.\d{3}, accuracy \d+\.\d %", text)
    assert "40/40" in text  # pictures
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+ pictures/s", text)  # time gone, time left


def poison(name, part="data"):
    """Return what puts a NaN into a parameter (or its gradient)."""

    def act(trainer):
        parameter = dict(trainer.model.named_parameters())[name]
        getattr(parameter, part).flat[0] = np.nan

    return act


def test_a_loss_that_is_no_number(tmp_path):
    model = tiny_network(**NETWORK)
    dict(model.named_parameters())["classifier.1.bias"].data[0] = np.nan
    first = nps.data.batch_indices(40, 0, 10, SETTINGS["seed"])
    message = (
        f"the loss is nan at step 1 of 12 (epoch 1, batch 1 of 4, training pictures "
        f"{', '.join(map(str, first[:5]))} and 5 more, learning rate 0.002): the weights "
        "classifier.1.bias are not finite; start again with a smaller lr"
    )
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        train(model, run=tmp_path / "run")
    assert not (tmp_path / "run" / "last.npz").exists()


def test_a_training_that_explodes_says_so():
    with pytest.raises(TrainingError, match=r"the loss is .* at step \d+ of 12 .*smaller lr"):
        train(tiny_network(width=0.125, dropout=0.0), lr=1e6, schedule="constant")


def test_a_training_that_explodes_keeps_what_was_saved(tmp_path, monkeypatch, no_pictures):
    with monkeypatch.context() as patch:
        at_step(patch, 7, poison("features.3.squeeze.weight"))
        with pytest.raises(TrainingError) as caught:
            train(run=tmp_path / "run")
    assert "at step 7 of 12 (epoch 2, batch 3 of 4, training pictures " in str(caught.value)
    assert "the weights features.3.squeeze.weight are not finite; the run is saved as of step 4: " \
        "resume it with a smaller lr" in str(caught.value)  # fmt: skip
    arrays, metadata = load_checkpoint(tmp_path / "run" / "last.npz")
    assert metadata["progress"]["step"] == 4
    assert all(np.isfinite(array).all() for array in arrays.values())

    lines = []
    _, history = train(run=tmp_path / "run", resume=True, lr=0.005, report=lines.append)
    assert lines[0] == f"{tmp_path / 'run'}: goes on with lr 0.005, which was 0.05"
    _, whole = train()
    assert without_speed(history.rows[:1]) == without_speed(whole.rows[:1])
    for row, other in zip(history.rows[1:], whole.rows[1:], strict=True):
        assert row["learning_rate"] == pytest.approx(other["learning_rate"] / 10)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["lr"] == 0.005


def test_a_gradient_that_is_no_number_moves_nothing(monkeypatch):
    model = tiny_network(**NETWORK)
    at_step(monkeypatch, 2, poison("features.0.weight", "grad"))
    states = []
    take_step = Trainer.take_step

    def remember(self):
        states.append({name: p.data.copy() for name, p in self.model.named_parameters()})
        return take_step(self)

    monkeypatch.setattr(Trainer, "take_step", remember)
    with pytest.raises(
        TrainingError,
        match=r"the loss is [\d.]+, but its gradient is not finite at step 2 of 12 .*"
        r"the backward pass first failed at features.0.weight; start again",
    ):
        train(model)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.data, states[-1][name])


@pytest.mark.parametrize("array", ["model", "optimizer"])
def test_a_broken_state_is_never_saved(tmp_path, monkeypatch, no_pictures, array):
    close_epoch = Trainer.close_epoch

    def close_and_break(self, rate):
        evaluation = close_epoch(self, rate)
        if len(self.progress.rows) == 2:
            broken = {
                "model": self.model.features.layers["0_norm"].running_var.data,
                "optimizer": self.optimizer._velocity[0],
            }
            broken[array].flat[0] = np.inf
        return evaluation

    monkeypatch.setattr(Trainer, "close_epoch", close_and_break)
    name = {"model": "model.features.0_norm.running_var", "optimizer": "optimizer.velocity.0"}
    with pytest.raises(
        TrainingError,
        match=rf"{name[array]} is not finite after step 8 .*saved as of step 4: resume",
    ):
        train(run=tmp_path / "run")
    arrays, metadata = load_checkpoint(tmp_path / "run" / "last.npz")
    assert metadata["progress"]["step"] == 4
    assert all(np.isfinite(saved).all() for saved in arrays.values())


def test_a_test_loss_that_is_no_number(monkeypatch):
    monkeypatch.setattr(Trainer, "evaluate", lambda _: Evaluation(np.nan, 0.1, np.ones((20, 10))))
    with pytest.raises(TrainingError, match="the test loss is nan after step 4; start again with"):
        train()


def test_a_long_epoch_is_saved_on_the_way(tmp_path, monkeypatch, no_pictures):
    monkeypatch.setattr("npsqueeze.trainer.SAVE_SECONDS", 0.0)
    save, steps = Run.save, []

    def note(self, arrays, progress):
        save(self, arrays, progress)
        steps.append(load_checkpoint(self.folder / "last.npz")[1]["progress"]["step"])

    monkeypatch.setattr(Run, "save", note)
    model, _ = train(run=tmp_path / "run")
    assert steps == list(range(1, 13))
    assert digest(model) == digest(train()[0])  # and it changes nothing


def test_an_epoch_that_is_told_is_saved(tmp_path, no_pictures):
    saved = []

    def look(line):
        saved.append(load_checkpoint(tmp_path / "run" / "last.npz")[1]["progress"]["step"])

    train(run=tmp_path / "run", report=look)
    assert saved == [4, 8, 12]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("batch_size", 0), ("optimizer", "adam"), ("lr", -1.0),
        ("lr", float("nan")), ("momentum", 1.0), ("weight_decay", -1.0), ("schedule", "none"),
        ("warmup", 1.0), ("label_smoothing", 1.0), ("label_smoothing", -0.1), ("std", 0.0),
        ("cutout", -1), ("ema", 1.0), ("mean", (0.5, 0.5)), ("seed", -1), ("seed", 0.5),
    ],
)  # fmt: skip
def test_settings_out_of_range(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        train(run=tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()  # refused before anything is written


def test_an_unknown_setting():
    with pytest.raises(TypeError, match="learning_rate"):
        train(learning_rate=0.1)


def test_data_that_does_not_suit(tmp_path):
    with pytest.raises(ValueError, match="dataset: expected 5 classes, got 10"):
        train(tiny_network(num_classes=5), run=tmp_path / "run")
    with pytest.raises(ValueError, match="x: 16x16 pixels are too few"):
        train(nps.squeezenet("1.0", num_classes=10, width=0.1), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
