"""What an ONNX file says besides its graph; and prediction by any network."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from npsqueeze.cli import main
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx import load, load_pretrained, save
from tests import tiny
from tests.onnx_models import Zoo, one_node, onnx, zoo_network
from tests.strategies import random_array
from tests.tiny import tiny_network

one_thread = tiny.one_thread


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def test_predict_by_a_graph(path, tmp_path, capsys):
    zoo = Zoo(zoo_network("1.1"), 7, pads=[0, 0, 0, 0])
    zoo.caffe2()
    onnx.save(zoo.proto((1, 3, 66, 66)), path)
    Image.new("RGB", (80, 70), "red").save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "--weights", str(path), "--top", "7"]) == 0
    out = capsys.readouterr().out
    assert "network with 7 classes (ONNX)" in out
    shares = [float(share) for share in re.findall(r"([\d.]+) %", out)]
    assert len(shares) == 7
    assert abs(sum(shares) - 100) < 1


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("classes", '["a"]', "classes: expected 10 names, got 1"),
        ("classes", "3", "classes: expected a list of names"),
        ("classes", "[[", "holds no classifier of pictures"),
        ("preprocessing", "[]", "holds no classifier of pictures"),
        ("preprocessing", '{"size": 8}', "holds no classifier of pictures"),
        ("preprocessing", "[" * 100_000, "holds no classifier of pictures"),
    ],
)
def test_remarks_that_do_not_suit(path, key, text, message):
    save(path, tiny_network(), image_size=16)
    proto = onnx.load(path)
    proto.metadata_props.add(key=key, value=text)
    onnx.save(proto, path)
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"width": 1e300}', '{"stem": 3}', '"1.1"', "7"])
def test_metaparameters_that_do_not_suit(path, text):
    """They are a hint alone: the graph itself says what the network is."""
    model = tiny_network().eval()
    save(path, model, image_size=16)
    proto = onnx.load(path)
    next(e for e in proto.metadata_props if e.key == "squeezenet").value = text
    onnx.save(proto, path)
    x = random_array(0, (2, 3, 16, 16), np.float32)
    np.testing.assert_array_equal(load_pretrained(path).model.forward(x), model.forward(x))


def test_what_is_no_classifier_of_pictures(path):
    onnx.save(one_node("Gemm", (2, 3), np.ones((3, 3), np.float32)), path)
    assert load(path).output_shape((2, 3)) == (2, 3)
    with pytest.raises(CheckpointError, match="expected pictures of shape"):
        load_pretrained(path)


def test_without_the_package(path, monkeypatch):
    save(path, tiny_network(), image_size=16)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (load, load_pretrained, lambda p: save(p, tiny_network(), image_size=16)):
        with pytest.raises(ImportError, match=r'onnx is not .*: pip install "npsqueeze\[interop'):
            call(path)
