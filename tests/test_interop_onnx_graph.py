"""Graphs of layers: values with several readers, forward and backward."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.interop.onnx.graph import LARGEST_VALUE, Graph, Node
from npsqueeze.interop.onnx.layers import Add, Concat, Flatten
from npsqueeze.layers import BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, Parameter, ReLU
from tests.strategies import random_array
from tests.tiny import one_thread  # noqa: F401


def branching_graph(dtype=np.float64):
    """x goes to a and b; b to three readers, one of them twice; a constant joins in."""
    graph = Graph(
        [
            Node(Conv2d(2, 3, 3, padding=1), ("x",), "a"),
            Node(Conv2d(2, 3, 1), ("x",), "b"),
            Node(Add(), ("b", "b"), "twice"),
            Node(Conv2d(3, 3, 1), ("b",), "unused"),
            Node(Add(), ("a", "b"), "sum"),
            Node(Concat(1), ("sum", "twice", "b"), "joined"),
            Node(Add(), ("joined", "shift"), "shifted"),
            Node(Flatten(1), ("shifted",), "flat"),
            Node(Linear(9 * 4 * 4, 2), ("flat",), "y"),
        ],
        {"shift": Parameter(np.zeros((9, 1, 1)))},
        "x",
        "y",
    ).astype(dtype)
    for seed, parameter in enumerate(graph.parameters()):
        parameter.data[...] = random_array(seed, parameter.data.shape)
    return graph


def test_forward():
    graph = branching_graph()
    x = random_array(7, (3, 2, 4, 4))
    layers = {node.output: node.layer for node in graph.nodes}
    a, b = layers["a"].forward(x), layers["b"].forward(x)
    joined = np.concatenate([a + b, b + b, b], axis=1) + graph.learned["shift"].data
    expected = layers["y"].forward(joined.reshape(3, -1))
    np.testing.assert_allclose(graph.forward(x), expected, rtol=1e-12)


def test_gradients():
    """Of the input and of every parameter; what two readers send back adds up."""
    graph = branching_graph()
    parameters = graph.parameters()
    assert len(parameters) == 7

    def forward(x, *arrays):
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.data = array
        return graph.forward(x), None

    def backward(dy, _):
        graph.zero_grad()
        dx = graph.backward(dy)
        return dx, *(parameter.grad for parameter in parameters)

    arrays = [parameter.data for parameter in parameters]
    nps.gradcheck(forward, backward, (random_array(7, (2, 2, 4, 4)), *arrays))


def test_gradients_add_up_over_passes():
    graph = branching_graph()
    x, dy = random_array(1, (2, 2, 4, 4)), random_array(2, (2, 2))
    graph.forward(x)
    graph.backward(dy)
    once = [parameter.grad.copy() for parameter in graph.parameters()]
    graph.backward(dy)
    for parameter, grad in zip(graph.parameters(), once, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * grad, rtol=1e-12)


def test_state():
    graph = branching_graph(np.float32)
    assert "unused.weight" not in graph.state_dict()
    assert set(graph.state_dict()) == {
        "shift", *(f"{name}.{part}" for name in "aby" for part in ("weight", "bias")),
    }  # fmt: skip
    assert graph.output_shape((5, 2, 4, 4)) == (5, 2)
    assert graph.macs((1, 2, 4, 4)) == 16 * (2 * 3 * 9 + 2 * 3) + 9 * 16 * 2


def test_training_reaches_the_layers():
    graph = Graph(
        [Node(Dropout(0.5, seed=0), ("x",), "a"), Node(BatchNorm2d(2), ("a",), "y")], {}, "x", "y"
    )
    x = random_array(0, (2, 2, 3, 3), np.float32)
    graph.forward(x)
    assert graph.state_dict()["y.running_mean"].any()
    assert (graph.eval().nodes[0].layer.forward(x) == x).all()


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("y", "a")], "'y' reads 'a', which is not there"),
        ([("a", "b"), ("b", "x"), ("y", "a")], "'a' reads 'b', which is not there"),
        ([("y", "x"), ("y", "x")], "'y' is written twice"),
        ([("x", "x")], "'x' is written twice"),
        ([("z", "x")], "output 'y' does not depend on the input 'x'"),
        ([("y", "c")], "output 'y' does not depend on the input 'x'"),
        ([], "output 'y' does not depend on the input 'x'"),
    ],
)
def test_what_is_no_graph(nodes, message):
    made = [Node(ReLU(), (read,), written) for written, read in nodes]
    with pytest.raises(ValueError, match=message):
        Graph(made, {"c": Parameter(np.ones(1))}, "x", "y")


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(2, 2, 1), (1, 3, 4, 4), "y: expected 2 channels, got 3"),
        (Conv2d(2, 2, 1), (2,), "y: .*index"),
        (BatchNorm2d(2), (1, 3, 4, 4), "y: expected 2 channels, got 3"),
        (Linear(2, 2), (1, 3), "y: expected 2 channels, got 3"),
        (MaxPool2d(3), (1, 3, 2, 2), "y: x: expected an image that holds a window"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    graph = Graph([Node(layer, ("x",), "y")], {}, "x", "y")
    with pytest.raises(ValueError, match=message):
        graph.forward(np.ones(shape, np.float32))


def test_a_graph_that_would_fill_the_memory():
    """Sixty doublings: each is two names in the file, all together 2^60 numbers."""
    nodes = [Node(Concat(0), (f"v{i}", f"v{i}"), f"v{i + 1}") for i in range(60)]
    graph = Graph(nodes, {}, "v0", "v60")
    with pytest.raises(ValueError, match=f"expected at most {LARGEST_VALUE} elements"):
        graph.forward(np.ones((1, 1, 1, 1), np.float32))
