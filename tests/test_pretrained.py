"""Any file of weights gives the network, with the way in which it sees a picture."""

import json
import os
import re
import sys

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.data import CIFAR10_MEAN, CIFAR10_STD, SOURCES, Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop import to_caffe
from tests import tiny
from tests.deep_compression_encoder import sparse_network
from tests.shared import shared
from tests.tiny import tiny_network

one_thread = tiny.one_thread
CATS, ESPRESSO = range(281, 286), [967]
V1_0 = "pretrained/squeezenet_v1_0_deep_compression.net"
V1_1 = "pretrained/squeezenet_v1_1.npz"


@pytest.mark.parametrize("road", ["layers", "compiled"])
def test_the_publishers_logits(road):
    """The publisher's own input and output; the input is as it is, without preprocessing."""
    model = nps.load_pretrained(shared(V1_1)).model
    vector = np.load(shared("pretrained/squeezenet_v1_1_vector.npz"))
    x, expected = vector["input"], vector["output"]
    plan = model if road == "layers" else nps.compile(model, x.shape, training=False)
    logits = plan.forward(x)
    assert logits.argmax() == expected.argmax()
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("road", ["layers", "compiled"])
@pytest.mark.parametrize("weights", [V1_0, V1_1])
@pytest.mark.parametrize(("photo", "labels"), [("chelsea", CATS), ("coffee", ESPRESSO)])
def test_photographs_are_named(weights, photo, labels, road):
    pretrained = nps.load_pretrained(shared(weights))
    x = pretrained.preprocessing.read(shared(f"photos/{photo}.png"))[None]
    model = pretrained.model
    plan = model if road == "layers" else nps.compile(model, x.shape, training=False)
    assert plan.forward(x).argmax() in labels


def test_deep_compression(tmp_path):
    content, state = sparse_network()
    (tmp_path / "a").write_bytes(content)
    found = nps.load_pretrained(tmp_path / "a")
    assert found.preprocessing == SOURCES["caffe"]
    assert (found.classes, found.origin) == (None, "Deep Compression")
    assert found.model.config["version"] == "1.0"
    assert not found.model.training
    for name, array in found.model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize(
    ("version", "caffe", "expected"),
    [("1.0", True, "caffe"), ("1.0", False, "torchvision"), ("1.1", True, "mxnet")],
)
def test_the_usual_preprocessing(tmp_path, version, caffe, expected):
    state = nps.squeezenet(version, seed=0, num_classes=2).state_dict()
    np.savez(tmp_path / "a.npz", **(to_caffe(state) if caffe else state))
    found = nps.load_pretrained(tmp_path / "a.npz")
    assert found.preprocessing == SOURCES[expected]
    assert found.model.config["version"] == version
    assert found.origin == f".npz under {'Caffe' if caffe else 'torchvision'}'s names"
    for name, array in found.model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_cifar(tmp_path):
    model = tiny_network(bypass="complex", batch_norm=True)
    np.savez(tmp_path / "a.npz", **model.state_dict())
    found = nps.load_pretrained(tmp_path / "a.npz")
    assert found.preprocessing == Preprocessing(32, 32, CIFAR10_MEAN, CIFAR10_STD)
    expected = dict(model.config, dropout=0.5)
    assert found.model.config == expected
    large = nps.load_pretrained(tmp_path / "a.npz", SOURCES["torchvision"])
    assert large.model.config["version"] == "1.1"
    assert large.preprocessing == SOURCES["torchvision"]


