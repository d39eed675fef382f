"""The array type of every signature, and the checks that every public function shares."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

ANY_RANK = (1, 2, 3, 4)
"""The numbers of dimensions that an operation takes which treats each element by itself."""


def as_float_array(name: str, value: Any, ndim: int | tuple[int, ...]) -> Array:
    """Return `value` as the kernels want it: float32 or float64, C-contiguous, writable.

    Raises
    ------
    TypeError
        If `value` is no array of float32 or float64 numbers.
    ValueError
        If it has another number of dimensions than `ndim` (or than one of `ndim`), or is empty.
    """
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}")
    dtype = value.dtype.newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected an array of float32 or float64, got {dtype}")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if value.ndim not in allowed:
        expected = " or ".join(map(str, allowed))
        raise ValueError(f"{name}: expected {expected} dimensions, got shape {value.shape}")
    if value.size == 0:
        raise ValueError(f"{name}: expected at least one element, got shape {value.shape}")
    return np.require(value, dtype, requirements=("C", "W", "A", "E"))


def as_gradient(dy: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return `dy` as the kernels want it: the gradient of a result of this shape and dtype.

    Raises
    ------
    TypeError, ValueError
        If `dy` is no array of that dtype or that shape.
    """
    dy = as_float_array("dy", dy, len(shape))
    check_shape("dy", dy, shape)
    if dy.dtype != dtype:
        raise TypeError(f"dy: expected {dtype} as in the forward pass, got {dy.dtype}")
    return dy


def check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    """Raise ValueError unless `array` has the `expected` shape."""
    if array.shape != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")


def check_same_dtype(**arrays: Array | None) -> None:
    """Raise TypeError unless all `arrays` (None aside) share one dtype."""
    dtypes = {name: array.dtype for name, array in arrays.items() if array is not None}
    if len(set(dtypes.values())) > 1:
        found = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"expected one dtype for all arrays, got {found}")


def pair(name: str, value: int | tuple[int, int], minimum: int) -> tuple[int, int]:
    """Return `value` as (vertical, horizontal), both at least `minimum`.

    Raises
    ------
    ValueError
        If `value` is neither an int nor two ints, or too small.
    """
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(isinstance(v, int | np.integer) and v >= minimum for v in both):
        raise ValueError(
            f"{name}: expected an int or two ints of at least {minimum}, got {value!r}"
        )
    return int(both[0]), int(both[1])
