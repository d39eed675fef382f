"""One operation of an ONNX file: attributes and constant inputs, checked as they are read."""

import math
from collections.abc import Mapping
from typing import Any

from npsqueeze.arrays import Array

WITHOUT_EFFECT = {"consumed_inputs", "is_test", "seed", "broadcast", "storage_order"}
"""Attributes that change no result here: how memory is shared, what training draws, what NumPy's
rules of broadcasting do anyway, in which order indices (which are refused) count."""


class Operation:
    """What a node of the file asks for.

    Parameters
    ----------
    node : onnx.NodeProto
    opset : int
        The version of the operators.
    constants : mapping of names to arrays
        The values that are known without running anything.

    Raises
    ------
    ValueError
        If an attribute cannot be read or comes twice.
    """

    def __init__(self, node: Any, opset: int, constants: Mapping[str, Array]) -> None:
        from onnx.helper import get_attribute_value

        self.kind, self.opset, self.constants = node.op_type, opset, constants
        self.inputs, self.output = list(node.input), node.output[0]
        while self.inputs and not self.inputs[-1]:  # an input that is left out
            self.inputs.pop()
        self.attributes = {proto.name: get_attribute_value(proto) for proto in node.attribute}
        if len(self.attributes) < len(node.attribute):
            raise ValueError("an attribute comes twice")
        self.unread = self.attributes.keys() - WITHOUT_EFFECT

    def finish(self) -> None:
        """Raise ValueError if an attribute was not read: it might have changed the result."""
        if self.unread:
            raise ValueError(f"attributes without a meaning here: {', '.join(sorted(self.unread))}")

    def _attribute(self, name: str, kind: type, default: Any) -> Any:
        self.unread.discard(name)
        value = self.attributes.get(name, default)
        if value is not default and not isinstance(value, kind):
            raise ValueError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")
        return value

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is one int."""
        return int(self._attribute(name, int, default))

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is one finite float."""
        value = float(self._attribute(name, float, default))
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
        return value

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a string."""
        return str(self._attribute(name, bytes, default.encode()).decode())

    def integers(self, name: str, default: list[int], least: int, most: int) -> tuple[int, ...]:
        """Return an attribute of as many ints as the default has, from `least` to `most`."""
        values = self._attribute(name, list, default)
        if len(values) != len(default) or not all(
            isinstance(value, int) and least <= value <= most for value in values
        ):
            raise ValueError(
                f"{name}: expected {len(default)} ints from {least} to {most}, got {values[:8]}"
            )
        return tuple(values)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute of any number of ints, or None if there is none."""
        values = self._attribute(name, list, None)
        if values is None:
            return None
        if not all(isinstance(value, int) for value in values):
            raise ValueError(f"{name}: expected ints, got {values[:8]}")
        return tuple(values)

    def tensor(self, name: str) -> Any:
        """Return an attribute that is a tensor, or None."""
        import onnx

        return self._attribute(name, onnx.TensorProto, None)

    def is_constant(self, position: int) -> bool:
        """Tell whether an input is a constant, or left out."""
        name = self.inputs[position] if position < len(self.inputs) else ""
        return not name or name in self.constants

    def optional(self, position: int) -> Array | None:
        """Return the constant at an input, or None if that is left out.

        Raises
        ------
        ValueError
            If it is no constant.
        """
        if position >= len(self.inputs) or not self.inputs[position]:
            return None
        name = self.inputs[position]
        if name not in self.constants:
            raise ValueError(f"input {position} ({name!r}): expected a constant")
        return self.constants[name]

    def constant(self, position: int, ndim: int | None = None) -> Array:
        """Return the constant at an input, with `ndim` axes.

        Raises
        ------
        ValueError
            If it is missing, no constant, or has another number of axes.
        """
        value = self.optional(position)
        if value is None:
            raise ValueError(f"input {position}: expected a constant, got none")
        if ndim is not None and value.ndim != ndim:
            raise ValueError(f"input {position}: expected {ndim} axes, got shape {value.shape}")
        return value
