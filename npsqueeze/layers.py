"""Layers: thin classes around the pairs of `functional`.

A layer holds its parameters and the cache between `forward` and `backward`; the mathematics is in
`functional`. `backward` adds to each parameter's `grad` and returns the gradient of the input.
"""

import math
from collections.abc import Mapping

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.functional.fire import BYPASSES
from npsqueeze.functional.windows import Windows, conv_windows
from npsqueeze.generators import DROPOUT
from npsqueeze.module import Buffer, Module, Parameter, Sequential, Shape

__all__ = [
    "AvgPool2d", "BatchNorm2d", "Buffer", "Conv2d", "Dropout", "Fire", "GlobalAvgPool2d", "Linear",
    "MaxPool2d", "Module", "Parameter", "ReLU", "Sequential",
]  # fmt: skip

Size = int | tuple[int, int]


class Conv2d(Module):
    """Convolution: `weight` (F, C/groups, kh, kw), and `bias` (F,) unless switched off.

    Both start at zero; draw the weights with `npsqueeze.init`, as SqueezeNet does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a divisor of {in_channels} and {out_channels}, got {groups}"
            )
        self.windows = conv_windows(kernel_size, stride, padding, dilation)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.windows.kernel_size)
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, x: Array) -> Array:
        """Return `conv2d_forward` of x (N, C, H, W)."""
        bias = None if self.bias is None else self.bias.data
        _, stride, padding, dilation, _ = self.windows
        y, self.cache = F.conv2d_forward(
            x, self.weight.data, bias, stride, padding, dilation, self.groups
        )
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx; add dw and db to the gradients."""
        dx, dw, db = F.conv2d_backward(dy, self.cache)
        self.weight.grad += dw
        if self.bias is not None:
            self.bias.grad += db
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, F, oh, ow)."""
        return (shape[0], len(self.weight.data), *self.windows.output_size(*shape[2:]))

    def macs(self, shape: Shape) -> int:
        """Return one operation for each weight, output pixel and image."""
        n, _, height, width = self.output_shape(shape)
        return n * height * width * self.weight.data.size


class Linear(Module):
    """The fully connected layer: `weight` (out, in) and `bias` (out,).

    Both start at zero; draw the weights with `npsqueeze.init`, as SqueezeNet does.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = Parameter(np.zeros((out_features, in_features), np.float32))
        self.bias = Parameter(np.zeros(out_features, np.float32))

    def forward(self, x: Array) -> Array:
        """Return `linear_forward` of x (N, in)."""
        y, self.cache = F.linear_forward(x, self.weight.data, self.bias.data)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx; add dw and db to the gradients."""
        dx, dw, db = F.linear_backward(dy, self.cache)
        self.weight.grad += dw
        self.bias.grad += db
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, out)."""
        return (shape[0], len(self.weight.data))

    def macs(self, shape: Shape) -> int:
        """Return one operation for each weight and image."""
        return shape[0] * self.weight.data.size


class Elementwise(Module):
    """A layer whose output has the shape of its input."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return `shape`."""
        return shape


class BatchNorm2d(Elementwise):
    """Batch normalisation: `weight`, `bias`, and the buffers `running_mean`, `running_var`."""

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.running_mean = Buffer(np.zeros(channels, np.float32))
        self.running_var = Buffer(np.ones(channels, np.float32))

    def forward(self, x: Array) -> Array:
        """Return `batch_norm2d_forward` of x (N, C, H, W); training updates the statistics."""
        y, self.cache = F.batch_norm2d_forward(
            x,
            self.weight.data,
            self.bias.data,
            self.running_mean.data,
            self.running_var.data,
            self.training,
            self.momentum,
            self.eps,
        )
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx; add dw and db to the gradients."""
        dx, dw, db = F.batch_norm2d_backward(dy, self.cache)
        self.weight.grad += dw
        self.bias.grad += db
        return dx


class ReLU(Elementwise):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        """Return `relu_forward` of x."""
        y, self.cache = F.relu_forward(x)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return F.relu_backward(dy, self.cache)


class Dropout(Elementwise):
    """Dropout with probability p.

    The mask of each training pass is drawn from (seed, `DROPOUT`, step); `step` counts the passes,
    and a training that resumes sets it. Two dropout layers of one network need different seeds:
    with the same one, they would drop the same places.
    """

    def __init__(self, p: float = 0.5, *, seed: int) -> None:
        super().__init__()
        self.p, self.seed, self.step = p, seed, 0

    def forward(self, x: Array) -> Array:
        """Return `dropout_forward` of x."""
        y, self.cache = F.dropout_forward(x, self.p, (self.seed, DROPOUT, self.step), self.training)
        self.step += self.training
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return F.dropout_backward(dy, self.cache)


class Pool2d(Module):
    """A layer that makes one number of each window."""

    windows: Windows

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, C, oh, ow)."""
        return (*shape[:2], *self.windows.output_size(*shape[2:]))


