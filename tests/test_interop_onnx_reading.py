"""ONNX files of others, old and new; and files that are damaged or mean harm."""

import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze.data import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx import Graph, load, load_pretrained, save
from npsqueeze.interop.onnx.operation import WITHOUT_EFFECT
from npsqueeze.interop.onnx.operators import LARGEST_WINDOW
from npsqueeze.interop.onnx.reading import read_model
from npsqueeze.interop.onnx.tensors import LARGEST_TENSOR
from npsqueeze.interop.onnx.windows import Pooling
from npsqueeze.layers import AvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, Sequential
from npsqueeze.models import SqueezeNet
from tests import fuzzing, tiny
from tests.strategies import assert_close, random_array
from tests.tiny import tiny_network

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_models import Zoo, model_of, one_node

one_thread = tiny.one_thread
W = random_array(0, (4, 3, 3, 3), np.float32)
IMAGE = (2, 3, 8, 8)


def only_layer(model):
    """Return the one layer of a model."""
    (node,) = read_model(model).graph.nodes
    return node.layer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


# --- operators as our layers ---


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (one_node("Conv", IMAGE, W, pads=[1, 2, 1, 2]), Conv2d),
        (one_node("Conv", IMAGE, W, pads=[0, 0, 1, 1]), Sequential),
        (one_node("Conv", IMAGE, W, auto_pad="SAME_UPPER"), Sequential),
        (one_node("Conv", IMAGE, W, auto_pad="VALID"), Conv2d),
        (one_node("MaxPool", IMAGE, kernel_shape=[2, 2]), MaxPool2d),
        (one_node("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2]), Pooling),
        (one_node("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), AvgPool2d),
        (one_node("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[0, 0, 1, 1]), Pooling),
        (one_node("AveragePool", IMAGE, kernel_shape=[2, 2], pads=[2, 2, 2, 2]), Pooling),
        (one_node("Gemm", (2, 3), W[:, :, 0, 0], transB=1), Linear),
        (one_node("MatMul", (2, 3), W[0, 0]), Linear),
    ],
)
def test_our_own_layer_where_there_is_one(model, kind):
    assert type(only_layer(model)) is kind


@given(st.integers(1, 4), st.integers(1, 4), st.integers(4, 9), st.integers(4, 9))
def test_padding_behind_is_ceil_mode(size, stride, height, width):
    """Caffe2's way to write ceil mode: stride - 1 pixels below and to the right."""
    shape = (1, 2, height, width)
    pads = [0, 0, stride - 1, stride - 1]
    windows = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": pads}
    layer = only_layer(one_node("MaxPool", shape, **windows))
    x = random_array(0, shape, np.float32)
    if stride <= size:
        assert type(layer) is MaxPool2d
    np.testing.assert_array_equal(layer.forward(x), Pooling(_geometry(**windows), "max").forward(x))


def _geometry(kernel_shape, strides, pads):
    from npsqueeze.interop.onnx.windows import Geometry

    return Geometry(tuple(kernel_shape), tuple(strides), (1, 1), tuple(pads))


@pytest.mark.parametrize("operator", ["Conv", "MaxPool", "AveragePool"])
@given(data=st.data())
def test_windows_against_another_runtime(operator, data):
    onnxruntime = pytest.importorskip("onnxruntime")
    shape = (2, 3, data.draw(st.integers(7, 12)), data.draw(st.integers(7, 12)))
    size = [3, 3] if operator == "Conv" else [data.draw(st.integers(1, 3)) for _ in range(2)]
    attributes = {
        "kernel_shape": size,
        "strides": [data.draw(st.integers(1, k)) for k in size],  # more, the runtime refuses
    }
    if data.draw(st.booleans()):
        attributes["auto_pad"] = data.draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    else:
        attributes["pads"] = [data.draw(st.integers(0, size[i % 2] - 1)) for i in range(4)]
        attributes["dilations"] = [data.draw(st.integers(1, 2)) for _ in range(2)]
    if operator == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    weights = (W,) if operator == "Conv" else ()
    model = one_node(operator, shape, *weights, opset=19, **attributes)
    x = random_array(1, shape, np.float32)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    assert_close(read_model(model).graph.forward(x), expected, 1e-5)


@pytest.mark.parametrize(
    ("model", "p"),
    [
        (one_node("Dropout", IMAGE, opset=3, ratio=0.25, is_test=1, consumed_inputs=[0]), 0.25),
        (one_node("Dropout", IMAGE, opset=9), 0.5),
        (one_node("Dropout", IMAGE, np.array(0.1, np.float32)), 0.1),
        (one_node("Dropout", IMAGE, np.array(0.1, np.float32), np.array(False), seed=7), 0.1),
    ],
)
def test_dropout(model, p):
    layer = only_layer(model)
    assert type(layer) is Dropout
    assert (layer.p, layer.training) == (p, False)


def test_batch_normalisation():
    arrays = [np.abs(random_array(i, (3,), np.float32)) for i in range(4)]
    model = one_node("BatchNormalization", IMAGE, *arrays, opset=6, is_test=1, spatial=1)
    layer = only_layer(model)
    assert (layer.momentum, layer.eps) == (0.1, 1e-5)
    scale, bias, mean, variance = (array[:, None, None] for array in arrays)
    x = random_array(1, IMAGE, np.float32)
    assert_close(layer.forward(x), scale * (x - mean) / np.sqrt(variance + 1e-5) + bias, 1e-5)


def test_double_precision():
    model = one_node("Conv", IMAGE, W.astype(float))
    x = random_array(1, IMAGE)
    expected, _ = nps.functional.conv2d_forward(x, W.astype(float))
    np.testing.assert_array_equal(read_model(model).graph.forward(x), expected)


@pytest.mark.parametrize("as_nodes", [False, True])
def test_identity_and_constants(as_nodes):
    nodes = [
        helper.make_node("Identity", ["w"], ["v"]),
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    graph = read_model(model_of(nodes, IMAGE, {"w": W}, as_nodes=as_nodes)).graph
    x = random_array(1, IMAGE, np.float32)
    np.testing.assert_array_equal(graph.forward(x), nps.functional.conv2d_forward(x, W)[0])


def test_weights_that_are_described():
    value = numpy_helper.from_array(np.array([0.5], np.float32))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["w"], value=value),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    graph = read_model(model_of(nodes, IMAGE, {"shape": np.array([4, 3, 1, 1])})).graph
    x = random_array(1, IMAGE, np.float32)
    assert_close(graph.forward(x)[:, 0], 0.5 * x.sum(axis=1), 1e-5)


# --- the files of the public model zoo ---


def zoo_network(version, **options):
    options = {"num_classes": 7, "seed": 3, "width": 1 / 8, "dropout": 0.5} | options
    model = nps.squeezenet(version, **options).eval()
    for i, parameter in enumerate(model.parameters()):
        parameter.data += 0.05 * random_array(i, parameter.data.shape, np.float32)
    return model


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
    from tests.shared import shared

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


# --- graphs that are almost a SqueezeNet ---


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


def test_predict_by_a_graph(path, tmp_path, capsys):
    from PIL import Image

    from npsqueeze.cli import main

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


# --- what cannot be read ---


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def conv(**attributes):
    return one_node("Conv", IMAGE, W, **attributes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            model_of(
                [
                    helper.make_node("Elu", ["x"], ["a"]),
                    helper.make_node("Tan", ["a"], ["b"]),
                    helper.make_node("Elu", ["b"], ["c"], domain="mine"),
                ],
                IMAGE,
                {},
            ),
            r"operators that npsqueeze does not know: Elu, Tan, mine\.Elu$",
        ),
        (conv(opset=2), "expected one opset from 3 to"),
        (conv(opset=999), "expected one opset from 3 to"),
        (conv(strjdes=[1, 1]), "Conv 'y': attributes without a meaning here: strjdes"),
        (conv(strides=[1]), r"strides: expected 2 ints from 1 to 4096, got \[1\]"),
        (conv(strides=[1, 0]), "strides: expected 2 ints"),
        (conv(strides=1), "strides: expected list, got int"),
        (conv(pads=[-1, 0, 0, 0]), "pads: expected 4 ints from 0"),
        (conv(pads=[LARGEST_WINDOW + 1] * 4), "pads: expected 4 ints from 0"),
        (conv(kernel_shape=[2, 2]), r"kernel_shape: expected \(3, 3\), got \(2, 2\)"),
        (conv(auto_pad="SAME"), "auto_pad: got 'SAME'"),
        (conv(group=0), "group: expected 1 to 4, got 0"),
        (conv(group=3), "groups: expected a divisor of 9 and 4, got 3"),
        (one_node("Conv", (2, 4, 8, 8), W), "y: expected 3 channels, got 4"),
        (one_node("Conv", (2, 3, 2, 8), W), "y: x: expected an image that holds a window"),
        (one_node("Conv", IMAGE, W[0]), r"input 1: expected 4 axes, got shape \(3, 3, 3\)"),
        (one_node("Conv", IMAGE), "input 1: expected a constant, got none"),
        (one_node("Conv", IMAGE, W.astype(int)), "expected floating-point weights, got int64"),
        (one_node("Conv", IMAGE, W.astype(np.float16)), "got ONNX's type 10"),
        (one_node("Conv", IMAGE, W * np.nan), "expected finite numbers, got 108 others"),
        (one_node("Conv", IMAGE, W, W[0, 0, 0].astype(float)), r"the bias: expected shape \(4,\)"),
        (
            one_node("Conv", IMAGE, W, W[:, 0, 0, 0].astype(float)),
            "input and weights of one type, got float32, float64",
        ),
        (one_node("MaxPool", IMAGE), "kernel_shape: expected 2 ints"),
        (one_node("Concat", IMAGE), "axis: expected one, got none"),
        (one_node("Dropout", IMAGE, np.array(1.5, np.float32)), "ratio: expected a probability"),
        (one_node("Dropout", IMAGE, np.array(0.5), np.array(True)), "training_mode"),
        (one_node("Reshape", IMAGE, np.array([5, -1])), "as many elements"),
        (one_node("Reshape", IMAGE, np.array([-1, -1])), "bad shape"),
        (one_node("Reshape", IMAGE, np.array([2.0])), "expected int64, got float64"),
        (one_node("Softmax", IMAGE, axis=4), "expected an axis of"),
        (model_of([helper.make_node("Relu", ["z"], ["y"])], IMAGE, {}), "reads 'z'"),
        (model_of([helper.make_node("Relu", ["x"], ["x"])], IMAGE, {}), "'x' is written twice"),
    ],
)
def test_what_is_not_ours(path, model, message):
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "expected the numbers in the file itself, got the name of another file"),
        (lambda m: m.graph.initializer[0].dims.append(2), "expected 216 numbers for shape"),
        (lambda m: m.graph.initializer[0].dims.append(-1), "expected at most 8 axes"),
        (lambda m: m.graph.initializer[0].dims.extend([2**31] * 2), "expected at most 8 axes"),
        (lambda m: m.graph.initializer[0].float_data.append(1), "expected 108 numbers"),
        (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "'w0' is there twice"),
        (lambda m: m.graph.input.append(m.graph.input[0]), "got 2 and 1"),
        (lambda m: m.graph.output.append(m.graph.output[0]), "got 1 and 2"),
        (lambda m: m.graph.ClearField("output"), "got 1 and 0"),
        (lambda m: m.graph.ClearField("node"), "does not depend on"),
        (lambda m: m.ClearField("graph"), "damaged, or no ONNX file"),
        (lambda m: m.graph.node.append(m.graph.node[0]), "'y' is written twice"),
        (lambda m: m.graph.node[0].ClearField("output"), "Conv"),
        (lambda m: m.opset_import.append(m.opset_import[0]), "expected one opset"),
        (lambda m: m.graph.sparse_initializer.add(), "dense weights"),
    ],
)
def test_damaged_models(path, change, message):
    model = conv()
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_sizes_are_looked_at_before_anything_is_allocated():
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    for sizes in ([LARGEST_TENSOR, 3, 1, 1], [2**62, 2**62, 4, 4], [-1, 3, 1, 1], [1] * 9):
        with pytest.raises(CheckpointError, match="expected at most"):
            read_model(model_of(nodes, IMAGE, {"shape": np.array(sizes)}))


