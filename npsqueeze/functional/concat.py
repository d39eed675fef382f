"""Concatenation along the channels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, as_gradient, check_same_dtype, check_shape


class ConcatCache(NamedTuple):
    """The channels C_i of each input, and the shape and the type of the result."""

    channels: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: np.dtype[np.floating]


def concat_forward(arrays: Sequence[Array]) -> tuple[Array, ConcatCache]:
    """Return the arrays (N, C_i, H, W) side by side, as (N, ΣC_i, H, W), and the cache.

    Derived in tutorials/07_fire.ipynb.

    Raises
    ------
    TypeError, ValueError
        If there is no array, or they differ in more than their number of channels.
    """
    if not arrays:
        raise ValueError("arrays: expected at least one array, got none")
    inputs = {f"arrays[{i}]": as_float_array(f"arrays[{i}]", x, 4) for i, x in enumerate(arrays)}
    check_same_dtype(**inputs)
    n, _, height, width = inputs["arrays[0]"].shape
    for name, x in inputs.items():
        check_shape(name, x, (n, x.shape[1], height, width))
    y = np.concatenate(list(inputs.values()), axis=1)
    return y, ConcatCache(tuple(x.shape[1] for x in inputs.values()), y.shape, y.dtype)


def concat_backward(dy: Array, cache: ConcatCache) -> tuple[Array, ...]:
    """Return copies of the parts of dy that belong to each input: concatenation moves numbers.

    Derived in tutorials/07_fire.ipynb.
    """
    dy = as_gradient(dy, cache.y_shape, cache.dtype)
    # forward: y = concatenate(arrays, axis=1)
    ends = np.cumsum(cache.channels)
    return tuple(part.copy() for part in np.split(dy, ends[:-1], axis=1))
