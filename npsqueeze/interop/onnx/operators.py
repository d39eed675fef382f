"""The operators of ONNX that a SqueezeNet may be made of, each as one of our layers."""

from collections.abc import Callable

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.interop.onnx.graph import Combination
from npsqueeze.interop.onnx.layers import (
    Add,
    Concat,
    Flatten,
    Gemm,
    GlobalAveragePool,
    Reshape,
    Softmax,
)
from npsqueeze.interop.onnx.operation import Operation
from npsqueeze.interop.onnx.windows import Geometry, Padding, Pooling
from npsqueeze.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Sequential,
)
from npsqueeze.module import Buffer

LARGEST_WINDOW = 1 << 12
"""No window, stride or padding may be wider: a file of a few bytes could ask for any number."""


def conv(operation: Operation) -> Module:
    """Return a convolution, behind padding that it does not know itself."""
    w, b = operation.constant(1, ndim=4), operation.optional(2)
    geometry = _geometry(operation, (w.shape[2], w.shape[3]))
    groups = operation.integer("group", 1)
    padding = geometry.pads[:2] if geometry.is_plain else 0
    _check(b is None or b.shape == (len(w),), f"the bias: expected shape ({len(w)},)")
    _check(1 <= groups <= len(w), f"group: expected 1 to {len(w)}, got {groups}")
    layer = Conv2d(
        w.shape[1] * groups, len(w), geometry.kernel_size, geometry.stride, padding,
        geometry.dilation, groups, bias=b is not None,
    )  # fmt: skip
    layer.weight = _parameter(w)
    layer.bias = None if b is None else _parameter(b)
    if geometry.is_plain:
        return layer
    return Sequential({"padding": Padding(geometry), "convolution": layer})


def max_pool(operation: Operation) -> Module:
    """Return max pooling, by our own layer where it can.

    Padding by stride - 1 behind the image alone, which may hold no maximum, is ceil mode: both
    have ceil((H - k)/s) + 1 windows, for ceil(a/s) = floor((a + s - 1)/s).
    """
    geometry = _geometry(operation)
    size, stride, _, pads, same, ceil_mode = geometry
    behind = (0, 0, stride[0] - 1, stride[1] - 1)
    within = stride[0] <= size[0] and stride[1] <= size[1]  # the last window meets the image
    if same is None and pads == behind and pads[:2] != pads[2:] and within and not ceil_mode:
        geometry = geometry._replace(pads=(0, 0, 0, 0), ceil_mode=True)
    if _is_ours(geometry):
        return MaxPool2d(size, stride, geometry.pads[:2], geometry.ceil_mode)
    return Pooling(geometry, "max")


def average_pool(operation: Operation) -> Module:
    """Return average pooling, by our own layer where it can."""
    geometry = _geometry(operation)
    include_padding = bool(operation.integer("count_include_pad", 0))
    if _is_ours(geometry):
        size, stride, _, pads, _, ceil_mode = geometry
        return AvgPool2d(size, stride, pads[:2], ceil_mode, include_padding)
    return Pooling(geometry, "average", include_padding)


def batch_normalization(operation: Operation) -> Module:
    """Return batch normalisation; ONNX's momentum is the share of what was, ours of what comes."""
    arrays = [operation.constant(position, ndim=1) for position in range(1, 5)]
    _check(len({array.shape for array in arrays}) == 1, "expected four vectors of one length")
    _check(operation.integer("spatial", 1) == 1, "spatial: expected 1")
    _check(operation.integer("training_mode", 0) == 0, "training_mode: expected 0")
    momentum, eps = operation.number("momentum", 0.9), operation.number("epsilon", 1e-5)
    _check((arrays[3] + eps > 0).all(), "expected variances above 0")
    _check(0 <= momentum <= 1, f"momentum: expected a share, got {momentum}")
    # momentum and epsilon are float32 in the file: 0.1 would come back as 0.10000000149
    layer = BatchNorm2d(1, round(1 - momentum, 6), float(f"{eps:.6g}"))
    layer.weight, layer.bias = _parameter(arrays[0]), _parameter(arrays[1])
    layer.running_mean, layer.running_var = Buffer(arrays[2].copy()), Buffer(arrays[3].copy())
    return layer


def dropout(operation: Operation) -> Module:
    """Return dropout; the probability is an attribute and, since opset 12, an input."""
    ratio = operation.number("ratio", 0.5)
    if operation.opset >= 12:
        ratio = float(_scalar(operation.optional(1), ratio))
        _check(not _scalar(operation.optional(2), 0), "training_mode: expected False")
    _check(0 <= ratio < 1, f"ratio: expected a probability in [0, 1), got {ratio}")
    return Dropout(float(f"{ratio:.6g}"), seed=0)


