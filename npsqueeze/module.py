"""What every layer is: parameters by name, a forward and a backward pass, a state to save."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from npsqueeze.arrays import Array, check_shape

Shape = tuple[int, ...]


class Buffer:
    """An array that belongs to a layer's state but is not learned, such as a running mean."""

    def __init__(self, data: Array) -> None:
        self.data = data


class Parameter(Buffer):
    """An array that is learned: `data`, and `grad`, the gradient of the loss with respect to it."""

    def __init__(self, data: Array) -> None:
        super().__init__(data)
        self.grad = np.zeros_like(data)


class Module(ABC):
    """What all layers share: parameters by name, a state to save, and the mode of training."""

    def __init__(self) -> None:
        self.training = True
        self.cache: Any = None

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the output for x, and keep what `backward` needs."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Return dx for the last `forward`, and add to the parameters' gradients."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output for an input of `shape`, without computing anything."""

    def macs(self, shape: Shape) -> int:
        """Return the multiply-accumulate operations of `forward` for an input of `shape`."""
        return 0

    def activations(self, shape: Shape) -> int:
        """Return how many numbers `forward` writes for an input of `shape`."""
        return math.prod(self.output_shape(shape))

    def __call__(self, x: Array) -> Array:
        """Return `forward(x)`."""
        return self.forward(x)

    def members(self) -> Mapping[str, Any]:
        """Return what the layer holds, by name: buffers, parameters and other layers."""
        return vars(self)

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """Yield every parameter and buffer, of inner layers also, with its full name."""
        for name, member in self.members().items():
            if isinstance(member, Buffer):
                yield prefix + name, member
            elif isinstance(member, Module):
                yield from member.named_buffers(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its full name."""
        for name, member in self.named_buffers():
            if isinstance(member, Parameter):
                yield name, member

    def parameters(self) -> list[Parameter]:
        """Return every parameter."""
        return [parameter for _, parameter in self.named_parameters()]

    def modules(self) -> Iterator["Module"]:
        """Yield this layer and every inner one."""
        yield self
        for member in self.members().values():
            if isinstance(member, Module):
                yield from member.modules()

    def zero_grad(self) -> None:
        """Clear the gradients, to which each `backward` adds."""
        for parameter in self.parameters():
            parameter.grad[...] = 0

    def train(self, mode: bool = True) -> "Module":
        """Switch dropout and batch normalisation to training, or to inference."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Switch to inference: no dropout, and batch normalisation by the running statistics."""
        return self.train(False)

    def astype(self, dtype: npt.DTypeLike) -> "Module":
        """Convert all parameters, gradients and buffers in place, and return the module."""
        for _, buffer in self.named_buffers():
            buffer.data = buffer.data.astype(dtype)
            if isinstance(buffer, Parameter):
                buffer.grad = buffer.grad.astype(dtype)
        return self

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers, by name."""
        return {name: buffer.data.copy() for name, buffer in self.named_buffers()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over the values of `state`, converted to the module's own type.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape differs; nothing is changed then.
        """
        own = dict(self.named_buffers())
        if own.keys() != state.keys():
            missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
            raise ValueError(
                "state: expected the names of this module; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
            )
        for name, buffer in own.items():
            check_shape(f"state[{name!r}]", state[name], buffer.data.shape)
        for name, buffer in own.items():
            buffer.data[...] = state[name]


class Sequential(Module):
    """Layers one after another, each under a name."""

    def __init__(self, layers: Mapping[str, Module]) -> None:
        super().__init__()
        self.layers = dict(layers)

    def members(self) -> Mapping[str, Any]:
        """Return the layers by name."""
        return self.layers

    def forward(self, x: Array) -> Array:
        """Return the output of the last layer."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        """Pass the gradient through the layers, from the last one to the first."""
        for layer in reversed(self.layers.values()):
            dy = layer.backward(dy)
        return dy

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape after the last layer."""
        for layer in self.layers.values():
            shape = layer.output_shape(shape)
        return shape
