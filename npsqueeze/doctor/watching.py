"""Watch the layers of a network at work: what each reads and writes, forwards and backwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.doctor.patient import units
from npsqueeze.layers import Fire, ReLU
from npsqueeze.module import Module


@dataclass
class Passage:
    """What went through a layer: the input, the output, and the gradient of the output."""

    name: str
    layer: Module
    x: Array
    y: Array
    dy: Array | None = None


@contextmanager
def watched(model: Module) -> Iterator[list[Passage]]:
    """Yield a list to which every layer adds itself when its `forward` runs."""
    passages: list[Passage] = []
    layers = list(units(model))
    own = [dict(vars(layer)) for _, layer in layers]  # a layer may have a method of its own
    for name, layer in layers:
        _watch(name, layer, passages)
    try:
        yield passages
    finally:
        for (_, layer), attributes in zip(layers, own, strict=True):
            for method in ("forward", "backward"):
                if method in attributes:
                    setattr(layer, method, attributes[method])
                else:
                    delattr(layer, method)


def _watch(name: str, layer: Any, passages: list[Passage]) -> None:
    forward, backward = layer.forward, layer.backward
    passage: Passage | None = None

    def watched_forward(x: Array) -> Array:
        nonlocal passage
        y: Array = forward(x)
        passage = Passage(name, layer, x, y)
        passages.append(passage)
        return y

    def watched_backward(dy: Array) -> Any:
        if passage is not None:
            passage.dy = dy
        return backward(dy)

    layer.forward, layer.backward = watched_forward, watched_backward


def rectified(passage: Passage) -> Iterator[tuple[str, Array]]:
    """Yield the outputs of the ReLUs in a layer, with their names."""
    if isinstance(passage.layer, ReLU):
        yield passage.name, passage.y
    elif isinstance(passage.layer, Fire):
        for step in ("squeeze_relu", "expand_relu"):
            yield f"{passage.name}.{step}", passage.layer.cache.steps[step]


def scale(array: Array | None) -> float:
    """Return the root mean square; NaN if there is no array."""
    if array is None:
        return float("nan")
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
