"""Windows as ONNX places them: padding that differs by side, or that follows the image's size."""

from typing import NamedTuple

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.layers import Module
from npsqueeze.module import Shape

Pair = tuple[int, int]


class Axis(NamedTuple):
    """Windows along one axis: how many, and the padding before the first and after the last."""

    windows: int
    before: int
    after: int


class Geometry(NamedTuple):
    """A grid of windows over an image; each pair is (vertical, horizontal).

    `pads` is (top, left, bottom, right). With `same`, "UPPER" or "LOWER", it is the least that
    gives ceil(size/stride) windows, an odd pixel after or before the image.
    """

    kernel_size: Pair
    stride: Pair
    dilation: Pair
    pads: tuple[int, int, int, int]
    same: str | None = None
    ceil_mode: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the padding is fixed, and alike on both sides."""
        return self.same is None and self.pads[:2] == self.pads[2:]

    def axes(self, height: int, width: int) -> tuple[Axis, Axis]:
        """Return the windows along both axes.

        Raises
        ------
        ValueError
            If not even one window fits.
        """
        return self._axis(0, height), self._axis(1, width)

    def _axis(self, axis: int, size: int) -> Axis:
        stride, before, after = self.stride[axis], self.pads[axis], self.pads[axis + 2]
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        if self.same is not None:
            count = -(-size // stride)
            padding = max((count - 1) * stride + reach - size, 0)
            before = padding // 2 if self.same == "UPPER" else -(-padding // 2)
        else:
            room = size + before + after - reach
            count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
            if self.ceil_mode and (count - 1) * stride >= size + before:
                count -= 1  # a window must start inside the image or the padding before it
            if count < 1:
                raise ValueError(f"expected a window within {size + before + after}, got {reach}")
        return Axis(count, before, max((count - 1) * stride + reach - size - before, 0))

    def output_size(self, height: int, width: int) -> Pair:
        """Return (oh, ow)."""
        vertical, horizontal = self.axes(height, width)
        return vertical.windows, horizontal.windows

    def divisors(self, height: int, width: int, include_padding: bool) -> Array:
        """Return how many pixels of each window an average counts, (oh, ow).

        With `include_padding` the padding counts, but not what hangs over it in ceil mode.
        """
        counts = []
        axes, sizes = self.axes(height, width), (height, width)
        for k, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
            start = np.arange(axis.windows)[:, None] * self.stride[k] - axis.before
            pixels = start + np.arange(self.kernel_size[k]) * self.dilation[k]
            after = axis.after if self.same else self.pads[k + 2]
            low, high = (-axis.before, size + after) if include_padding else (0, size)
            counts.append(((pixels >= low) & (pixels < high)).sum(axis=1))
        return np.outer(*counts)


class Padding(Module):
    """The image in a frame, as wide as the windows of `geometry` need it; these then fit unpadded.

    Parameters
    ----------
    geometry : Geometry
    value : float
        Of the frame: 0, or -inf before a maximum.
    """

    def __init__(self, geometry: Geometry, value: float = 0.0) -> None:
        super().__init__()
        self.geometry, self.value = geometry, value

    def forward(self, x: Array) -> Array:
        """Return x (N, C, H, W) in its frame."""
        vertical, horizontal = self.geometry.axes(*x.shape[2:])
        y = np.full(self.output_shape(x.shape), self.value, x.dtype)
        inside = (
            slice(vertical.before, vertical.before + x.shape[2]),
            slice(horizontal.before, horizontal.before + x.shape[3]),
        )
        y[:, :, *inside] = x
        self.cache = inside
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx, what the frame leaves."""
        # forward: y[:, :, rows, columns] = x
        return dy[:, :, *self.cache].copy()

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, C, H + before + after, W + before + after)."""
        vertical, horizontal = self.geometry.axes(*shape[2:])
        height = vertical.before + shape[2] + vertical.after
        return (*shape[:2], height, horizontal.before + shape[3] + horizontal.after)


class Pooling(Module):
    """Max or average pooling over any windows: dilated, or padded at will.

    The windows become the columns of a matrix, as in convolution: simple, and slower than the
    pooling layers that SqueezeNet uses.

    Parameters
    ----------
    geometry : Geometry
    kind : "max" or "average"
    include_padding : bool
        Whether an average counts the padding.
    """

    def __init__(self, geometry: Geometry, kind: str, include_padding: bool = False) -> None:
        super().__init__()
        self.geometry, self.kind, self.include_padding = geometry, kind, include_padding
        self.padding = Padding(geometry, -np.inf if kind == "max" else 0.0)

    def forward(self, x: Array) -> Array:
        """Return the maximum or the mean of each window of x (N, C, H, W)."""
        n, channels, height, width = x.shape
        framed = self.padding.forward(x)
        planes = framed.reshape(n * channels, 1, *framed.shape[2:])
        size, stride, dilation = self.geometry[:3]
        columns = F.im2col(planes, size, stride, 0, dilation)  # (N·C, kh·kw, oh·ow)
        if self.kind == "max":
            choice = columns.argmax(axis=1, keepdims=True)
            y = np.take_along_axis(columns, choice, axis=1)
        else:
            counted = self.geometry.divisors(height, width, self.include_padding)
            choice = np.maximum(counted, 1).astype(x.dtype).reshape(1, 1, -1)
            y = columns.sum(axis=1, keepdims=True) / choice
        self.cache = choice, columns.shape, planes.shape, framed.shape
        return y.reshape(self.output_shape(x.shape))

    def backward(self, dy: Array) -> Array:
        """Return dx: each window's gradient to its first maximum, or in equal shares to all."""
        choice, columns_shape, planes_shape, framed_shape = self.cache
        dy = dy.reshape(columns_shape[0], 1, columns_shape[2])
        if self.kind == "max":
            # forward: y = columns[argmax]
            dcolumns = np.zeros(columns_shape, dy.dtype)
            np.put_along_axis(dcolumns, choice, dy, axis=1)
        else:
            # forward: y = sum(columns) / divisor
            dcolumns = np.broadcast_to(dy / choice, columns_shape)
        size, stride, dilation = self.geometry[:3]
        dframed = F.col2im(dcolumns, planes_shape, size, stride, 0, dilation)
        return self.padding.backward(dframed.reshape(framed_shape))

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, C, oh, ow)."""
        return (*shape[:2], *self.geometry.output_size(*shape[2:]))
