"""The grammar of a SqueezeNet: a graph is read from its input to its output, layer by layer."""

from typing import Any, NamedTuple, TypeVar

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.interop.onnx.graph import Combination, Graph, Node
from npsqueeze.interop.onnx.layers import Add, Concat, GlobalAveragePool, Reshape, Softmax
from npsqueeze.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
)
from npsqueeze.metaparameters import FIRE_MODULES
from npsqueeze.module import Shape

Kind = TypeVar("Kind", bound=Module | Combination)


class Outline(NamedTuple):
    """What tells one SqueezeNet from another, but for the names and shapes of its weights."""

    stem: tuple[int, int, int]  # kernel size, stride, padding
    pool_after: tuple[int, ...]
    bypasses: tuple[str, ...]
    final_relu: bool
    dropout: float


class NoMatch(Exception):  # noqa: N818 (no error: the graph is another network)
    """The graph is no SqueezeNet of this package."""


class Parser:
    """Follows the graph from its input, and collects the weights under the names of SqueezeNet."""

    def __init__(self, graph: Graph, shape: Shape) -> None:
        self.graph, self.shapes = graph, graph.shapes(shape)
        self.value = graph.source
        self.taken = 0
        self.readers: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in graph.nodes:
            for name in dict.fromkeys(node.inputs):
                self.readers[name].append(node)
        self.state: dict[str, Array] = {}
        self.batch_norm: set[bool] = set()

    def outline(self) -> Outline:
        """Return the outline of the whole graph, or raise NoMatch."""
        stem = self._take(Conv2d)
        size, stride, padding, dilation, _ = stem.windows
        is_square = all(vertical == horizontal for vertical, horizontal in (size, stride, padding))
        if stem.groups != 1 or dilation != (1, 1) or not is_square:
            raise NoMatch
        self._keep("features.0", stem, self._normalisation("features.0_norm"))
        self._take(ReLU)
        index, unit = 2, 1
        pools, bypasses = [], []
        while unit <= FIRE_MODULES:
            if self._next_is(MaxPool2d):
                self._pool()
                pools.append(unit)
            else:
                bypasses.append(self._fire(f"features.{index}"))
                unit += 1
            index += 1
        if self._next_is(MaxPool2d):
            self._pool()
            pools.append(unit)
        final_relu, dropout = self._classifier()
        if len(set(pools)) < len(pools) or self.taken != len(self.graph.nodes):
            raise NoMatch
        if len(self.batch_norm) != 1:
            raise NoMatch
        windows = (size[0], stride[0], padding[0])
        return Outline(windows, tuple(pools), tuple(bypasses), final_relu, dropout)

    def _fire(self, name: str) -> str:
        """Take a Fire module; return its bypass."""
        x = self.value
        bypass_node, added = self._bypass(x)
        inside = [node for node in self.readers[x] if node not in (bypass_node, added)]
        if len(inside) != 1:
            raise NoMatch
        self._step(inside[0])
        squeeze = self._convolution(inside[0].layer, 1)
        self._keep(f"{name}.squeeze", squeeze, self._normalisation(f"{name}.squeeze_norm"))
        self._take(ReLU)
        branches, rectified = self._branches()
        sizes = [branch.windows.kernel_size[0] for branch in branches]
        if sizes != sorted(set(sizes)):
            raise NoMatch  # our own branches come once each, in the order of their sizes
        norm = None if rectified else self._normalisation(f"{name}.expand_norm")
        self.batch_norm.add(norm is not None)
        offset = 0
        for size, branch in zip(sizes, branches, strict=True):
            self._convolution(branch, size)
            self._keep(f"{name}.expand{size}x{size}", branch, norm, offset)
            offset += len(branch.weight.data)
        if not rectified:
            self._take(ReLU)
        kind = "none"
        if added is not None:
            other = bypass_node.output if bypass_node else x
            if sorted(added.inputs) != sorted((self.value, other)):
                raise NoMatch
            self._step(added)
            kind = "simple"
        if bypass_node is not None:
            self._keep(f"{name}.bypass", self._convolution(bypass_node.layer, 1), None)
            self.taken += 1
            kind = "complex"
        return kind

    def _bypass(self, x: str) -> tuple[Node | None, Node | None]:
        """Return the convolution around a Fire module and the addition, where there are any."""
        for node in self.readers[x]:
            if isinstance(node.layer, Add):
                return None, node
            for reader in self.readers[node.output]:
                if isinstance(node.layer, Conv2d) and isinstance(reader.layer, Add):
                    return node, reader
        return None, None

    def _branches(self) -> tuple[list[Conv2d], bool]:
        """Take what reads the squeezed image; tell whether a ReLU ends each branch, not all."""
        ends: dict[str, Conv2d] = {}
        rectified = set()
        for node in self.readers[self.value]:
            if not isinstance(node.layer, Conv2d):
                raise NoMatch
            self._step(node)
            rectified.add(self._next_is(ReLU))
            if self._next_is(ReLU):
                self._take(ReLU)
            ends[self.value] = node.layer
        if len(rectified) != 1:
            raise NoMatch
        if len(ends) > 1:
            ends = {name: ends[name] for name in self._join(list(ends))}
        return list(ends.values()), rectified.pop()

    def _join(self, ends: list[str]) -> tuple[str, ...]:
        """Take the concatenation of these values; return them in its order."""
        joins = [node for end in ends for node in self.readers[end]]
        concat = self._take(Concat)
        if joins != joins[:1] * len(ends) or concat.axis not in (1, -3):
            raise NoMatch
        if sorted(joins[0].inputs) != sorted(ends):
            raise NoMatch
        return joins[0].inputs

    def _convolution(self, layer: Any, size: int) -> Conv2d:
        """Return a convolution that keeps the image's size."""
        half = size // 2
        windows = ((size, size), (1, 1), (half, half), (1, 1))
        if not isinstance(layer, Conv2d) or layer.windows[:4] != windows or layer.groups != 1:
            raise NoMatch
        return layer

    def _pool(self) -> None:
        """Take a 3x3 max pooling with stride 2 that does what ceil mode would, at this size."""
        shape = self.shapes[self.value]
        layer = self._take(MaxPool2d)
        ours = MaxPool2d(3, stride=2, ceil_mode=True)
        if layer.windows[:4] != ours.windows[:4] or (
            layer.output_shape(shape) != ours.output_shape(shape)
        ):
            raise NoMatch

    def _classifier(self) -> tuple[bool, float]:
        """Take the rest; return whether a ReLU ends it, and the probability of dropout."""
        dropout = 0.0
        linear = self._next_is(GlobalAveragePool, AvgPool2d)
        if linear:
            self._average()
            self._reshapes()
        if self._next_is(Dropout):
            dropout = self._take(Dropout).p
        if linear:
            self._reshapes()
        last: Any = self._take(Linear if linear else Conv2d)
        final_relu = False
        if not linear:
            self._convolution(last, 1)
            final_relu = self._next_is(ReLU)
            if final_relu:
                self._take(ReLU)
            self._average()
        self._keep("classifier.1", last, None)
        self._reshapes()
        if self._next_is(Softmax):
            self._take(Softmax)
            self._reshapes()
        if self.value != self.graph.output:
            raise NoMatch
        return final_relu, dropout

    def _average(self) -> None:
        """Take an average over the whole image, by whatever windows."""
        if not self._next_is(AvgPool2d):
            self._take(GlobalAveragePool)
            return
        shape = self.shapes[self.value]
        layer = self._take(AvgPool2d)
        if layer.windows.kernel_size != shape[2:] or layer.windows.padding != (0, 0):
            raise NoMatch

    def _reshapes(self) -> None:
        while self._next_is(Reshape):
            self._take(Reshape)
            if self.shapes[self.value][0] != self.shapes[self.graph.source][0]:
                raise NoMatch  # images would get mixed up

    def _normalisation(self, name: str) -> str | None:
        """Take a batch normalisation if one is next; return its name."""
        found = self._next_is(BatchNorm2d)
        self.batch_norm.add(found)
        if not found:
            return None
        norm, ours = self._take(BatchNorm2d), BatchNorm2d(1)
        if norm.eps != ours.eps or norm.momentum != ours.momentum:
            raise NoMatch
        self.state |= {f"{name}.{part}": array for part, array in norm.state_dict().items()}
        return name

    def _keep(self, name: str, layer: Conv2d | Linear, norm: str | None, offset: int = 0) -> None:
        """Keep the weights of a convolution, and its bias where no normalisation takes it up.

        (x + b - μ)/σ = (x - (μ - b))/σ, for the channels from `offset` on.
        """
        weight = layer.weight.data
        bias = np.zeros(len(weight), weight.dtype) if layer.bias is None else layer.bias.data
        self.state[f"{name}.weight"] = weight
        if norm is None:
            self.state[f"{name}.bias"] = bias
        else:
            self.state[f"{norm}.running_mean"][offset : offset + len(bias)] -= bias

    def _next_is(self, *kinds: type[Module]) -> bool:
        """Tell whether the value at hand goes to one layer alone, of one of these kinds."""
        readers = self.readers[self.value]
        return len(readers) == 1 and isinstance(readers[0].layer, kinds)

    def _take(self, kind: type[Kind]) -> Kind:
        """Step over the only reader of the value at hand, a layer of this kind."""
        readers = self.readers[self.value]
        if len(readers) != 1 or not isinstance(readers[0].layer, kind):
            raise NoMatch
        self._step(readers[0])
        return readers[0].layer

    def _step(self, node: Node) -> None:
        self.value = node.output
        self.taken += 1
