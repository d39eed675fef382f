"""Layers that ONNX graphs have and SqueezeNet has not; each with its backward pass."""

import math

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.interop.onnx.graph import Combination
from npsqueeze.layers import GlobalAvgPool2d, Module
from npsqueeze.module import Shape


class Add(Combination):
    """The sum of its inputs, which NumPy's rules broadcast.

    Parameters
    ----------
    axis : int, optional
        Where the axes of the second input begin among those of the first (before opset 7).
    """

    def __init__(self, axis: int | None = None) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        """Return x_1 + x_2 + … of the inputs."""
        self.cache = [x.shape for x in xs]
        y, *others = xs
        for x in others:
            y = y + x.reshape(self._aligned(x.shape, y.ndim))
        return y

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return dy for each input; one that was broadcast gets the sum over its copies."""
        # forward: y = x_1 + x_2 + …
        return tuple(
            summed(dy, self._aligned(shape, dy.ndim) if i else shape).reshape(shape)
            for i, shape in enumerate(self.cache)
        )

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the common shape."""
        first, *others = shapes
        aligned = [self._aligned(shape, len(first)) for shape in others]
        return np.broadcast_shapes(first, *aligned)

    def _aligned(self, shape: Shape, ndim: int) -> Shape:
        return shape if self.axis is None else shape + (1,) * (ndim - self.axis - len(shape))


def summed(dy: Array, shape: Shape) -> Array:
    """Return the sums of dy over the axes along which an array of `shape` was broadcast."""
    dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return dy.sum(axis=stretched, keepdims=True)


class Concat(Combination):
    """Its inputs one behind another along an axis, which counts from the end if negative."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        """Return the inputs joined."""
        self.output_shape(*(x.shape for x in xs))
        self.cache = np.cumsum([x.shape[self.axis] for x in xs])
        return np.concatenate(xs, axis=self.axis)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return each input's part of dy."""
        # forward: y = concatenate(xs, axis)
        return tuple(part.copy() for part in np.split(dy, self.cache[:-1], axis=self.axis))

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape of the first input, but for the axis, whose sizes add up."""
        result = list(shapes[0])
        result[self.axis] = sum(shape[self.axis] for shape in shapes)
        for shape in shapes:
            rest = list(shape)
            rest[self.axis] = result[self.axis]
            if rest != result:
                raise ValueError(f"expected shapes that differ along axis {self.axis} alone")
        return tuple(result)


class Reshape(Module):
    """The same numbers in another shape.

    Parameters
    ----------
    target : tuple of int
        The new sizes: 0 is the input's size along that axis (unless `allow_zero`), and one -1 is
        what is left over.
    """

    def __init__(self, target: tuple[int, ...], allow_zero: bool = False) -> None:
        super().__init__()
        self.target, self.allow_zero = target, allow_zero

    def forward(self, x: Array) -> Array:
        """Return x in its new shape."""
        self.cache = x.shape
        return x.reshape(self.output_shape(x.shape))

    def backward(self, dy: Array) -> Array:
        """Return dy in the old shape."""
        # forward: y = x.reshape(target)
        return dy.reshape(self.cache)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the new shape.

        Raises
        ------
        ValueError
            If it has another number of elements.
        """
        target = list(self.target)
        for axis, size in enumerate(target):
            if size == 0 and not self.allow_zero:
                target[axis] = shape[axis]
        if -1 in target:
            known = -math.prod(target)
            target[target.index(-1)] = math.prod(shape) // known if known > 0 else 0
        if min(target, default=1) < 0 or math.prod(target) != math.prod(shape):
            raise ValueError(f"expected as many elements as {shape} has, got {self.target}")
        return tuple(target)


class Flatten(Reshape):
    """A matrix whose rows are the axes before `axis`, and whose columns are the others."""

    def __init__(self, axis: int) -> None:
        super().__init__(())
        self.axis = axis

    def output_shape(self, shape: Shape) -> Shape:
        """Return (rows, columns)."""
        if not -len(shape) <= self.axis <= len(shape):
            raise ValueError(f"expected an axis of {shape}, got {self.axis}")
        axis = self.axis if self.axis >= 0 else len(shape) + self.axis
        return math.prod(shape[:axis]), math.prod(shape[axis:])


class Softmax(Module):
    """Probabilities along one axis or, with `joined` (before opset 13), over it and all behind."""

    def __init__(self, axis: int, joined: bool = False) -> None:
        super().__init__()
        self.axis, self.joined = axis, joined

    def forward(self, x: Array) -> Array:
        """Return the softmax of each row of x seen as a matrix."""
        if self.joined:
            rows = x.reshape(Flatten(self.axis).output_shape(x.shape))
            y = F.softmax(rows).reshape(x.shape)
        else:
            last = np.moveaxis(x, self.axis, -1)
            y = F.softmax(last.reshape(-1, last.shape[-1])).reshape(last.shape)
            y = np.moveaxis(y, -1, self.axis)
        self.cache = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx = y·(dy - Σ dy·y), the sum over each row."""
        y = self.cache
        axis = self.axis % y.ndim
        axes = tuple(range(axis, y.ndim)) if self.joined else axis
        # forward: y_i = exp(x_i) / Σ exp(x_j)
        return y * (dy - (dy * y).sum(axis=axes, keepdims=True))

    def output_shape(self, shape: Shape) -> Shape:
        """Return `shape`."""
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"expected an axis of {shape}, got {self.axis}")
        return shape


class GlobalAveragePool(GlobalAvgPool2d):
    """The mean of each channel as an image of one pixel, (N, C, 1, 1)."""

    def forward(self, x: Array) -> Array:
        """Return the means of x (N, C, H, W)."""
        return super().forward(x)[:, :, None, None]

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return super().backward(dy[:, :, 0, 0])

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, C, 1, 1)."""
        return (*shape[:2], 1, 1)


class Gemm(Combination):
    """y = alpha·A·B + beta·C, where A and B may come transposed, and C is broadcast to y."""

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> None:  # fmt: skip
        self.alpha, self.beta = alpha, beta
        self.transpose_a, self.transpose_b = transpose_a, transpose_b

    def forward(self, *xs: Array) -> Array:
        """Return y (N, M) for A (N, K), B (K, M) and, if there is one, C."""
        a, b, *c = xs
        product, self.cache = F.linear_forward(
            a.T if self.transpose_a else a, b if self.transpose_b else b.T
        )
        self.c_shapes = [x.shape for x in c]
        y = product * product.dtype.type(self.alpha)
        for x in c:
            y = y + x * x.dtype.type(self.beta)
        return y

    def backward(self, dy: Array) -> tuple[Array, ...]:
        """Return dA, dB and, if there was a C, dC."""
        # forward: y = alpha · a · wᵀ + beta · c, where w is B or its transpose
        da, dw, _ = F.linear_backward(dy * dy.dtype.type(self.alpha), self.cache)
        dc = [summed(dy * dy.dtype.type(self.beta), shape) for shape in self.c_shapes]
        return (da.T if self.transpose_a else da, dw if self.transpose_b else dw.T, *dc)

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (N, M)."""
        a, b, *c = shapes
        rows, inner = reversed(a) if self.transpose_a else a
        columns, depth = b if self.transpose_b else reversed(b)
        if inner != depth:
            raise ValueError(f"expected matrices that can be multiplied, got {a} and {b}")
        for shape in c:
            if np.broadcast_shapes(shape, (rows, columns)) != (rows, columns):
                raise ValueError(f"expected a bias for {(rows, columns)}, got {shape}")
        return rows, columns
