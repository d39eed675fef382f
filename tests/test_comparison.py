"""Runs are read from their folders, and labelled by what tells them apart."""

import json
from pathlib import Path

import pytest

from npsqueeze.comparison import labels, read_configuration, read_metrics
from npsqueeze.errors import CheckpointError


def test_metrics(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,test_loss\n1,2.5\n2,1e-3\n")
    assert read_metrics(tmp_path) == [
        {"epoch": 1.0, "test_loss": 2.5},
        {"epoch": 2.0, "test_loss": 0.001},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no epoch"),
        ("epoch,loss\n", "holds no epoch"),
        ("epoch,loss\n1,high\n", "no metrics of a training .*'high'"),
        ("epoch,loss\n1\n", "no metrics of a training"),
        ("epoch,loss\n1,2,3\n", "no metrics of a training"),
        ('epoch,loss\n1,"2\n', "no metrics of a training"),
    ],
)
def test_metrics_that_are_none(tmp_path, content, message):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(CheckpointError, match=rf"metrics\.csv: {message}") as caught:
        read_metrics(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_configuration(tmp_path):
    configuration = {"model": {"width": 1.0}, "settings": {"lr": 0.1}, "classes": ["cat"]}
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    assert read_configuration(tmp_path) == {"width": 1.0, "lr": 0.1}


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"model": 3, "settings": 4}'])
def test_configurations_that_are_none(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: no configuration of a training"):
        read_configuration(tmp_path)


def test_missing_files(tmp_path):
    for read, name in ((read_metrics, "metrics.csv"), (read_configuration, "config.json")):
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read: No such file"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("folders", "configurations", "expected"),
    [
        (["runs/a"], [{"lr": 0.1}], ["a"]),
        (["runs/a", "runs/b"], [{"lr": 0.1}, {"lr": 0.1}], ["a", "b"]),
        (["runs/a", "other/a"], [{"lr": 0.1}, {"lr": 0.1}], ["runs/a", "other/a"]),
        (
            ["runs/a", "runs/b"],
            [{"width": 1.0, "lr": 0.1, "augment": True}, {"width": 1.0, "lr": 0.02}],
            ["a: lr 0.1, augment on", "b: lr 0.02, augment None"],
        ),
        (
            ["a", "b", "c"],
            [{"i": 1, "j": 1, "k": 1, "l": 1}] * 2 + [{"i": 1, "j": 2, "k": 2, "l": 2, "m": "x"}],
            ["a: j 1, k 1, l 1, …", "b: j 1, k 1, l 1, …", "c: j 2, k 2, l 2, …"],
        ),
    ],
)
def test_labels(folders, configurations, expected):
    assert labels([Path(folder) for folder in folders], configurations) == expected
