"""What `predict` prints, by weights of every kind."""

import re

import numpy as np
import pytest
from PIL import Image

from npsqueeze import published
from npsqueeze.cli import main
from npsqueeze.prediction import print_bars, read_class_names, shortened
from npsqueeze.published import PUBLISHED
from tests import tiny
from tests.deep_compression_encoder import sparse_network
from tests.shared import shared
from tests.test_cli import fail, succeed
from tests.tiny import tiny_network

one_thread = tiny.one_thread
SYNSETS = "photos/imagenet_synsets.txt"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tiny.npz"
    np.savez(path, **tiny_network().state_dict())
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 40), "red").save(path)
    return path


def test_real_weights_name_real_photographs(capsys):
    chelsea, coffee = shared("photos/chelsea.png"), shared("photos/coffee.png")
    classes = shared(SYNSETS)
    for name, first in (
        (
            "squeezenet_v1_0_deep_compression.net",
            "SqueezeNet 1.0 with 1,000 classes (Deep Compress",
        ),
        (
            "squeezenet_v1_1.npz",
            "SqueezeNet 1.1 with 1,000 classes (.npz under Caffe's names); pic",
        ),
    ):
        weights = shared(f"pretrained/{name}")
        arguments = ["predict", chelsea, coffee, "--weights", weights, "--classes", classes]
        lines = succeed(capsys, *arguments)
        assert len(lines) == 13
        assert lines[0].startswith(first)
        assert (lines[1], lines[7]) == (str(chelsea), str(coffee))
        assert re.match("  Egyptian cat  +[58]", lines[2])
        assert re.match("  espresso  +[89]", lines[8])


def test_without_classes_the_numbers_are_shown(capsys, weights, picture):
    lines = succeed(capsys, "predict", picture, "--weights", weights, "--top", 10)
    assert lines[0] == (
        "SqueezeNet cifar with 10 classes (.npz under torchvision's names); pictures: short side to "
        "32, cut to 32x32, RGB/255, minus 0.4914 0.4822 0.4465, by 0.247 0.2435 0.2616"
    )
    assert {line.split()[0] for line in lines[2:]} == set("0123456789")


def test_the_preprocessing_can_be_said(capsys, tmp_path, weights, picture):
    lines = succeed(capsys, "predict", picture, "--weights", weights, "--preprocessing", "caffe")
    assert lines[0].endswith(
        "pictures: both sides to 256, cut to 227x227, BGR·1, minus 104 117 123, by 1 1 1"
    )
    with pytest.raises(SystemExit):
        main(["predict", str(picture), "--preprocessing", "keras"])


def test_published_weights_by_their_name(capsys, tmp_path, monkeypatch, picture):
    import hashlib

    content, _ = sparse_network()
    entry = PUBLISHED["squeezenet1_0"]._replace(sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(PUBLISHED, "squeezenet1_0", entry)
    monkeypatch.setattr(published, "weights_folder", lambda: tmp_path / "weights")
    arguments = ["predict", picture, "--weights", "squeezenet1_0"]
    assert "run `npsqueeze weights fetch squeezenet1_0`" in fail(capsys, *arguments)
    (tmp_path / "copy").write_bytes(content)
    succeed(capsys, "weights", "fetch", "squeezenet1_0", "--from", tmp_path / "copy")
    assert len(succeed(capsys, *arguments)) == 7


def test_class_names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("n02123045 tabby, tabby cat\nnormal name\nn1 2\n", encoding="utf-8")
    assert read_class_names(path, 3) == ("tabby, tabby cat", "normal name", "n1 2")
    names = read_class_names(shared(SYNSETS), 1000)
    assert names[281] == "tabby, tabby cat"
    assert names[134] == "crane"


def test_class_names_that_cannot_be(capsys, tmp_path, weights, picture):
    (tmp_path / "nine.txt").write_text("a\n" * 9)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xfa")
    for name, message in (
        ("nine.txt", "nine.txt: expected 10 lines, one a class, got 9"),
        ("binary.txt", "binary.txt: expected text in UTF-8"),
        ("none.txt", "none.txt: cannot be read"),
    ):
        arguments = ["predict", picture, "--weights", weights, "--classes", tmp_path / name]
        assert message in fail(capsys, *arguments)


def test_names_are_shortened_by_synonyms_first():
    name = "cougar, puma, catamount, mountain lion"
    assert shortened(name, 38) == name
    assert shortened(name, 37) == "cougar, puma, catamount"
    assert shortened(name, 12) == "cougar, puma"
    assert shortened(name, 11) == "cougar"
    assert shortened(name, 5) == "coug…"


@pytest.mark.parametrize(("columns", "longest"), [(80, 27), (60, 12), (200, 60)])
def test_bars_fit_the_terminal(capsys, monkeypatch, columns, longest):
    monkeypatch.setenv("COLUMNS", str(columns))
    print_bars(np.array([0.25, 0.75], np.float32), ["short", "x" * 60], 5)
    first, second = capsys.readouterr().out.splitlines()
    name = "x" * 60 if longest == 60 else "x" * (longest - 1) + "…"
    assert first == f"  {name}   75.0 %  " + "█" * 30
    assert second == f"  {'short':{longest}}   25.0 %  " + "█" * 10
    assert len(first) - 30 + 40 <= max(columns, 65)
