"""ONNX's own interface to whatever runs a model, so that ONNX's own tests can be run on ours.

What is to pass is two-dimensional inference in float32 and float64 by the operators that a
SqueezeNet may have. Of the tests of onnx 1.23 that use these operators alone, 203, pass

- 130: Add, AveragePool, BatchNormalization, Concat, Constant, Conv, Dropout, Flatten, Gemm,
  GlobalAveragePool, Identity, MatMul, MaxPool, Relu, Reshape, Softmax, Sum, and ONNX's small
  SqueezeNet (with ConstantOfShape);

none fails that should pass, and 73 are out of scope:

- 40: images of one or three dimensions
- 12: training, and second outputs (the mask of dropout, the places of maxima)
- 10: integers, sequences, optional values
- 6: products of stacks of matrices
- 4: models without a network, of a constant alone
- 1: arrays without elements

`tests/test_interop_onnx_backend.py` runs all of them.
"""

from typing import Any

import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

from npsqueeze.arrays import Array
from npsqueeze.interop.onnx.reading import read_model


class Prepared(BackendRep):
    """A model that waits for its inputs.

    The graph has one input, the first; what else the model asks for is taken as constants, which
    weights are.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        known = {tensor.name for tensor in model.graph.initializer}
        self.names = [value.name for value in model.graph.input if value.name not in known]

    def run(self, inputs: Any, **_: Any) -> tuple[Array]:
        """Return the output for inputs in the model's order."""
        x, *others = inputs
        given = dict(zip(self.names[1:], others, strict=True))
        return (read_model(self.model, given=given).graph.forward(x),)


class NpsqueezeBackend(Backend):
    """What ONNX calls to run a model on the layers of this package, on the CPU."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> Prepared:
        """Return the model, checked by ONNX, ready to run."""
        super().prepare(model, device, **options)
        return Prepared(model)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **options: Any
    ) -> tuple[Array]:
        """Run one operator; its version is `opset_version` or the newest."""
        super().run_node(node, inputs, device, outputs_info, **options)
        values = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in zip(node.input, inputs, strict=True)
        ]
        output = onnx.ValueInfoProto(name=node.output[0])
        graph = helper.make_graph([node], "node", values, [output])
        opset = options.get("opset_version", onnx.defs.onnx_opset_version())
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        return Prepared(model).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether this is the CPU."""
        return device == "CPU"
