"""SqueezeNets as ONNX files: another runtime and our own reader compute the same."""

import json

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.cli import main
from npsqueeze.data import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx import load, load_pretrained, save
from tests import tiny
from tests.strategies import random_array
from tests.tiny import tiny_network

onnx = pytest.importorskip("onnx")
one_thread = tiny.one_thread

SIZE = 40
NETWORKS = {
    "1.0": {"version": "1.0"},
    "1.1": {"version": "1.1"},
    "cifar with batch norm": {"version": "cifar", "batch_norm": True},
    "simple bypass": {"version": "1.1", "bypass": "simple", "dropout": 0.0},
    "complex bypass": {"version": "1.1", "bypass": "complex", "batch_norm": True},
    "linear head": {"version": "1.0", "head": "linear"},
    "5x5": {"version": "cifar", "expand": {1: 0.5, 3: 0.25, 5: 0.25}, "width": 0.3},
    "odd": {"stem": (10, 5, 2, 1), "pool_after": (2, 9), "base_e": 17, "incr_e": 5, "freq": 3},
}


def network(name):
    """Return a network of NETWORKS in which no array, running statistics included, is plain."""
    model = nps.squeezenet(**{"num_classes": 7, "seed": 1} | NETWORKS[name])
    for i, (part, member) in enumerate(model.named_state()):
        noise = 0.1 * random_array(i, member.data.shape, np.float32)
        member.data += np.abs(noise) if part.endswith("running_var") else noise
    return model.eval()


def images(count=3):
    return random_array(0, (count, 3, SIZE, SIZE), np.float32)


def assert_same_logits(actual, expected):
    """Assert what rounding explains: 1e-5 of the largest logit."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("name", NETWORKS)
def test_another_runtime_computes_the_same(path, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network(name)
    save(path, model, image_size=SIZE)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        x = images(count)
        (logits,) = session.run(["logits"], {"images": x})
        assert_same_logits(logits, model.forward(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back(path, name):
    model = network(name)
    save(path, model, image_size=SIZE)
    x = images()
    logits = model.forward(x)
    np.testing.assert_array_equal(load(path).forward(x), logits)
    found = load_pretrained(path).model
    assert found.config == model.config
    assert not found.training
    for part, array in model.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[part], array)
    plan = nps.compile(found, x.shape, training=False)
    assert_same_logits(plan.forward(x), logits)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_has_the_gradients_of_the_network(path, name):
    model = network(name).eval()
    save(path, model, image_size=SIZE)
    graph = load(path)
    x = images(2)
    dy = random_array(5, graph.forward(x).shape, np.float32)
    model.forward(x)
    assert_same_logits(graph.backward(dy), model.backward(dy))
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    for key, parameter in graph.named_parameters():
        # of the linear head the last value has the name of the output
        ours = key if key in gradients else f"classifier.1.{key.rpartition('.')[2]}"
        scale = np.abs(gradients[ours]).max()
        assert np.abs(parameter.grad - gradients[ours]).max() <= 1e-4 * scale, key


def test_what_others_see(path):
    model = network("cifar with batch norm")
    way = Preprocessing(SIZE, 48, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    save(path, model, image_size=SIZE, preprocessing=way, classes="abcdefg")
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert [entry.version for entry in proto.opset_import] == [17]
    sizes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    ]
    assert sizes == [["N", 3, SIZE, SIZE], ["N", 7]]
    state = model.state_dict()
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    assert weights.keys() - state.keys() == {"classifier.0.ratio"}
    for name, array in state.items():
        np.testing.assert_array_equal(weights[name], array)
    remarks = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert remarks["classes"] == list("abcdefg")
    assert remarks["preprocessing"] == way.as_dict()
    found = load_pretrained(path)
    assert (found.preprocessing, found.classes) == (way, tuple("abcdefg"))
    assert nps.load_pretrained(path).preprocessing == way


def test_without_metaparameters_they_are_inferred(path):
    model = network("complex bypass")
    save(path, model, image_size=SIZE)
    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.save(proto, path)
    found = load_pretrained(path)
    assert {"stem": (64, 3, 2, 0), "bypass": "complex", "final_relu": True}.items() <= (
        found.model.config.items()
    )
    np.testing.assert_array_equal(found.model.forward(images()), model.forward(images()))
    assert found.classes is None
    assert found.preprocessing.size == SIZE


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image_size": 8.0}, TypeError, "image_size: expected an int, got 8.0"),
        ({"image_size": 1}, ValueError, "1x1 pixels are too few"),
        ({"classes": "ab"}, ValueError, "classes: expected 10 names, got 2"),
        (
            {"preprocessing": Preprocessing(32, 32, (0, 0, 0), (1, 1, 1))},
            ValueError,
            "preprocessing: expected pictures of 16 pixels, got 32",
        ),
    ],
)
def test_wrong_arguments(path, change, error, message):
    with pytest.raises(error, match=message):
        save(path, tiny_network(), **{"image_size": 16} | change)
    assert not path.exists()


def test_other_models(path):
    with pytest.raises(TypeError, match="expected a SqueezeNet, got ReLU"):
        save(path, nps.layers.ReLU(), image_size=16)
    with pytest.raises(TypeError, match=r"of float32, got features\.0\.weight of float64"):
        save(path, tiny_network().astype(np.float64), image_size=16)
    model = tiny_network()
    model.parameters()[2].data[0] = np.nan
    with pytest.raises(ValueError, match=r"finite weights, got others in features\.3\.squeeze\.we"):
        save(path, model, image_size=16)
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(path / "a" / "b", tiny_network(), image_size=16)
    assert not path.exists()


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    way = Preprocessing(16, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    save("first.onnx", tiny_network(), image_size=16, preprocessing=way, classes="abcdefghij")
    assert main(["export", "second.onnx", "--weights", "first.onnx"]) == 0
    assert "in: images (N, 3, 16, 16)" in capsys.readouterr().out
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
    assert main(["export", "third.onnx"]) == 2
    assert "no trained network in runs/" in capsys.readouterr().err
    assert not (tmp_path / "third.onnx").exists()
