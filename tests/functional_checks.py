"""What the tests of `npsqueeze.functional` share: tolerances, PyTorch's results, memory layouts.

An operation is here a function from its input arrays to all its results, forward and backward.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from npsqueeze.arrays import Array
from tests.strategies import assert_close

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "fortran": lambda array: array.copy(order="F"),
    "sliced": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "reversed": lambda array: array[::-1].copy()[::-1],
    "byte_swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "read_only": lambda array: _read_only(array.copy()),
    "misaligned": lambda array: _misaligned(array),
}


def without_cancellation(array: Array) -> Array:
    """Return `array`, in float32 made positive.

    Rounding errors are small compared with the terms of a sum, not with a sum that nearly cancels.
    Signs are tested in float64, which has digits to spare.
    """
    return np.abs(array) if array.dtype == np.float32 else array


def assert_all_close(actual: Sequence[Array], expected: Sequence[Any], dtype: Any) -> None:
    """Assert that the results have `dtype` and are, to its tolerance, the expected ones."""
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        assert_close(a, b, TOLERANCE[np.dtype(dtype)])


def torch_results(
    function: Callable[..., Any], arrays: Sequence[Array | None], dy: Array
) -> list[Array]:
    """Return y and the gradient of each array that is not None; `function` gets tensors."""
    torch = pytest.importorskip("torch")
    leaves = [None if x is None else torch.tensor(x, requires_grad=True) for x in arrays]
    y = function(torch.nn.functional, *leaves)
    y.backward(torch.tensor(dy))
    return [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf is not None)]


def check_layouts(operation: Callable[..., Sequence[Array]], *arrays: Array) -> None:
    """Assert that every memory layout gives the same bits, and that no input is changed."""
    expected = operation(*(array.copy() for array in arrays))
    for name, layout in LAYOUTS.items():
        inputs = [layout(array) for array in arrays]
        results = operation(*inputs)
        for result, right in zip(results, expected, strict=True):
            assert result.dtype.isnative, name
            assert result.dtype == right.dtype, name
            np.testing.assert_array_equal(result, right, err_msg=name)
        for before, after in zip(arrays, inputs, strict=True):
            np.testing.assert_array_equal(after, before, err_msg=name)


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _misaligned(array: Array) -> Array:
    buffer = bytearray(array.nbytes + 1)
    result = np.frombuffer(buffer, array.dtype, offset=1, count=array.size).reshape(array.shape)
    result[...] = array
    return result
