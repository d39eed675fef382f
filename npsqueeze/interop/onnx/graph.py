"""A network that is no chain: layers that read named values, and each write one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from npsqueeze.arrays import Array
from npsqueeze.layers import BatchNorm2d, Conv2d, Linear, Module, Parameter
from npsqueeze.module import Shape

LARGEST_VALUE = 1 << 30
"""No value of a graph may have more elements: a file of a few bytes could ask for any number."""


class Combination(ABC):
    """A layer without parameters that makes one value of several."""

    cache: Any

    @abstractmethod
    def forward(self, *xs: Array) -> Array:
        """Return the output, and keep what `backward` needs."""

    @abstractmethod
    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return the gradient of each input of the last `forward`."""

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape of the output for inputs of these shapes."""


class Node(NamedTuple):
    """A layer, the names of the values that it reads (one, unless it combines), and its own."""

    layer: Module | Combination
    inputs: tuple[str, ...]
    output: str


class Graph(Module):
    """Layers in the order in which they run, with the values between them by name.

    Any number of layers may read one value; its gradient is the sum of what comes back from them.

    Parameters
    ----------
    nodes : sequence of Node
        Each reads only values that are there already. What the output does not need is left out.
    parameters : mapping of names to Parameter
        Learned values that combinations read.
    source, output : str
        The names of the values that `forward` takes and returns.

    Raises
    ------
    ValueError
        If a value is read before it is written, is written twice, or the output does not depend on
        the input.
    """

    def __init__(
        self, nodes: Sequence[Node], parameters: Mapping[str, Parameter], source: str, output: str
    ) -> None:
        super().__init__()
        written = {source, *parameters}
        for node in nodes:
            for name in node.inputs:
                if name not in written:
                    raise ValueError(f"nodes: {node.output!r} reads {name!r}, which is not there")
            if node.output in written:
                raise ValueError(f"nodes: {node.output!r} is written twice")
            written.add(node.output)
        needed, kept = {output}, []
        for node in reversed(nodes):
            if node.output in needed:
                needed.update(node.inputs)
                kept.append(node)
        if output not in written or source not in needed:
            raise ValueError(
                f"nodes: the output {output!r} does not depend on the input {source!r}"
            )
        self.nodes = kept[::-1]
        self.learned = {name: value for name, value in parameters.items() if name in needed}
        self.source, self.output = source, output

    def members(self) -> Mapping[str, Any]:
        """Return the layers by the names of their outputs, and the parameters by their own."""
        layers = {node.output: node.layer for node in self.nodes}
        return self.learned | layers

    def forward(self, x: Array) -> Array:
        """Run the nodes one after another.

        Raises
        ------
        TypeError, ValueError
            If x, or what becomes of it, is not what a layer takes.
        """
        self.output_shape(x.shape)
        values = {name: parameter.data for name, parameter in self.learned.items()}
        values[self.source] = x
        for node in self.nodes:
            values[node.output] = node.layer.forward(*(values[name] for name in node.inputs))
        return values[self.output]

    def backward(self, dy: Array) -> Array:
        """Run the nodes backwards; a value's gradient is complete when its writer's turn comes."""
        gradients = {self.output: dy}
        for node in reversed(self.nodes):
            dxs = node.layer.backward(gradients.pop(node.output))
            # forward: every reader of a value got all of it
            for name, dx in zip(
                node.inputs, dxs if isinstance(dxs, tuple) else (dxs,), strict=True
            ):
                gradients[name] = gradients[name] + dx if name in gradients else dx
        for name, parameter in self.learned.items():
            parameter.grad += gradients[name]
        return gradients[self.source]

    def shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return the shape of every value for an input of `shape`.

        Raises
        ------
        ValueError
            If it does not suit a layer, or a value would have more than `LARGEST_VALUE` elements.
        """
        shapes = {name: parameter.data.shape for name, parameter in self.learned.items()}
        shapes[self.source] = shape
        for node in self.nodes:
            inputs = [shapes[name] for name in node.inputs]
            try:
                _check_channels(node.layer, *inputs)
                shapes[node.output] = result = node.layer.output_shape(*inputs)
            except (ValueError, TypeError, IndexError) as error:
                raise ValueError(f"{node.output}: {error} (inputs {_listed(inputs)})") from error
            if math.prod(result) > LARGEST_VALUE:
                raise ValueError(
                    f"{node.output}: expected at most {LARGEST_VALUE} elements, got {result}"
                )
        return shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output."""
        return self.shapes(shape)[self.output]

    def macs(self, shape: Shape) -> int:
        """Return the sum over the layers."""
        shapes = self.shapes(shape)
        return sum(
            node.layer.macs(shapes[node.inputs[0]])
            for node in self.nodes
            if isinstance(node.layer, Module)
        )


def _check_channels(layer: Module | Combination, shape: Shape, *_: Shape) -> None:
    """Raise ValueError unless an input has as many channels as the layer's weights expect."""
    for module in layer.modules() if isinstance(layer, Module) else ():
        match module:
            case Conv2d():
                expected = module.weight.data.shape[1] * module.groups
            case Linear():
                expected = module.weight.data.shape[1]
            case BatchNorm2d():
                expected = len(module.weight.data)
            case _:
                continue
        if shape[1] != expected:
            raise ValueError(f"expected {expected} channels, got {shape[1]}")


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes))
