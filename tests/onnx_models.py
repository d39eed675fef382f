"""ONNX files as others write them; tests that import this are skipped without onnx."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.arrays import Array
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape
from tests.strategies import random_array

onnx = pytest.importorskip("onnx")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper


def model_of(
    nodes: Sequence[Any],
    shape: Sequence[int | str],
    weights: Mapping[str, Array],
    opset: int = 17,
    *,
    element: int = TensorProto.FLOAT,
    listed: bool = False,
    as_nodes: bool = False,
) -> Any:
    """Return the model of `nodes` from the value "x" to the output of the last one.

    The weights are initialisers, `listed` among the inputs too (as before IR version 4), or
    `as_nodes` the values of Constant nodes.
    """
    tensors = {name: numpy_helper.from_array(array, name) for name, array in weights.items()}
    inputs = [helper.make_tensor_value_info("x", element, shape)]
    if listed:
        inputs[:0] = [
            helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
            for name, tensor in tensors.items()
        ]
    constants = [helper.make_node("Constant", [], [name], value=t) for name, t in tensors.items()]
    graph = helper.make_graph(
        constants + list(nodes) if as_nodes else nodes,
        "a graph",
        inputs,
        [helper.make_tensor_value_info(nodes[-1].output[0], element, None)],
        [] if as_nodes else list(tensors.values()),
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if listed else 8
    )


def one_node(
    operator: str, shape: Shape, *weights: Array, opset: int = 17, **attributes: Any
) -> Any:
    """Return the model of one operator, whose first input is "x" and whose others are weights."""
    named = {f"w{i}": array for i, array in enumerate(weights)}
    node = helper.make_node(operator, ["x", *named], ["y"], **attributes)
    element = (
        TensorProto.DOUBLE if weights and weights[0].dtype == np.float64 else TensorProto.FLOAT
    )
    return model_of([node], shape, named, opset, element=element)


def zoo_network(version: str) -> SqueezeNet:
    """Return a small network of seven classes, its biases not zero."""
    model = nps.squeezenet(version, num_classes=7, seed=3, width=1 / 8).eval()
    for i, parameter in enumerate(model.parameters()):
        parameter.data += 0.05 * random_array(i, parameter.data.shape, np.float32)
    return model


class Zoo:
    """A SqueezeNet in the way of the public model zoo, under Caffe's names.

    A ReLU follows each expand convolution, before they are joined.
    """

    def __init__(self, model: SqueezeNet, opset: int, pads: Sequence[int]) -> None:
        self.state, self.opset, self.pads = model.state_dict(), opset, pads
        self.legacy: dict[str, Any] = {"is_test": 1} if opset < 7 else {}
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self.value = "x"
        self.count = 0
        fire = 2
        for name, layer in model.features.layers.items():
            match type(layer).__name__:
                case "Conv2d":
                    self.conv("conv1", f"features.{name}", strides=layer.windows.stride)
                case "MaxPool2d":
                    self.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=pads)
                case "Fire":
                    self.fire(f"fire{fire}", f"features.{name}")
                    fire += 1

    def add(self, operator: str, *others: str, value: str | None = None, **attributes: Any) -> str:
        """Append a node that reads the value at hand."""
        self.count += 1
        output = f"r{self.count}"
        inputs = [self.value if value is None else value, *others]
        outputs = [output, "mask"] if operator == "Dropout" else [output]
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        self.value = output
        return output

    def conv(self, name: str, ours: str, value: str | None = None, **attributes: Any) -> str:
        """Append a convolution and its ReLU."""
        w = self.weights[f"{name}_w_0"] = self.state[f"{ours}.weight"]
        self.weights[f"{name}_b_0"] = self.state[f"{ours}.bias"]
        padding = [w.shape[2] // 2] * 4 if name != "conv1" else [0] * 4
        self.add(
            "Conv", f"{name}_w_0", f"{name}_b_0", value=value,
            kernel_shape=w.shape[2:], pads=padding, **attributes,
        )  # fmt: skip
        return self.add("Relu")

    def fire(self, name: str, ours: str) -> None:
        """Append a Fire module."""
        squeezed = self.conv(f"{name}/squeeze1x1", f"{ours}.squeeze")
        small = self.conv(f"{name}/expand1x1", f"{ours}.expand1x1", squeezed)
        large = self.conv(f"{name}/expand3x3", f"{ours}.expand3x3", squeezed)
        self.add("Concat", large, value=small, axis=1)

    def caffe2(self) -> None:
        """Append the classifier as Caffe2 wrote it: global average, softmax over four axes."""
        self.add("Dropout", ratio=0.5, **self.legacy)
        self.conv("conv10", "classifier.1")
        self.add("GlobalAveragePool")
        self.add("Softmax")

    def mxnet(self, pixels: int, classes: int) -> None:
        """Append the classifier as MXNet wrote it: an average over a window, a reshape."""
        self.add("Dropout", ratio=0.5, **self.legacy)
        self.conv("conv10", "classifier.1")
        self.add("AveragePool", kernel_shape=[pixels] * 2, strides=[pixels] * 2, pads=[0] * 4)
        if self.opset < 5:
            self.add("Reshape", shape=[1, classes])
        else:
            self.weights["shape"] = np.array([0, -1])
            self.add("Reshape", "shape")

    def proto(self, shape: Sequence[int | str], **options: Any) -> Any:
        """Return the model."""
        return model_of(self.nodes, shape, self.weights, self.opset, **options)