def test_what_the_file_says_and_what_the_caller_says(tmp_path):
    way = Preprocessing(16, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    notes = {
        "squeezenet": json.dumps(tiny_network(bypass="simple").config),
        "preprocessing": json.dumps(way.as_dict()),
        "classes": json.dumps(list("abcdefghij")),
    }
    np.savez(tmp_path / "a.npz", **tiny_network().state_dict(), **notes)
    found = nps.load_pretrained(tmp_path / "a.npz")
    assert (found.preprocessing, found.classes) == (way, tuple("abcdefghij"))
    assert found.model.config["bypass"] == "simple"
    other = nps.load_pretrained(tmp_path / "a.npz", SOURCES["caffe"])
    assert other.preprocessing == SOURCES["caffe"]


def test_a_checkpoint_of_a_training(tmp_path):
    pictures = tiny.embedded_pictures(20)
    model = tiny_network(bypass="simple")
    nps.train(
        model, pictures, pictures, epochs=1, batch_size=10, run=tmp_path / "run", std=0.5,
        mean=(0.1, 0.2, 0.3),
    )  # fmt: skip
    found = nps.load_pretrained(tmp_path / "run" / "last.npz")
    assert found.preprocessing == Preprocessing(16, 16, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert found.classes == pictures.classes
    assert found.origin == "a training"
    x = nps.data.normalize(pictures.images[:2], (0.1, 0.2, 0.3), 0.5)
    seen = found.preprocessing.apply(pictures.images[:2])
    np.testing.assert_allclose(seen, x, atol=1e-6)
    np.testing.assert_array_equal(found.model.forward(x), model.eval().forward(x))
    caffe = nps.load_pretrained(tmp_path / "run" / "last.npz", SOURCES["caffe"])
    assert caffe.preprocessing == SOURCES["caffe"]


STATE = tiny_network().state_dict()
CONFIG = tiny_network().config
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.0.bias": np.full(4, np.nan)}, r"features.0.bias: expected finite numbers"),
        ({"features.0.bias": np.full(4, 1e300)}, r"features.0.bias: expected finite numbers"),
        ({"features.0.bias": np.full(4, "a")}, r"expected an array of real numbers, got <U1"),
        ({"features.0.bias": np.ones(4, complex)}, r"expected an array of real numbers"),
        ({"features.0.bias": np.ones(5)}, r"features.0.bias'\]: expected shape \(4,\), got \(5,\)"),
        ({"more": np.ones(5)}, r"unknown: more"),
        ({"preprocessing": "{"}, r"holds no SqueezeNet"),
        ({"preprocessing": "[]"}, r"holds no SqueezeNet"),
        ({"preprocessing": DEEP}, r"holds no SqueezeNet"),
        ({"preprocessing": '{"size": 32}'}, r"missing .* arguments"),
        ({"preprocessing": json.dumps(SOURCES["caffe"].as_dict() | {"size": 10**9})}, r"size: exp"),
        ({"preprocessing": json.dumps(SOURCES["caffe"].as_dict() | {"std": [1e-300] * 3})}, r"std"),
        (
            {"preprocessing": json.dumps(SOURCES["caffe"].as_dict() | {"size": 1})},
            r"1x1 pixels are",
        ),
        ({"squeezenet": json.dumps(CONFIG | {"width": 1e9})}, r"expected shape"),
        ({"squeezenet": json.dumps(CONFIG | {"depth": 1})}, r"depth"),
        ({"squeezenet": "7"}, r"holds no SqueezeNet"),
        ({"classes": '["a"]'}, r"classes: expected a list of 10 names"),
        ({"classes": "7"}, r"classes: expected a list of 10 names"),
    ],
)
def test_an_archive_that_holds_no_network(tmp_path, change, message):
    path = tmp_path / "a.npz"
    np.savez(path, **(STATE | change))
    with pytest.raises(CheckpointError, match=rf"^{path}: .*{message}") as caught:
        nps.load_pretrained(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x05\x06" + bytes(18), b"GIF89a" * 99, bytes(500), b"{" * 500]
)
def test_other_files(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{path}: expected weights as .npz, .safetensors"):
        nps.load_pretrained(path)


def test_a_damaged_archive(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04" + bytes(500))
    with pytest.raises(CheckpointError, match=r"a: damaged, or no .npz file"):
        nps.load_pretrained(tmp_path / "a")


def test_places_without_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe", ""):
        path = tmp_path / name
        with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: cannot be read"):
            nps.load_pretrained(path)


def test_onnx_without_the_package(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"\x08\x08\x12\x00")
    monkeypatch.setitem(sys.modules, "npsqueeze.interop.onnx", None)
    with pytest.raises(ImportError, match=r'onnx is not installed: pip install "npsqueeze\[int'):
        nps.load_pretrained(tmp_path / "a")
