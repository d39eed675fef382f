"""From an ONNX file to a `Graph` of our layers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.extra import needs_extra
from npsqueeze.interop.onnx.graph import Combination, Graph, Node
from npsqueeze.interop.onnx.operation import Operation
from npsqueeze.interop.onnx.operators import OPERATORS
from npsqueeze.interop.onnx.tensors import DTYPES, LARGEST_TENSOR, read_tensor, repeated
from npsqueeze.layers import Dropout, Module, Parameter
from npsqueeze.module import first_names

CONSTANTS = ("Constant", "ConstantOfShape", "Identity")
"""Operators that are done with when the file is read."""

LARGEST_FILE = 1 << 30  # bytes; a SqueezeNet has 5 million
OLDEST_OPSET = 3


class Contents(NamedTuple):
    """What a file holds: the network, the shape of its input (None: any size), and remarks."""

    graph: Graph
    input_shape: tuple[int | None, ...] | None
    metadata: dict[str, str]


def read(path: str | os.PathLike[str]) -> Contents:
    """Return what the ONNX file `path` holds.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or no network that our layers can compute.
    ImportError
        If onnx is not installed.
    """
    return read_model(parse(path), str(path))


def parse(path: str | os.PathLike[str]) -> Any:
    """Return the file as an onnx.ModelProto, of which nothing is checked yet."""
    with needs_extra("onnx"):
        from onnx import ModelProto

    try:
        if not Path(path).is_file():  # a pipe or a device might never end
            raise CheckpointError(f"{path}: no such file")
        size = Path(path).stat().st_size
        if size > LARGEST_FILE:
            raise CheckpointError(f"{path}: expected at most {LARGEST_FILE} bytes, got {size}")
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own DecodeError, which has moved between its versions
        raise CheckpointError(f"{path}: damaged, or no ONNX file ({error})") from error
    if not model.HasField("graph"):
        raise CheckpointError(f"{path}: damaged, or no ONNX file: there is no graph in it")
    return model


def read_model(
    model: Any, origin: str = "model", given: Mapping[str, Array] | None = None
) -> Contents:
    """Return what an onnx.ModelProto holds.

    Parameters
    ----------
    model : onnx.ModelProto
    origin : str
        What an error says first.
    given : mapping of names to arrays, optional
        Inputs that are to be constants.

    Raises
    ------
    CheckpointError
        If the model is not one that our layers can compute.
    """
    try:
        return _Reader(model, given or {}).contents()
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{origin}: {error}") from error


class _Reader:
    """Walks through the nodes, and keeps what is known: constants, other names, layers."""

    def __init__(self, model: Any, given: Mapping[str, Array]) -> None:
        self.model, self.proto = model, model.graph
        self.opset = _opset(model)
        _check_operators(self.proto)
        if self.proto.sparse_initializer:
            raise ValueError("expected dense weights, got sparse ones")
        self.constants = dict(given)
        for tensor in self.proto.initializer:
            if tensor.name in self.constants:
                raise ValueError(f"{tensor.name!r} is there twice")
            self.constants[tensor.name] = _named(tensor.name, read_tensor, tensor)
        self.other_names: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.size = 0  # elements beyond those that stand in the file

    def contents(self) -> Contents:
        """Return the graph, after a look at what comes in."""
        inputs = [value for value in self.proto.input if value.name not in self.constants]
        if len(inputs) != 1 or len(self.proto.output) != 1:
            raise ValueError(
                "expected a network of one input and one output, got "
                f"{len(inputs)} and {len(self.proto.output)}"
            )
        for proto in self.proto.node:
            _named(f"{proto.op_type} {', '.join(proto.output)!r}", self._node, proto)
        read = {name for node in self.nodes for name in node.inputs}
        learned = {
            name: Parameter(array.copy()) for name, array in self.constants.items() if name in read
        }
        output = self.proto.output[0].name
        graph = Graph(self.nodes, learned, inputs[0].name, self.other_names.get(output, output))
        types = {_declared_type(inputs[0])}
        types.update(member.data.dtype for _, member in graph.named_state())
        if len(types) > 1:
            names = ", ".join(sorted(map(str, types)))
            raise ValueError(f"expected input and weights of one type, got {names}")
        shape = _declared_shape(inputs[0])
        if shape is not None and None not in shape[1:]:
            graph.output_shape((shape[0] or 1, *(size for size in shape[1:] if size is not None)))
        metadata = {entry.key: entry.value for entry in self.model.metadata_props}
        return Contents(graph.eval(), shape, metadata)

    def _node(self, proto: Any) -> None:
        operation = Operation(proto, self.opset, self.constants)
        inputs = [self.other_names.get(name, name) for name in operation.inputs]
        operation.inputs = inputs
        output = operation.output
        if output in self.constants or output in self.other_names:
            raise ValueError("is written twice")
        if operation.kind in CONSTANTS:
            self._known(operation, output)
            return
        layer = OPERATORS[operation.kind](operation)
        operation.finish()
        if isinstance(layer, Dropout):
            layer.seed = len(self.nodes)  # with one seed, two layers would drop the same places
        if isinstance(layer, Module):  # a file may name one array as the weights of many layers
            self.size += sum(member.data.size for _, member in layer.named_state())
            if self.size > LARGEST_TENSOR:
                raise ValueError(f"expected at most {LARGEST_TENSOR} weights in all, got more")
        read = inputs if isinstance(layer, Combination) else inputs[:1]
        if not read or not all(read):
            raise ValueError("expected an input, got none")
        self.nodes.append(Node(layer, tuple(read), output))

    def _known(self, operation: Operation, output: str) -> None:
        """Take note of a value that nothing needs to be run for."""
        if operation.kind == "Constant":
            tensor = operation.tensor("value")
            if tensor is None:
                raise ValueError("expected a tensor as its value")
            self.constants[output] = read_tensor(tensor)
        elif operation.kind == "ConstantOfShape":
            value, shape = operation.tensor("value"), operation.constant(0)
            self.constants[output] = array = repeated(value, shape, LARGEST_TENSOR - self.size)
            self.size += array.size
        elif len(operation.inputs) != 1:
            raise ValueError("expected one input")
        elif operation.inputs[0] in self.constants:
            self.constants[output] = operation.constant(0)
        else:
            self.other_names[output] = operation.inputs[0]
        operation.finish()


def _opset(model: Any) -> int:
    """Return the version of ONNX's own operators."""
    from onnx.defs import onnx_opset_version

    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx_opset_version()
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
        raise ValueError(f"expected one opset from {OLDEST_OPSET} to {newest}, got {versions}")
    return int(versions[0])


