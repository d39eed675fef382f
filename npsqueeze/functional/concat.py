"""Concatenation along the channels."""

from collections.abc import Sequence

import numpy as np

from npsqueeze.arrays import Array, as_float_array, check_same_dtype, check_shape


def concat_forward(arrays: Sequence[Array]) -> tuple[Array, tuple[int, ...]]:
    """Return the arrays (N, C_i, H, W) side by side, as (N, ΣC_i, H, W); the cache is the C_i."""
    if not arrays:
        raise ValueError("arrays: expected at least one array, got none")
    inputs = {f"arrays[{i}]": as_float_array(f"arrays[{i}]", x, 4) for i, x in enumerate(arrays)}
    check_same_dtype(**inputs)
    n, _, height, width = inputs["arrays[0]"].shape
    for name, x in inputs.items():
        check_shape(name, x, (n, x.shape[1], height, width))
    return np.concatenate(list(inputs.values()), axis=1), tuple(x.shape[1] for x in inputs.values())


def concat_backward(dy: Array, cache: tuple[int, ...]) -> tuple[Array, ...]:
    """Return the slices of dy that belong to each input: concatenation only moves numbers."""
    dy = as_float_array("dy", dy, 4)
    check_shape("dy", dy, (len(dy), sum(cache), *dy.shape[2:]))
    # forward: y = concatenate(arrays, axis=1)
    ends = np.cumsum(cache)
    return tuple(np.ascontiguousarray(part) for part in np.split(dy, ends[:-1], axis=1))