def gemm(operation: Operation) -> Module | Combination:
    """Return y = alpha·A·B + beta·C: a linear layer where B and C are weights and bias as usual."""
    alpha, beta = operation.number("alpha", 1.0), operation.number("beta", 1.0)
    transpose_a = bool(operation.integer("transA", 0))
    transpose_b = bool(operation.integer("transB", 0))
    _check(len(operation.inputs) in (2, 3), "expected two or three inputs")
    plain = alpha == beta == 1 and not transpose_a
    if not plain or not operation.is_constant(1) or not operation.is_constant(2):
        return Gemm(alpha, beta, transpose_a, transpose_b)
    b, c = operation.constant(1, ndim=2), operation.optional(2)
    weight = b if transpose_b else np.ascontiguousarray(b.T)
    bias = np.zeros(1, b.dtype) if c is None else c
    if bias.size not in (1, len(weight)) or bias.shape[-1:] not in ((), (bias.size,)):
        return Gemm(alpha, beta, transpose_a, transpose_b)
    return _linear(weight, bias)


def matmul(operation: Operation) -> Module | Combination:
    """Return a matrix product: a linear layer, its bias zero, where the second factor is known."""
    _check(len(operation.inputs) == 2, "expected two inputs")
    if not operation.is_constant(1):
        return Gemm()
    b = operation.constant(1, ndim=2)
    return _linear(np.ascontiguousarray(b.T), np.zeros(1, b.dtype))


def reshape(operation: Operation) -> Module:
    """Return a change of shape; the new one is an attribute and, since opset 5, an input."""
    target = operation.shape("shape")
    if target is None:
        sizes = operation.constant(1, ndim=1)
        _check(sizes.dtype == np.int64, f"the shape: expected int64, got {sizes.dtype}")
        target = tuple(sizes.tolist())
    _check(min(target, default=0) >= -1 and target.count(-1) <= 1, f"bad shape {target[:8]}")
    return Reshape(target, bool(operation.integer("allowzero", 0)))


def softmax(operation: Operation) -> Module:
    """Return softmax; before opset 13 it joins all axes from its own on."""
    joined = operation.opset < 13
    return Softmax(operation.integer("axis", 1 if joined else -1), joined)


def add(operation: Operation) -> Combination:
    """Return a sum; before opset 7 an axis may tell where the second input belongs."""
    _check(len(operation.inputs) == 2, "expected two inputs")
    return Add(operation.integer("axis", 0) if "axis" in operation.attributes else None)


def concat(operation: Operation) -> Combination:
    """Return a concatenation; the axis was 1 unless given before opset 4."""
    _check("axis" in operation.attributes or operation.opset < 4, "axis: expected one, got none")
    return Concat(operation.integer("axis", 1))


OPERATORS: dict[str, Callable[[Operation], Module | Combination]] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Concat": concat,
    "Conv": conv,
    "Dropout": dropout,
    "Flatten": lambda operation: Flatten(operation.integer("axis", 1)),
    "Gemm": gemm,
    "GlobalAveragePool": lambda _: GlobalAveragePool(),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Relu": lambda _: ReLU(),
    "Reshape": reshape,
    "Softmax": softmax,
    "Sum": lambda _: Add(),
}


def _geometry(operation: Operation, kernel_size: tuple[int, int] | None = None) -> Geometry:
    """Return the windows of a convolution (whose filters have a kernel size) or of a pooling."""
    size = operation.integers("kernel_shape", list(kernel_size or (0, 0)), 1, LARGEST_WINDOW)
    _check(kernel_size in (None, size), f"kernel_shape: expected {kernel_size}, got {size}")
    _check(min(size) > 0, "kernel_shape: expected two ints, got none")
    stride = operation.integers("strides", [1, 1], 1, LARGEST_WINDOW)
    dilation = operation.integers("dilations", [1, 1], 1, LARGEST_WINDOW)
    pads = operation.integers("pads", [0, 0, 0, 0], 0, LARGEST_WINDOW)
    auto_pad = operation.text("auto_pad", "NOTSET")
    _check(
        auto_pad in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad: got {auto_pad!r}"
    )
    same = auto_pad.removeprefix("SAME_") if auto_pad.startswith("SAME_") else None
    ceil_mode = kernel_size is None and bool(operation.integer("ceil_mode", 0))
    return Geometry(
        (size[0], size[1]), (stride[0], stride[1]), (dilation[0], dilation[1]),
        (0, 0, 0, 0) if auto_pad != "NOTSET" else (pads[0], pads[1], pads[2], pads[3]),
        same, ceil_mode and same is None,
    )  # fmt: skip


def _is_ours(geometry: Geometry) -> bool:
    """Tell whether our own pooling layers know such windows."""
    half = all(2 * a <= k for a, k in zip(geometry.pads[:2], geometry.kernel_size, strict=True))
    return geometry.is_plain and half and geometry.dilation == (1, 1)


def _linear(weight: Array, bias: Array) -> Linear:
    layer = Linear(1, 1)
    layer.weight = _parameter(weight)
    layer.bias = _parameter(np.broadcast_to(bias.reshape(-1), len(weight)))
    return layer


def _parameter(array: Array) -> Parameter:
    _check(array.dtype.kind == "f", f"expected floating-point weights, got {array.dtype}")
    return Parameter(array.copy())


def _scalar(array: Array | None, default: float) -> float:
    if array is None:
        return default
    _check(array.size == 1, f"expected one number, got shape {array.shape}")
    return float(array.reshape(-1)[0])


def _check(holds: bool | np.bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
