"""Vectors of 64 bytes (16 float32 or 8 float64) and the few operations that a kernel needs.

LLVM splits such a vector into the registers that the CPU has (two on AVX2, one on AVX-512), and it
never leaves a loop scalar, as it may when it has to find the vectors itself. Each operation is
written twice: as LLVM instructions, and as the plain NumPy line that it means. The plain line runs
when compilation is off (`NUMBA_DISABLE_JIT=1`), with bounds checked.

Addresses are (array, index) pairs; the array is one-dimensional.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from npsqueeze.arrays import Array

VECTOR_BYTES = 64


class VectorType(types.Type):
    """Numba's type of one vector of `dtype` numbers."""

    def __init__(self, dtype: types.Float) -> None:
        super().__init__(name=f"vector({dtype})")
        self.dtype = dtype
        self.lanes = VECTOR_BYTES * 8 // dtype.bitwidth

    @property
    def llvm(self) -> ir.VectorType:
        """The type in LLVM's language."""
        return ir.VectorType(
            ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType(), self.lanes
        )


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: VectorType) -> None:
        super().__init__(manager, vector, vector.llvm)


def _with_twin(twin: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Decorate LLVM code: compiled kernels use it, interpreted ones its plain `twin`."""
    return lambda emit: twin if numba.config.DISABLE_JIT else intrinsic(emit)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _zero(vector: VectorType) -> ir.Constant:
    return ir.Constant(vector.llvm, [0.0] * vector.lanes)


def _spread(builder: Any, vector: VectorType, scalar: Any) -> Any:
    undefined = ir.Constant(vector.llvm, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [0] * vector.lanes)
    return builder.shuffle_vector(first, undefined, everywhere)


def _lanes(array: Array) -> int:
    return VECTOR_BYTES // array.itemsize


def _load(array: Array, index: int) -> Array:
    values = array[index : index + _lanes(array)].copy()
    if index < 0 or len(values) < _lanes(array):
        raise IndexError(f"a vector at {index} leaves an array of {len(array)}")
    return values


def _store(array: Array, index: int, vector: Array) -> None:
    _load(array, index)  # checks the bounds
    array[index : index + len(vector)] = vector


def _broadcast(array: Array, index: int) -> Array:
    if index < 0:
        raise IndexError(f"a number at {index} leaves an array of {len(array)}")
    return np.full(_lanes(array), array[index])


def _zeros(array: Array) -> Array:
    return np.zeros(_lanes(array), array.dtype)


def _add(x: Array, y: Array) -> Array:
    return x + y


def _fma(x: Array, y: Array, z: Array) -> Array:
    return x * y + z


def _keep_positive(x: Array, y: Array) -> Array:
    return np.where(y <= 0, x.dtype.type(0), x)


def _subtract(x: Array, y: Array) -> Array:
    return x - y


def _multiply(x: Array, y: Array) -> Array:
    return x * y


def _fill(array: Array, value: float) -> Array:
    return np.full(_lanes(array), value, array.dtype)


def _keep_equal(x: Array, y: Array, z: Array) -> Array:
    return np.where(y == z, x, x.dtype.type(0))


def _select_above(x: Array, y: Array, a: Array, b: Array) -> Array:
    return np.where((x > y) | (np.isnan(x) & ~np.isnan(y)), a, b)


@_with_twin(_lanes)
def lanes(typing: Any, array: Any) -> Any:
    """Return how many numbers of the array's type a vector holds."""
    count = VectorType(array.dtype).lanes
    return types.intp(array), lambda context, *_: context.get_constant(types.intp, count)


@_with_twin(_load)
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the vector that starts at `array[index]`."""
    vector = VectorType(array.dtype)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, array, *arguments)
        pointer = builder.bitcast(address, vector.llvm.as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), emit


@_with_twin(_store)
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to `array[index]` and after."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, array, *arguments[:2])
        pointer = builder.bitcast(address, vector.llvm.as_pointer())
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), emit


@_with_twin(_broadcast)
def broadcast(typing: Any, array: Any, index: Any) -> Any:
    """Return a vector with `array[index]` in every lane."""
    vector = VectorType(array.dtype)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, vector, builder.load(_address(context, builder, array, *arguments)))

    return vector(array, types.intp), emit


@_with_twin(_fill)
def fill(typing: Any, array: Any, value: Any) -> Any:
    """Return a vector of the array's type with `value`, a number of that type, in every lane."""
    vector = VectorType(array.dtype)
    return vector(array, array.dtype), lambda context, builder, signature, arguments: _spread(
        builder, vector, arguments[1]
    )


@_with_twin(_zeros)
def zeros(typing: Any, array: Any) -> Any:
    """Return a vector of zeros of the array's type."""
    vector = VectorType(array.dtype)
    return vector(array), lambda *_: _zero(vector)


@_with_twin(_add)
def add(typing: Any, x: Any, y: Any) -> Any:
    """Return x + y."""
    return x(x, y), lambda context, builder, signature, values: builder.fadd(*values)


@_with_twin(_subtract)
def subtract(typing: Any, x: Any, y: Any) -> Any:
    """Return x - y."""
    return x(x, y), lambda context, builder, signature, values: builder.fsub(*values)


@_with_twin(_multiply)
def multiply(typing: Any, x: Any, y: Any) -> Any:
    """Return x·y."""
    return x(x, y), lambda context, builder, signature, values: builder.fmul(*values)


@_with_twin(_fma)
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x*y + z, rounded once."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = f"llvm.fma.v{x.lanes}f{x.dtype.bitwidth}"
        function_type = ir.FunctionType(x.llvm, [x.llvm] * 3)
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        return builder.call(function, arguments)

    return x(x, x, x), emit


@_with_twin(_keep_positive)
def keep_positive(typing: Any, x: Any, y: Any) -> Any:
    """Return x where y > 0, and 0 where y <= 0; where y is NaN, x too: a NaN is not hidden."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, signs = arguments
        is_low = builder.fcmp_ordered("<=", signs, _zero(x))
        return builder.select(is_low, _zero(x), values)

    return x(x, y), emit


@_with_twin(_keep_equal)
def keep_equal(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x where y == z, and 0 elsewhere."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, left, right = arguments
        return builder.select(builder.fcmp_ordered("==", left, right), values, _zero(x))

    return x(x, y, z), emit


@_with_twin(_select_above)
def select_above(typing: Any, x: Any, y: Any, a: Any, b: Any) -> Any:
    """Return a where x > y, or x is NaN and y is not; and b elsewhere."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        new, old, yes, no = arguments
        above_or_nan = builder.fcmp_unordered(">", new, old)
        old_is_number = builder.fcmp_ordered("ord", old, old)
        return builder.select(builder.and_(above_or_nan, old_is_number), yes, no)

    return x(x, y, a, b), emit
