"""Graphs that are SqueezeNets, as the public model zoo has them; and graphs that almost are."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.interop.onnx import Graph, load, load_pretrained, save
from npsqueeze.models import SqueezeNet
from tests import tiny
from tests.onnx_models import Zoo, numpy_helper, onnx, zoo_network
from tests.shared import shared
from tests.strategies import assert_close, random_array
from tests.tiny import tiny_network

one_thread = tiny.one_thread


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("opset", [3, 6, 7, 9])
@pytest.mark.parametrize("as_nodes", [False, True])
def test_caffe2s_squeezenet_1_0(path, opset, as_nodes):
    """Weights also listed as inputs, padding behind for ceil mode, dropout, softmax at the end."""
    model = zoo_network("1.0")
    size = 66  # 30 -> 15 -> 7 -> 3 in ceil mode, one less here and there in floor mode
    zoo = Zoo(model, opset, pads=[0, 0, 1, 1])
    zoo.caffe2()
    onnx.save(zoo.proto((1, 3, size, size), listed=not as_nodes, as_nodes=as_nodes), path)
    x = random_array(1, (1, 3, size, size), np.float32)
    logits = model.forward(x)
    graph = load(path)
    assert graph.forward(x).shape == (1, 7, 1, 1)
    assert_close(graph.forward(x)[:, :, 0, 0], nps.functional.softmax(logits), 1e-5)
    found = load_pretrained(path)
    assert isinstance(found.model, SqueezeNet)
    np.testing.assert_array_equal(found.model.forward(x), logits)
    assert found.model.config["pool_after"] == (1, 4, 8)
    assert found.model.config["dropout"] == 0.5
    assert found.preprocessing.size == size


@pytest.mark.parametrize("opset", [3, 7, 8])
@pytest.mark.parametrize("batch", [1, "N"])
def test_mxnets_squeezenet_1_1(path, opset, batch):
    """Floor mode at a size where ceil mode makes no difference, an average over a window."""
    model = zoo_network("1.1")
    size = 64  # 31 -> 15 -> 7 -> 3 either way
    zoo = Zoo(model, opset, pads=[0, 0, 0, 0])
    zoo.mxnet(3, 7)
    onnx.save(zoo.proto((batch, 3, size, size)), path)
    x = random_array(1, (1, 3, size, size), np.float32)
    found = load_pretrained(path)
    if opset < 5 and batch == "N":  # its last shape is (1, 7), whatever N is
        assert isinstance(found.model, Graph)
    else:
        assert isinstance(found.model, SqueezeNet)
        assert found.model.config["pool_after"] == (1, 3, 5)
    assert_close(found.model.forward(x), model.forward(x), 1e-6)
    assert_close(load(path).forward(x), model.forward(x), 1e-6)


def test_floor_mode_is_kept_where_it_matters(path):
    model = zoo_network("1.1")
    zoo = Zoo(model, 7, pads=[0, 0, 0, 0])
    zoo.caffe2()
    onnx.save(zoo.proto((1, 3, 66, 66)), path)
    found = load_pretrained(path).model
    assert isinstance(found, Graph)
    x = random_array(1, (1, 3, 66, 66), np.float32)
    logits = found.forward(x)
    assert logits.shape == (1, 7)
    probabilities = load(path).forward(x)[:, :, 0, 0]
    assert_close(nps.functional.softmax(logits), probabilities, 1e-5)
    assert np.abs(logits - model.forward(x)).max() > 1e-3 * np.abs(logits).max()


def test_real_weights_in_the_zoos_way(path):
    """SqueezeNet 1.1 for ImageNet, with the publisher's own input and output."""
    vector = np.load(shared("pretrained/squeezenet_v1_1_vector.npz"))
    zoo = Zoo(nps.load_pretrained(shared("pretrained/squeezenet_v1_1.npz")).model, 7, [0] * 4)
    zoo.mxnet(13, 1000)
    onnx.save(zoo.proto((1, 3, 224, 224), listed=True), path)
    found = load_pretrained(path)
    assert isinstance(found.model, SqueezeNet)
    assert found.preprocessing.resize == 256
    for model in (found.model, load(path)):
        error = np.abs(model.forward(vector["input"]) - vector["output"]).max()
        assert error <= 1e-5 * np.abs(vector["output"]).max()


def test_biases_before_normalisation(path):
    """A normalisation takes up the bias of the convolution before it."""
    model = tiny_network(batch_norm=True).eval()
    save(path, model, image_size=16)
    proto = onnx.load(path)
    for node in proto.graph.node:
        if node.op_type == "Conv" and len(node.input) == 2:
            filters = len(model.state_dict()[node.input[1]])
            node.input.append(f"{node.name}.bias")
            bias = random_array(filters, (filters,), np.float32)
            proto.graph.initializer.append(numpy_helper.from_array(bias, node.input[2]))
    onnx.save(proto, path)
    x = random_array(0, (2, 3, 16, 16), np.float32)
    found = load_pretrained(path).model
    assert isinstance(found, SqueezeNet)
    expected = load(path).forward(x)
    assert_close(found.forward(x), expected, 1e-4)
    assert np.abs(expected - model.forward(x)).max() > 1e-3


def _swap_branches(node):
    if node.op_type == "Concat":
        first, second = node.input
        node.input[:] = [second, first]


def _same_branch_twice(node):
    if node.op_type == "Concat":
        node.input[1] = node.input[0]


def _no_relu(node):
    if node.name == "features.3.squeeze_relu":
        node.op_type = "Identity"


def _other_window(node):
    if node.op_type == "MaxPool":
        next(a for a in node.attribute if a.name == "kernel_shape").ints[:] = [2, 2]


def _softmax_inside(node):
    if node.name == "features.3":
        node.op_type = "Softmax"


@pytest.mark.parametrize(
    "change", [_swap_branches, _same_branch_twice, _no_relu, _other_window, _softmax_inside]
)
def test_almost_a_squeezenet(path, change):
    model = tiny_network().eval()
    save(path, model, image_size=16)
    proto = onnx.load(path)
    for node in proto.graph.node:
        change(node)
    onnx.save(proto, path)
    found = load_pretrained(path).model
    assert isinstance(found, Graph)
    x = random_array(0, (2, 3, 16, 16), np.float32)
    np.testing.assert_array_equal(found.forward(x), load(path).forward(x))
    assert np.abs(found.forward(x) - model.forward(x)).max() > 1e-6
