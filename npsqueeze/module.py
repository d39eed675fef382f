"""What every layer is: parameters by name, a forward and a backward pass, a state to save."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from npsqueeze.arrays import Array, check_shape

Shape = tuple[int, ...]


class Parameter:
    """An array that is learned: `data`, and `grad`, the gradient of the loss with respect to it."""

    def __init__(self, data: Array) -> None:
        self.data = data
        self.grad = np.zeros_like(data)


class Buffer:
    """An array that belongs to a layer's state but is not learned, such as a running mean."""

    def __init__(self, data: Array) -> None:
        self.data = data


class Module(ABC):
    """What all layers share: parameters by name, a state to save, and the mode of training.

    A layer keeps the cache of one forward pass, the last one. Hence it has one place in a network;
    ReLUs, too, are as many layers as there are places.
    """

    def __init__(self) -> None:
        self.training = True

    @property
    def cache(self) -> Any:
        """What the last `forward` keeps for `backward`.

        Raises
        ------
        RuntimeError
            If there was no forward pass yet.
        """
        if not hasattr(self, "_cache"):
            raise RuntimeError(f"{type(self).__name__}: backward needs a forward pass before it")
        return self._cache

    @cache.setter
    def cache(self, cache: Any) -> None:
        self._cache = cache

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the output for x, and keep what `backward` needs."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Return dx for the last `forward`, and add to the parameters' gradients.

        Raises
        ------
        RuntimeError
            If there was no forward pass yet.
        """

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

    def named_state(self, prefix: str = "") -> Iterator[tuple[str, Parameter | Buffer]]:
        """Yield every parameter and buffer, of inner layers also, with its full name."""
        for name, member in self.members().items():
            if isinstance(member, Parameter | Buffer):
                yield prefix + name, member
            elif isinstance(member, Module):
                yield from member.named_state(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its full name."""
        for name, member in self.named_state():
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

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch normalisation to training, or to inference."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to inference: no dropout, and batch normalisation by the running statistics."""
        return self.train(False)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert all parameters, gradients and buffers in place, and return the module."""
        for _, member in self.named_state():
            member.data = member.data.astype(dtype)
            if isinstance(member, Parameter):
                member.grad = member.grad.astype(dtype)
        return self

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers, by name."""
        return {name: member.data.copy() for name, member in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over the values of `state`, converted to the module's own type.

        Raises
        ------
        TypeError
            If an entry is no array of real numbers; nothing is changed then.
        ValueError
            If a name is missing or unknown, or a shape differs; nothing is changed then.
        """
        own = dict(self.named_state())
        check_names(own.keys(), state.keys())
        converted = {
            name: _converted(f"state[{name!r}]", state[name], member.data)
            for name, member in own.items()
        }
        for name, member in own.items():
            member.data[...] = converted[name]  # in place: an optimiser may hold the array


class Sequential(Module):
    """Layers one after another, each under a name.

    Raises
    ------
    ValueError
        If a layer stands in two places.
    """

    def __init__(self, layers: Mapping[str, Module]) -> None:
        super().__init__()
        self.layers = dict(layers)
        modules = list(self.modules())
        if len(set(modules)) < len(modules):
            raise ValueError(
                "layers: expected each layer once, for a layer keeps the cache of one forward pass"
            )

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


def check_names(expected: Set[str], given: Set[str]) -> None:
    """Raise ValueError, naming the first that differ, unless a state has the `expected` names."""
    if expected != given:
        missing, unknown = (
            first_names(sorted(names)) or "none" for names in (expected - given, given - expected)
        )
        raise ValueError(
            f"state: expected the names of this module; missing: {missing}; unknown: {unknown}"
        )


def first_names(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, at `most` so many, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _converted(name: str, value: Any, like: Array) -> Array:
    """Return `value` in the type of `like`, whose shape it must have."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name}: expected an array of real numbers, got {found}")
    check_shape(name, value, like.shape)
    return value.astype(like.dtype)
