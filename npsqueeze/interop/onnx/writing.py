"""From a SqueezeNet to an ONNX file."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data.preprocessing import Preprocessing
from npsqueeze.files import write_whole
from npsqueeze.interop.extra import needs_extra
from npsqueeze.interop.safetensors import CLASSES, NETWORK, PREPROCESSING
from npsqueeze.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Fire,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
)
from npsqueeze.models import SqueezeNet
from npsqueeze.version import __version__

OPSET, IR_VERSION = 17, 8
INPUT, OUTPUT, BATCH = "images", "logits", "N"


def save(
    path: str | os.PathLike[str],
    model: SqueezeNet,
    *,
    image_size: int,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """Write a network, as it is in inference, to an ONNX file.

    The input "images" is float32 (N, 3, image_size, image_size) for any N, the output "logits"
    (N, classes). The weights stand under their names in `state_dict()`; the metaparameters,
    `preprocessing` and `classes` go along as JSON.

    Parameters
    ----------
    path : path
        The file, in a folder that exists; one that was there is replaced.
    model : SqueezeNet
        In float32.
    image_size : int
        Height and width of the pictures.
    preprocessing : Preprocessing, optional
        How the network sees pictures.
    classes : sequence of str, optional
        The name of each output.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated or does not suit the model, or a weight is not finite.
    CheckpointError
        If the file cannot be written.
    ImportError
        If onnx is not installed.
    """
    with needs_extra("onnx"):
        import onnx  # noqa: F401 (to say first of all that it is missing)
    _check(model, image_size, preprocessing, classes)
    metadata: dict[str, Any] = {NETWORK: model.config}
    if preprocessing is not None:
        metadata[PREPROCESSING] = preprocessing.as_dict()
    if classes is not None:
        metadata[CLASSES] = list(classes)
    write_whole(path, _Writer(model).proto(image_size, metadata).SerializeToString())


def _check(
    model: SqueezeNet,
    image_size: int,
    preprocessing: Preprocessing | None,
    classes: Sequence[str] | None,
) -> None:
    if not isinstance(model, SqueezeNet):
        raise TypeError(f"model: expected a SqueezeNet, got {type(model).__name__}")
    if not isinstance(image_size, int | np.integer):
        raise TypeError(f"image_size: expected an int, got {image_size!r}")
    model.output_shape((1, 3, image_size, image_size))
    for name, member in model.named_state():
        if member.data.dtype != np.float32:
            raise TypeError(
                f"model: expected weights of float32, got {name} of {member.data.dtype}"
            )
        if not np.isfinite(member.data).all():
            raise ValueError(f"model: expected finite weights, got others in {name}")
    if preprocessing is not None and preprocessing.size != image_size:
        raise ValueError(
            f"preprocessing: expected pictures of {image_size} pixels, got {preprocessing.size}"
        )
    if classes is not None and len(classes) != model.config["num_classes"]:
        raise ValueError(
            f"classes: expected {model.config['num_classes']} names, got {len(classes)}"
        )


class _Writer:
    """Walks through the layers, and keeps the value that the next one reads."""

    def __init__(self, model: SqueezeNet) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.value, self.classes = INPUT, model.config["num_classes"]
        for name, layer in model.named_layers():
            self.value = self._layer(name, layer, self.value)

    def proto(self, image_size: int, metadata: Mapping[str, Any]) -> Any:
        """Return the onnx.ModelProto, after ONNX's own check."""
        from onnx import TensorProto, checker, helper

        self.nodes[-1].output[0] = OUTPUT
        images = (BATCH, 3, int(image_size), int(image_size))
        graph = helper.make_graph(
            self.nodes,
            "SqueezeNet",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, images)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, (BATCH, self.classes))],
            self.initializers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="npsqueeze",
            producer_version=__version__,
        )
        helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
        checker.check_model(model, full_check=True)
        return model

    def _layer(self, name: str, layer: Any, x: str) -> str:
        """Append a layer that reads x; return the name of its result."""
        match layer:
            case Conv2d():
                return self._convolution(name, layer, x)
            case BatchNorm2d():
                arrays = [self._array(f"{name}.{key}", a) for key, a in layer.state_dict().items()]
                return self._node(
                    "BatchNormalization", name, x, *arrays,
                    epsilon=layer.eps, momentum=1 - layer.momentum,
                )  # fmt: skip
            case ReLU():
                return self._node("Relu", name, x)
            case MaxPool2d():
                size, stride, padding, _, ceil_mode = layer.windows
                return self._node(
                    "MaxPool", name, x,
                    kernel_shape=size, strides=stride, pads=padding * 2, ceil_mode=int(ceil_mode),
                )  # fmt: skip
            case Fire():
                return self._fire(name, layer, x)
            case Dropout():
                ratio = self._array(f"{name}.ratio", np.array(layer.p, np.float32))
                return self._node("Dropout", name, x, ratio)
            case GlobalAvgPool2d():
                return self._node(
                    "Flatten", name, self._node("GlobalAveragePool", f"{name}.pixel", x)
                )
            case Linear():
                arrays = [self._array(f"{name}.{key}", a) for key, a in layer.state_dict().items()]
                return self._node("Gemm", name, x, *arrays, transB=1)
        raise TypeError(f"{name}: there is no ONNX operator for {type(layer).__name__}")

    def _convolution(self, name: str, layer: Conv2d, x: str) -> str:
        arrays = [self._array(f"{name}.{key}", a) for key, a in layer.state_dict().items()]
        size, stride, padding, dilation, _ = layer.windows
        return self._node(
            "Conv", name, x, *arrays,
            kernel_shape=size, strides=stride, pads=padding * 2, dilations=dilation,
            group=layer.groups,
        )  # fmt: skip

    def _fire(self, name: str, fire: Fire, x: str) -> str:
        """Append the steps of `fire_forward`."""
        layers = fire.layers

        def normalised(key: str, value: str) -> str:
            norm = layers.get(key)
            return value if norm is None else self._layer(f"{name}.{key}", norm, value)

        squeezed = normalised("squeeze_norm", self._layer(f"{name}.squeeze", layers["squeeze"], x))
        squeezed = self._node("Relu", f"{name}.squeeze_relu", squeezed)
        branches = [
            self._layer(f"{name}.{key}", layer, squeezed)
            for key, layer in layers.items()
            if key.startswith("expand") and isinstance(layer, Conv2d)
        ]
        joined = normalised(
            "expand_norm", self._node("Concat", f"{name}.concat", *branches, axis=1)
        )
        if fire.bypass == "none":
            return self._node("Relu", name, joined)
        y = self._node("Relu", f"{name}.expand_relu", joined)
        if fire.bypass == "complex":
            x = self._layer(f"{name}.bypass", layers["bypass"], x)
        return self._node("Add", name, y, x)

    def _node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node whose result has its name."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _array(self, name: str, array: Array) -> str:
        """Append an array under its name."""
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(array, name))
        return name