class MaxPool2d(Pool2d):
    """The maximum of each window."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.windows = F.pool_windows(kernel_size, stride, padding, ceil_mode)

    def forward(self, x: Array) -> Array:
        """Return `max_pool2d_forward` of x (N, C, H, W)."""
        size, stride, padding, _, ceil_mode = self.windows
        y, self.cache = F.max_pool2d_forward(x, size, stride, padding, ceil_mode)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return F.max_pool2d_backward(dy, self.cache)


class AvgPool2d(Pool2d):
    """The mean of each window."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.windows = F.pool_windows(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Array) -> Array:
        """Return `avg_pool2d_forward` of x (N, C, H, W)."""
        size, stride, padding, _, ceil_mode = self.windows
        y, self.cache = F.avg_pool2d_forward(
            x, size, stride, padding, ceil_mode, self.count_include_pad
        )
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return F.avg_pool2d_backward(dy, self.cache)


class GlobalAvgPool2d(Module):
    """The mean of each channel, (N, C)."""

    def forward(self, x: Array) -> Array:
        """Return `global_avg_pool2d_forward` of x (N, C, H, W)."""
        y, self.cache = F.global_avg_pool2d_forward(x)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx."""
        return F.global_avg_pool2d_backward(dy, self.cache)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, C)."""
        return shape[:2]


class Fire(Module):
    """The Fire module: squeeze, expand, join.

    Its convolutions and normalisations hold the parameters; `fire_forward` does the work.

    Parameters
    ----------
    in_channels, squeeze : int
        Channels of the input, and of the squeezed image.
    expand : mapping of kernel size to channels
        Such as ``{1: 64, 3: 64}``.
    bypass : "none", "simple" or "complex"
    batch_norm : bool
        Normalise before both ReLUs; the convolutions before them then have no bias, which the
        normalisation would take away again.

    Raises
    ------
    ValueError
        If a kernel size is even, the bypass unknown, or a simple one had to change the channels.
    """

    def __init__(
        self,
        in_channels: int,
        squeeze: int,
        expand: Mapping[int, int],
        bypass: str = "none",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        channels = sum(expand.values())
        if any(size % 2 == 0 for size in expand):
            raise ValueError(
                f"expand: expected odd kernel sizes, got {', '.join(map(str, expand))}"
            )
        if bypass not in BYPASSES:
            raise ValueError(f"bypass: expected one of {', '.join(BYPASSES)}, got {bypass!r}")
        if bypass == "simple" and channels != in_channels:
            raise ValueError(
                f"bypass: a simple one needs as many channels out as in, got {channels} "
                f"and {in_channels}"
            )
        self.bypass, self.out_channels = bypass, channels
        bias = not batch_norm
        self.layers: dict[str, Module] = {"squeeze": Conv2d(in_channels, squeeze, 1, bias=bias)}
        if batch_norm:
            self.layers["squeeze_norm"] = BatchNorm2d(squeeze)
        for size, count in sorted(expand.items()):
            branch = Conv2d(squeeze, count, size, padding=size // 2, bias=bias)
            self.layers[f"expand{size}x{size}"] = branch
        if batch_norm:
            self.layers["expand_norm"] = BatchNorm2d(channels)
        if bypass == "complex":
            self.layers["bypass"] = Conv2d(in_channels, channels, 1)

    def members(self) -> Mapping[str, Module]:
        """Return the convolutions and normalisations by name."""
        return self.layers

    def forward(self, x: Array) -> Array:
        """Return `fire_forward` of x (N, C, H, W)."""
        parameters = {name: member.data for name, member in self.named_state()}
        y, self.cache = F.fire_forward(x, parameters, self.bypass, self.training)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx; add to the gradients of all parameters."""
        dx, gradients = F.fire_backward(dy, self.cache)
        for name, parameter in self.named_parameters():
            parameter.grad += gradients[name]
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, ΣF, H, W)."""
        return (shape[0], self.out_channels, *shape[2:])

    def macs(self, shape: Shape) -> int:
        """Return the sum over the convolutions, all of which have H·W output pixels."""
        return sum(layer.macs(shape) for layer in self.layers.values())

    def activations(self, shape: Shape) -> int:
        """Return the numbers written by all steps, squeezed and expanded."""
        squeezed = self.layers["squeeze"].activations(shape)
        joined = math.prod(self.output_shape(shape))
        convolved = sum(
            layer.activations(shape) for layer in self.layers.values() if isinstance(layer, Conv2d)
        )
        passes = 2 if "squeeze_norm" in self.layers else 1  # normalise, rectify
        added = self.bypass != "none"
        return convolved + passes * (squeezed + joined) + (1 + added) * joined