def _check_operators(graph: Any) -> None:
    """Raise ValueError, naming all at once, if there are operators that we do not know."""
    for node in graph.node:
        if not all(isinstance(name, str) for name in (node.op_type, *node.input, *node.output)):
            raise ValueError("expected names of UTF-8, got other bytes")
    kinds = {
        node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        for node in graph.node
    }
    unknown = sorted(kinds - OPERATORS.keys() - set(CONSTANTS))
    if unknown:
        raise ValueError(f"operators that npsqueeze does not know: {first_names(unknown, most=20)}")


def _declared_type(value: Any) -> np.dtype[Any]:
    """Return the type of an input's elements, float32 or float64."""
    dtype = np.dtype(DTYPES.get(value.type.tensor_type.elem_type, np.void))
    if dtype.kind != "f":
        raise ValueError(f"{value.name}: expected an input of float32 or float64 numbers")
    return dtype


def _declared_shape(value: Any) -> tuple[int | None, ...] | None:
    """Return the shape of an input as the file states it; a size that it leaves open is None."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    sizes = [size.dim_value or None for size in kind.shape.dim]  # 0 where it is a name, or nothing
    if any(size is not None and size < 1 for size in sizes):
        raise ValueError(f"{value.name}: expected sizes of at least 1, got {sizes}")
    return tuple(sizes)


def _named(name: str, function: Any, argument: Any) -> Any:
    """Put a name in front of an error that comes from a call."""
    try:
        return function(argument)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
