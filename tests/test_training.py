"""Training: it learns, repeats itself bit for bit, and resumes as if it had never stopped."""

import io
import json
import os
import re
import signal
import threading
from dataclasses import asdict

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.checkpoint import load_checkpoint
from npsqueeze.data import CLASSES, Dataset
from npsqueeze.errors import CheckpointError, TrainingError
from npsqueeze.optim import SGD, AdamW
from npsqueeze.runs import Run
from npsqueeze.settings import Settings
from npsqueeze.trainer import Clock, Trainer
from tests import tiny
from tests.tiny import digest, embedded_pictures, interrupt_after, tiny_network

one_thread = tiny.one_thread

NETWORK = {"batch_norm": True, "bypass": "simple", "dropout": 0.5}
SETTINGS = {"epochs": 3, "batch_size": 10, "lr": 0.05, "seed": 3}  # four steps an epoch
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


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_same_seed_same_bits_whatever_the_threads(optimizer):
    options = {"optimizer": optimizer, "epochs": 1}
    model, history = train(**options)
    try:
        nps.set_num_threads(2)
    except ValueError:
        pytest.skip("this machine has one core")
    try:
        again, second = train(**options)
    finally:
        nps.set_num_threads(1)
    assert digest(again) == digest(model)
    assert without_speed(second.rows) == without_speed(history.rows)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"lr": 0.06}, {"momentum": 0.8}, {"nesterov": False}, {"weight_decay": 0.1},
     {"schedule": "linear"}, {"warmup": 0.5}, {"label_smoothing": 0.1}, {"augment": False},
     {"mean": 0.5}, {"std": 0.5}, {"batch_size": 20}, {"optimizer": "adamw"}],
    ids=str,
)  # fmt: skip
def test_every_setting_matters(change):
    plain, changed = (train(**({"epochs": 1} | options))[0] for options in ({}, change))
    assert digest(plain) != digest(changed)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("step", [2, 4, 7])  # in the first epoch, at its end, in the second
def test_a_stopped_training_goes_on_exactly(tmp_path, monkeypatch, no_pictures, optimizer, step):
    options = {"optimizer": optimizer}
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
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second Ctrl-C was not heard")

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "take_step", two_signals)
    with pytest.raises(KeyboardInterrupt):
        train(run=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler


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
        ({"lr": 0.2}, "settings, lr: expected 0.2, got 0.05"),
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


def test_settings_are_plain_numbers():
    settings = Settings(
        epochs=np.int64(3), lr=np.float32(0.5), mean=np.array([0.1, 0.2, 0.3]), std=np.float64(0.5)
    )
    assert json.loads(json.dumps(asdict(settings))) == asdict(settings)
    assert (settings.epochs, settings.lr) == (3, 0.5)
    assert settings.mean == [0.1, 0.2, 0.3]
    assert (Settings().lr, Settings(optimizer="adamw").lr) == (0.1, 0.002)


def test_the_progress_bar(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    train(epochs=1)
    text = screen.getvalue()
    assert re.search(r"loss \d\.\d{3}, accuracy \d+\.\d %", text)
    assert "40/40" in text  # pictures
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+ pictures/s", text)  # time gone, time left


def test_a_loss_that_is_no_number(tmp_path):
    model = tiny_network(**NETWORK)
    dict(model.named_parameters())["classifier.1.bias"].data[0] = np.nan
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1 of 12 .*smaller lr"):
        train(model, run=tmp_path / "run")
    assert not (tmp_path / "run" / "last.npz").exists()


def test_a_training_that_explodes_says_so():
    with pytest.raises(TrainingError, match=r"the loss is .* at step \d+ of 12 .*smaller lr"):
        train(tiny_network(width=0.125, dropout=0.0), lr=1e6, schedule="constant")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("batch_size", 0), ("optimizer", "adam"), ("lr", -1.0),
        ("lr", float("nan")), ("momentum", 1.0), ("weight_decay", -1.0), ("schedule", "none"),
        ("warmup", 1.0), ("label_smoothing", 1.0), ("label_smoothing", -0.1), ("std", 0.0),
        ("mean", (0.5, 0.5)), ("seed", -1), ("seed", 0.5),
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


def test_optimizers_are_built_as_set():
    model = tiny_network()
    sgd = Settings(lr=0.3, momentum=0.8, weight_decay=0.1).build_optimizer(model)
    assert isinstance(sgd, SGD)
    assert (sgd.lr, sgd.momentum, sgd.nesterov, sgd.weight_decay) == (0.3, 0.8, True, 0.1)
    assert not Settings(momentum=0.0).build_optimizer(model).nesterov  # plain SGD needs no flag
    adamw = Settings(optimizer="adamw", lr=0.01, weight_decay=0.2).build_optimizer(model)
    assert isinstance(adamw, AdamW)
    assert (adamw.lr, adamw.weight_decay) == (0.01, 0.2)
