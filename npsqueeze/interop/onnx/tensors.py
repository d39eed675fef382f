"""Tensors of ONNX files as arrays; sizes are compared before anything is allocated."""

import math
from typing import Any

import numpy as np

from npsqueeze.arrays import Array

DTYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool, 11: np.float64}
"""The element types that this package computes with, by their numbers in ONNX."""

LARGEST_TENSOR = 1 << 27
"""No constant may have more elements, nor all those together that a file only describes."""


def read_tensor(tensor: Any) -> Array:
    """Return an onnx.TensorProto as an array.

    Raises
    ------
    ValueError
        If it has another type than one of `DTYPES`, lies in another file, has another number of
        elements than its sizes say, or holds a NaN or infinity.
    """
    from onnx import TensorProto, numpy_helper

    if tensor.data_type not in DTYPES:
        names = ", ".join(np.dtype(dtype).name for dtype in DTYPES.values())
        raise ValueError(f"expected numbers of {names}, got ONNX's type {tensor.data_type}")
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise ValueError("expected the numbers in the file itself, got the name of another file")
    if tensor.HasField("segment"):
        raise ValueError("expected a whole tensor, got a segment of one")
    shape, dtype = tuple(tensor.dims), np.dtype(DTYPES[tensor.data_type])
    count = _size(shape)
    stored = {
        "raw": len(tensor.raw_data) / dtype.itemsize,
        "float": len(tensor.float_data) * (dtype == np.float32),
        "double": len(tensor.double_data) * (dtype == np.float64),
        "int32": len(tensor.int32_data) * (dtype in (np.int32, np.bool)),
        "int64": len(tensor.int64_data) * (dtype == np.int64),
    }
    if sum(stored.values()) != count or max(stored.values()) != count:
        raise ValueError(f"expected {count} numbers for shape {shape}, got {stored}")
    array = numpy_helper.to_array(tensor)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"expected finite numbers, got {(~np.isfinite(array)).sum()} others")
    return array


def repeated(tensor: Any, shape: Array, allowance: int) -> Array:
    """Return an array of `shape` that is filled with the one element of a TensorProto.

    Raises
    ------
    ValueError
        If there is not one element, or more than `allowance` are asked for.
    """
    value = np.zeros(1, np.float32) if tensor is None else read_tensor(tensor)
    sizes = tuple(shape.reshape(-1).tolist())
    if value.size != 1 or shape.dtype != np.int64:
        raise ValueError(f"expected one number, and a shape of int64, got {value.size} of them")
    if _size(sizes) > allowance:
        raise ValueError(f"expected at most {allowance} elements, got shape {sizes}")
    return np.full(sizes, value.reshape(-1)[0])


def _size(shape: tuple[int, ...]) -> int:
    if len(shape) > 8 or min(shape, default=1) < 0 or math.prod(shape) > LARGEST_TENSOR:
        raise ValueError(
            f"expected at most 8 axes and {LARGEST_TENSOR} elements, got shape {shape[:9]}"
        )
    return math.prod(shape)
