"""The operators of ONNX, old and new, as our layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze.interop.onnx.reading import read_model
from npsqueeze.interop.onnx.windows import Geometry, Pooling
from npsqueeze.layers import AvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, Sequential
from tests import tiny
from tests.onnx_models import helper, model_of, numpy_helper, one_node
from tests.strategies import assert_close, random_array

one_thread = tiny.one_thread
W = random_array(0, (4, 3, 3, 3), np.float32)
IMAGE = (2, 3, 8, 8)


def only_layer(model):
    """Return the one layer of a model."""
    (node,) = read_model(model).graph.nodes
    return node.layer


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


def test_two_dropouts_drop_other_places():
    nodes = [helper.make_node("Dropout", [a], [b]) for a, b in ("xa", "ay")]
    graph = read_model(model_of(nodes, IMAGE, {}, opset=13)).graph.train()
    kept = graph.forward(np.ones(IMAGE, np.float32)) > 0
    assert 0.1 < kept.mean() < 0.4  # a quarter; with one seed it were a half


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
