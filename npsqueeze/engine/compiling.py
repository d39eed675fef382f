"""From a network to its plan: which layers become which steps."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npsqueeze.engine.convolution import Branch, Convolution
from npsqueeze.engine.plan import Plan
from npsqueeze.engine.steps import (
    Addition,
    Dropping,
    GlobalAverage,
    MaxPooling,
    Normalisation,
    Step,
    Taught,
)
from npsqueeze.engine.tensors import Tensor
from npsqueeze.functional.windows import Windows
from npsqueeze.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Fire,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape

POINTWISE = Windows((1, 1), (1, 1), (0, 0))


def compile(  # noqa: A001 (as PyTorch calls it)
    model: Module, batch_shape: Shape, *, training: bool = True
) -> Plan:
    """Turn a network into a plan for batches of a shape: the same results up to rounding, faster.

    Parameters
    ----------
    model : SqueezeNet or Sequential
        Its last layer must return (N, classes).
    batch_shape : (N, C, H, W)
        N is the largest batch that the plan will take.
    training : bool
        Whether the plan will go backwards, too; without, it needs a fraction of the memory.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the shape does not suit the model.
    """
    model.output_shape(batch_shape)
    return _Compiler(model, batch_shape, training).plan()


class _Compiler:
    """Walks through the layers, and keeps the tensor that the next one reads."""

    def __init__(self, model: Module, shape: Shape, training: bool) -> None:
        self.model, self.dtype = model, model.parameters()[0].data.dtype
        self.training = training
        self.steps: list[Step] = []
        self.tensors: list[Tensor] = []
        self.x = self._tensor("input", shape, (shape[1],))
        self.x.in_vectors = self.x.has_gradient = False  # nobody asks for its gradient

    def plan(self) -> Plan:
        """Return the plan of all layers."""
        layers = list(_flat(self.model))
        unknown = []
        while layers:
            name, layer = layers.pop(0)
            if not (_is_own(layer) and self._append(name, layer, layers)):
                unknown.append(name)
                self._taught(name, layer)
        if unknown:
            warnings.warn(
                f"the engine does not know {', '.join(unknown)}: computed as without it",
                stacklevel=3,
            )
        return Plan(self.model, self.steps, self.tensors, self.training)

    def _append(self, name: str, layer: Module, following: list[tuple[str, Module]]) -> bool:
        """Add the steps of a layer, and tell whether there are such steps.

        What is fused with it is taken from the `following` layers.
        """
        if isinstance(layer, Conv2d) and layer.groups == 1 and self._can_go_back(layer):
            norm = self._next(following, BatchNorm2d)
            relu = self._next(following, ReLU)
            self._convolve(name, self.x, [layer], norm, relu is not None)
        elif isinstance(layer, Fire) and self._can_bypass(layer):
            self._fire(name, layer)
        elif isinstance(layer, MaxPool2d) and self.x.in_vectors:
            y = self._tensor(name, layer.output_shape(self.x.shape), self.x.parts)
            self._add(MaxPooling(name, self.x, y, layer), y)
        elif isinstance(layer, GlobalAvgPool2d) and self.x.in_vectors:
            y = self._tensor(name, (*self.x.shape[:2], 1, 1), self.x.parts)
            self._add(GlobalAverage(name, self.x, y), y)
        elif isinstance(layer, Dropout) and self.x.in_vectors:
            if layer.p > 0:
                y = self._tensor(name, self.x.shape, self.x.parts)
                self._add(Dropping(name, self.x, y, layer), y)
        elif isinstance(layer, Linear) and self.x.shape[2:] == (1, 1):
            self._linear(name, layer)
        else:
            return False
        return True

    def _can_go_back(self, layer: Conv2d) -> bool:
        """Tell whether the gradient of the layer's input is a convolution too, or not needed."""
        return layer.windows.stride == (1, 1) or not self.x.has_gradient

    def _can_bypass(self, fire: Fire) -> bool:
        """Tell whether a simple bypass finds the channels of x and y at the same places."""
        parts = [len(layer.weight.data) for layer in _branches(fire)]
        y = self._tensor("", fire.output_shape(self.x.shape), parts)
        same = np.array_equal(self.x.channel_places, y.channel_places)
        return fire.bypass != "simple" or (same and self.x.channels == y.channels)

    def _next(self, layers: list[tuple[str, Module]], kind: type) -> Any:
        """Take the next layer if it is of this kind."""
        return layers.pop(0)[1] if layers and type(layers[0][1]) is kind else None

    def _tensor(self, name: str, shape: Sequence[int], parts: Sequence[int]) -> Tensor:
        n, c, h, w = shape
        tensor = Tensor(name, (n, c, h, w), tuple(parts), self.dtype)
        tensor.has_gradient = self.training
        return tensor

    def _add(self, step: Step, y: Tensor) -> None:
        """Append a step, whose y the next one reads."""
        if not self.tensors:
            self.tensors.append(self.x)
        self.steps.append(step)
        self.tensors.append(y)
        self.x = y

    def _convolve(
        self, name: str, x: Tensor, layers: Sequence[Conv2d], norm: Any, relu: bool,
        parts: Sequence[int] | None = None,
    ) -> Tensor:  # fmt: skip
        """Append convolutions of x side by side, their normalisation and ReLU; return the result.

        Each writes one part of the result; a single one may write `parts` of other sizes.
        """
        filters = [len(layer.weight.data) for layer in layers]
        shape = layers[0].output_shape(x.shape)
        shape = (shape[0], sum(filters), *shape[2:])
        branches = [
            Branch(layer.weight, layer.bias, layer.windows, None if parts else part)
            for part, layer in enumerate(layers)
        ]
        y = self._tensor(name, shape, parts or filters)
        self._add(Convolution(name, x, y, branches, relu and norm is None), y)
        if norm is None:
            return y
        result = self._tensor(f"{name} normalised", shape, filters)
        y.borrow_gradient(result)
        self._add(Normalisation(f"{name} norm", y, result, norm, relu), result)
        return result

    def _fire(self, name: str, fire: Fire) -> None:
        """Append the steps of a Fire module."""
        x, layers = self.x, fire.layers
        squeeze: Any = layers["squeeze"]
        squeezed = self._convolve(
            f"{name}.squeeze", x, [squeeze], layers.get("squeeze_norm"), relu=True
        )
        expanded = self._convolve(
            f"{name}.expand", squeezed, _branches(fire), layers.get("expand_norm"), relu=True
        )
        if fire.bypass == "none":
            return
        other, bypass = x, layers.get("bypass")
        if isinstance(bypass, Conv2d):
            other = self._convolve(
                f"{name}.bypass", x, [bypass], norm=None, relu=False, parts=expanded.parts
            )
        y = self._tensor(f"{name} sum", expanded.shape, expanded.parts)
        self._add(Addition(f"{name} sum", expanded, other, y), y)

    def _linear(self, name: str, layer: Linear) -> None:
        """Append a linear layer: a convolution of an image of one pixel."""
        y = self._tensor(
            name, (self.x.shape[0], len(layer.weight.data), 1, 1), (len(layer.weight.data),)
        )
        branch = Branch(_AsImage(layer.weight), layer.bias, POINTWISE)  # type: ignore[arg-type]
        self._add(Convolution(name, self.x, y, [branch], relu=False), y)

    def _taught(self, name: str, layer: Module) -> None:
        shape = layer.output_shape(self.x.shape)
        n, c, h, w = (*shape, 1, 1)[:4]
        y = self._tensor(name, (n, c, h, w), (c,))
        self._add(Taught(name, self.x, y, layer), y)


def _branches(fire: Fire) -> list[Conv2d]:
    """Return the expand convolutions."""
    return [
        layer
        for name, layer in fire.layers.items()
        if isinstance(layer, Conv2d) and name.startswith("expand")
    ]


class _AsImage:
    """A matrix (F, C) seen as filters (F, C, 1, 1)."""

    def __init__(self, parameter: Any) -> None:
        self.parameter = parameter

    @property
    def data(self) -> Any:
        return self.parameter.data[:, :, None, None]

    @property
    def grad(self) -> Any:
        return self.parameter.grad[:, :, None, None]


def _is_own(layer: Module) -> bool:
    """Tell whether a layer is one of the package's: what is derived from it may compute more."""
    return type(layer).__module__ == Conv2d.__module__


def _flat(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield the layers of a network in order, with their names."""
    if type(module) in (Sequential, SqueezeNet):
        for name, member in module.members().items():
            if isinstance(member, Module):
                yield from _flat(member, f"{prefix}{name}.")
    else:
        yield prefix.rstrip("."), module