def test_one_array_as_the_weights_of_many_layers(monkeypatch):
    """A thousand layers of a small file may not become a thousand copies of a large array."""
    filters = np.zeros((16, 16, 1, 1), np.float32)
    nodes = [helper.make_node("Conv", [f"v{i}", "w"], [f"v{i + 1}"]) for i in range(1000)]
    nodes.insert(0, helper.make_node("Relu", ["x"], ["v0"]))
    model = model_of(nodes, (1, 16, 1, 1), {"w": filters})
    assert len(read_model(model).graph.nodes) == 1001
    monkeypatch.setattr("npsqueeze.interop.onnx.reading.LARGEST_TENSOR", 999 * 256)
    with pytest.raises(CheckpointError, match=f"at most {999 * 256} weights in all"):
        read_model(model)


def test_other_files(tmp_path):
    for name, content in {"a": b"", "b": b"not a model", "c": bytes(1000)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged, or no ONNX file"):
            load(tmp_path / name)
    for name in ("nothing", "."):
        with pytest.raises(CheckpointError, match="no such file"):
            load(tmp_path / name)


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
    onnx.save(one_node("Gemm", (2, 3), W[0, 0]), path)
    assert load(path).output_shape((2, 3)) == (2, 3)
    with pytest.raises(CheckpointError, match="expected pictures of shape"):
        load_pretrained(path)


def test_without_the_package(path, monkeypatch):
    save(path, tiny_network(), image_size=16)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (load, load_pretrained, lambda p: save(p, tiny_network(), image_size=16)):
        with pytest.raises(ImportError, match=r'onnx is not .*: pip install "npsqueeze\[interop'):
            call(path)


def test_attributes_without_effect_are_few():
    assert len(WITHOUT_EFFECT) == 5


@pytest.fixture
def models(path):
    """Small models of ours, and in the zoo's old ways."""
    way = Preprocessing(16, 16, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    made = []
    for options in ({}, {"bypass": "complex"}, {"batch_norm": True, "head": "linear"}):
        save(path, tiny_network(**options), image_size=16, preprocessing=way, classes="abcdefghij")
        made.append(onnx.load(path))
    zoo = Zoo(tiny_network(), 3, [0, 0, 1, 1])
    zoo.caffe2()
    made += [zoo.proto((1, 3, 32, 32), listed=True), zoo.proto(("N", 3, 32, 32), as_nodes=True)]
    return made


def test_damaged_bytes(path, models):
    contents = [model.SerializeToString() for model in models]
    fuzzing.hold(load_pretrained, path, contents, CheckpointError)


def test_damaged_meaning(path, models):
    """The file is well formed, but some of its fields hold something else."""
    draw = np.random.default_rng(fuzzing.COUNT)
    read_anyway = 0
    for _ in range(fuzzing.COUNT):
        model = onnx.ModelProto()
        model.CopyFrom(models[draw.integers(len(models))])
        for _ in range(draw.integers(1, 4)):
            change_a_field(model, draw)
        path.write_bytes(model.SerializeToString())
        try:
            found = load_pretrained(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")
            continue
        read_anyway += 1
        size = found.preprocessing.size
        if size <= 64:  # what was read can be run
            dtypes = {parameter.data.dtype for parameter in found.model.parameters()}
            x = np.ones((1, 3, size, size), dtypes.pop() if dtypes else np.float32)
            with np.errstate(all="ignore"):
                assert found.model.forward(x).ndim == 2
    assert read_anyway > 0


def change_a_field(message, draw):
    """Walk down to a random field, and put something else there, or remove or repeat it."""
    while True:
        fields = message.ListFields()
        if not fields:
            return
        field, value = fields[draw.integers(len(fields))]
        repeated = not isinstance(value, int | float | str | bytes) and hasattr(value, "__len__")
        is_message = field.type == field.TYPE_MESSAGE
        if draw.random() < (0.02 if is_message else 0.3):
            if repeated and draw.random() < 0.7:
                _reorder(value, draw)
            else:
                message.ClearField(field.name)
            return
        if is_message:
            message = value[draw.integers(len(value))] if repeated else value
            continue
        if field.enum_type is not None:
            new = int(draw.choice([entry.number for entry in field.enum_type.values]))
        else:
            new = _other(value[draw.integers(len(value))] if repeated else value, draw)
        if repeated:
            value[int(draw.integers(len(value)))] = new
        else:
            setattr(message, field.name, new)
        return


def _reorder(values, draw):
    """Remove an entry, or repeat one."""
    place = int(draw.integers(len(values)))
    if draw.random() < 0.5:
        del values[place]
    elif hasattr(values, "add"):
        values.add().CopyFrom(values[place])
    else:
        values.append(values[place])


def _other(value, draw):
    """Return something of the same type."""
    names = ["x", "", "images", "Conv", "Relu", "Add", "Concat", "Flatten", "Identity", "Softmax"]
    numbers = [0, 1, 2, 3, 5, 7, 11, 16, 64, 1 << 20, (1 << 31) - 1]
    match value:
        case bool() | int():
            return int(draw.choice(numbers)) if draw.random() < 0.8 else -1
        case float():
            return float(draw.choice([0.0, -1.0, 0.5, 1e38, np.nan, np.inf]))
        case str():
            return str(draw.choice(names))
        case bytes():
            cut = int(draw.integers(len(value) + 1))
            return value[:cut] if draw.random() < 0.5 else value + value[:cut]
