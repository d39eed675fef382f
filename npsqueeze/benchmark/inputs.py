"""The numbers that every contender gets: the same, random, float32."""

import math
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.benchmark.works import Convolution, Network, Product

RECIPE: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
"""Of stochastic gradient descent."""


def matrices(work: Product) -> tuple[Array, Array, Array]:
    """Return A, every B, and room for every C."""
    a = _random(0, (1, work.rows, work.depth))
    b = _random(1, (work.matrices, work.depth, work.columns))
    return a, b, np.empty((work.matrices, work.rows, work.columns), np.float32)


def convolution(work: Convolution) -> tuple[Array, Array, Array, Array]:
    """Return x, weights of He's scale, bias, and dy."""
    shape = work.layer.weight.data.shape
    weight = _random(1, shape) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
    dy = _random(3, work.layer.output_shape(work.shape))
    return _random(0, work.shape), weight, _random(2, (work.filters,)), dy


def pictures(work: Network) -> tuple[Array, Array]:
    """Return pictures and their labels."""
    labels = np.random.default_rng(1).integers(10, size=work.shape[0])
    return _random(0, work.shape), labels


def _random(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)
