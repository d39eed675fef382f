"""The steps of a plan: each reads a tensor and writes one, forwards and backwards.

A step is made with its tensors and tells them what border it needs; `prepare` makes its tables when
all borders are known. The gradient of a tensor that several steps read is the sum of what they
send: the first to write overwrites, the others add, and the last one applies the ReLU.
"""

from abc import ABC, abstractmethod

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.engine.tensors import Tensor, aligned_zeros
from npsqueeze.functional.dropout import kept as kept_by_dropout
from npsqueeze.generators import DROPOUT
from npsqueeze.layers import BatchNorm2d, Dropout, MaxPool2d
from npsqueeze.module import Module


class Step(ABC):
    """From tensor x to tensor y.

    `fills_vectors` tells whether the forward pass writes also the channels that only fill vectors,
    `is_frozen` that it has taken its parameters for good.
    """

    fills_vectors, is_frozen = True, False

    def __init__(self, name: str, x: Tensor, y: Tensor) -> None:
        self.name, self.x, self.y = name, x, y
        x.readers.append(self)

    def prepare(self) -> None:  # noqa: B027 (many steps need no table)
        """Make the tables, once the tensors have their memory."""

    def freeze(self) -> None:
        """Take the parameters as they are now, for all forward passes to come."""
        self.take_parameters(0, training=False)
        self.is_frozen = True

    def take_parameters(self, n: int, training: bool) -> None:  # noqa: B027 (many have none)
        """Bring the parameters as they are now into the form that the forward pass wants.

        For n images of x, if they decide on it.
        """

    @abstractmethod
    def forward(self, n: int, training: bool) -> None:
        """Compute n images of y from those of x."""

    @abstractmethod
    def backward(self, n: int) -> None:
        """Compute x's gradient from y's, and add to those of the parameters."""

    def macs(self) -> int:
        """Return the multiply-accumulate operations of a forward pass over the whole batch."""
        return 0

    def duties(self, x: Tensor) -> tuple[bool, bool]:
        """Tell whether this step adds to x's gradient, and whether it applies x's ReLU.

        The backward pass goes from the last reader, which overwrites, to the first, which applies
        the ReLU.
        """
        return x.readers[-1] is not self, x.rectified and x.readers[0] is self


class Normalisation(Step):
    """Batch normalisation, and the ReLU behind it.

    The gradient of x overwrites that of y, whose memory it shares.
    """

    def __init__(self, name: str, x: Tensor, y: Tensor, layer: BatchNorm2d, relu: bool) -> None:
        super().__init__(name, x, y)
        self.layer, self.relu = layer, relu
        y.rectified = relu

    def prepare(self) -> None:
        """Share the gradient's memory; the channels that fill vectors have weight 0."""
        x, y = self.x, self.y
        x.grad = y.grad
        self.rows, self.places = x.offsets(), y.offsets()
        self.mean, self.variance = np.zeros((2, x.channels))

    def forward(self, n: int, training: bool) -> None:
        """Normalise by the moments of the batch, or by the running ones."""
        x, y, pixels = self.x, self.y, self.x.pixels(n)
        if not self.is_frozen:
            self.take_parameters(n, training)
        kernels.normalize_pixels(
            x.data, self.rows[:pixels], self.minus_mean, self.scale, self.shift,
            y.data, self.places[:pixels], self.relu,
        )  # fmt: skip

    def take_parameters(self, n: int, training: bool) -> None:
        """Compute factor and summand of each channel, by the moments of n images if training."""
        layer, x, real = self.layer, self.x, self.x.channel_places
        pixels = x.pixels(n)
        self.training = training
        if training:
            kernels.moments(x.data, self.rows[:pixels], self.mean, self.variance)
            for running, moment in (
                (layer.running_mean.data, self.mean[real]),
                (layer.running_var.data, self.variance[real] * (pixels / (pixels - 1))),
            ):
                running += layer.momentum * (moment - running)
        else:
            self.mean[real] = layer.running_mean.data
            self.variance[real] = layer.running_var.data
        self.inverse = 1 / np.sqrt(self.variance + layer.eps)
        weight, shift = np.zeros((2, x.channels))
        weight[real], shift[real] = layer.weight.data, layer.bias.data
        self.minus_mean = -self.mean.astype(x.dtype)
        self.scale = (weight * self.inverse).astype(x.dtype)
        self.shift = shift.astype(x.dtype)

    def backward(self, n: int) -> None:
        """Turn y's gradient into x's, and add to those of weight and bias."""
        x, real, pixels = self.x, self.x.channel_places, self.x.pixels(n)
        sums, products = np.zeros((2, x.channels))
        places, rows = self.places[:pixels], self.rows[:pixels]
        kernels.normalize_gradient_sums(
            self.y.grad, places, x.data, rows, self.minus_mean, sums, products
        )
        self.layer.weight.grad += (products * self.inverse)[real]
        self.layer.bias.grad += sums[real]
        # running moments do not depend on x: both terms vanish
        count = pixels if self.training else np.inf
        shift, slope = sums / count, products * self.inverse**2 / count
        kernels.normalize_backward_pixels(
            self.y.grad, places, x.data, rows, self.minus_mean, self.scale,
            -shift.astype(x.dtype), -slope.astype(x.dtype),
        )  # fmt: skip


class MaxPooling(Step):
    """Max pooling."""

    def __init__(self, name: str, x: Tensor, y: Tensor, layer: MaxPool2d) -> None:
        super().__init__(name, x, y)
        self.windows = layer.windows

    def prepare(self) -> None:
        """List the pixels of each window, and the windows of each pixel."""
        x, y = self.x, self.y
        (kh, kw), (sh, sw), (top, left), _, _ = self.windows
        height, width = x.shape[2:]
        windows, covering = [], [[] for _ in range(height * width)]  # type: ignore[var-annotated]
        for o, (p, q) in enumerate(np.ndindex(*y.shape[2:])):
            taps = [(p * sh + i - top, q * sw + j - left) for i in range(kh) for j in range(kw)]
            inside = [0 <= h < height and 0 <= w < width for h, w in taps]
            first = inside.index(True)  # it stands at every place outside, so at number 0 too
            windows.append(
                [tap if ok else taps[first] for tap, ok in zip(taps, inside, strict=True)]
            )
            for number, (h, w) in enumerate(taps):
                if inside[number]:
                    covering[h * width + w].append((o, 0 if number == first else number))
        places = np.array(windows) + x.border
        self.offsets = places[..., 0] * x.row + places[..., 1] * x.channels
        most = max(map(len, covering))
        self.covering = np.array([each + [(-1, -1)] * (most - len(each)) for each in covering])
        self.places, self.pixels = y.offsets(), x.offsets()
        self.winner = aligned_zeros(len(self.places) * x.channels, x.dtype)

    def forward(self, n: int, training: bool) -> None:
        """Take each window's maximum."""
        x, y = self.x, self.y
        places = self.places[: y.pixels(n)]
        kernels.max_pool(x.data, x.image, self.offsets, y.data, places, self.winner, x.channels)

    def backward(self, n: int) -> None:
        """Give each pixel what it gets from the windows that it won."""
        x, y = self.x, self.y
        kernels.max_pool_backward_pixels(
            y.grad, self.places[: y.pixels(n)], self.winner, self.covering,
            x.grad, self.pixels[: x.pixels(n)], x.channels, y.data, *self.duties(x),
        )  # fmt: skip


class Addition(Step):
    """y = x + other: a bypass."""

    def __init__(self, name: str, x: Tensor, other: Tensor, y: Tensor) -> None:
        super().__init__(name, x, y)
        self.other = other
        other.readers.append(self)

    def prepare(self) -> None:
        """List all pixels."""
        self.pixels = {tensor: tensor.offsets() for tensor in (self.x, self.other, self.y)}

    def forward(self, n: int, training: bool) -> None:
        """Add."""
        x, other, y, count = self.x, self.other, self.y, self.y.pixels(n)
        kernels.add_pixels(
            x.data, self.pixels[x][:count], other.data, self.pixels[other][:count],
            y.data, self.pixels[y][:count], y.channels,
        )  # fmt: skip

    def backward(self, n: int) -> None:
        """Send y's gradient both ways."""
        y, count = self.y, self.y.pixels(n)
        for tensor in (self.x, self.other):
            kernels.send_pixels(
                y.grad, self.pixels[y][:count], tensor.grad, self.pixels[tensor][:count],
                y.channels, tensor.data, *self.duties(tensor),
            )  # fmt: skip


class Dropping(Step):
    """Dropout, with the same bits as the layer's own."""

    fills_vectors = False

    def __init__(self, name: str, x: Tensor, y: Tensor, layer: Dropout) -> None:
        super().__init__(name, x, y)
        self.layer = layer
        self.kept: Array | None = None

    def prepare(self) -> None:
        """List all pixels."""
        self.x_pixels, self.y_pixels = self.x.offsets(), self.y.offsets()

    def forward(self, n: int, training: bool) -> None:
        """Multiply by 0 or 1/(1 - p); in inference, by 1."""
        layer, x, y, p = self.layer, self.x, self.y, self.layer.p
        self.kept = None
        if not training:
            count = x.pixels(n)
            kernels.send_pixels(
                x.data, self.x_pixels[:count], y.data, self.y_pixels[:count],
                x.channels, x.data, False, False,
            )  # fmt: skip
            return
        shape = (n, *x.shape[1:])
        kept = kept_by_dropout(shape, p, (layer.seed, DROPOUT, layer.step))
        layer.step += 1
        self.kept = kept.reshape(*shape[:2], -1)
        self._drop(self.kept, x.data, self.x_pixels, y.data, self.y_pixels)

    def backward(self, n: int) -> None:
        """Multiply by the same factor, and send on."""
        x, y, count = self.x, self.y, self.y.pixels(n)
        if self.kept is not None:
            self._drop(self.kept, y.grad, self.y_pixels, y.grad, self.y_pixels)
        kernels.send_pixels(
            y.grad, self.y_pixels[:count], x.grad, self.x_pixels[:count],
            y.channels, x.data, *self.duties(x),
        )  # fmt: skip

    def _drop(
        self, kept: Array, source: Array, pixels: Array, target: Array, places: Array
    ) -> None:
        count, scale = kept.shape[0] * kept.shape[2], self.x.dtype.type(1 / (1 - self.layer.p))
        kernels.drop_pixels(
            source, pixels[:count], kept, self.x.channel_places, scale, target, places[:count]
        )


class GlobalAverage(Step):
    """The mean of each channel."""

    def prepare(self) -> None:
        """List all pixels, and for each of them the single one of its image in y."""
        x, y = self.x, self.y
        self.x_pixels, self.places = x.offsets(), y.offsets()
        self.y_pixels = np.repeat(self.places, x.pixels(1))

    def forward(self, n: int, training: bool) -> None:
        """Average over the pixels."""
        x, y = self.x, self.y
        pixels, places = self.x_pixels[: x.pixels(n)], self.places[:n]
        kernels.average_pixels(x.data, pixels, y.data, places, x.channels)

    def backward(self, n: int) -> None:
        """Give every pixel its share."""
        x, y, count = self.x, self.y, self.x.pixels(n)
        y.images(y.grad, n)[...] /= x.pixels(1)
        kernels.send_pixels(
            y.grad, self.y_pixels[:count], x.grad, self.x_pixels[:count],
            x.channels, x.data, *self.duties(x),
        )  # fmt: skip


class Taught(Step):
    """A layer that the engine does not know: it computes as it does by itself."""

    fills_vectors = False

    def __init__(self, name: str, x: Tensor, y: Tensor, layer: Module) -> None:
        super().__init__(name, x, y)
        self.layer = layer

    def forward(self, n: int, training: bool) -> None:
        """Run the layer on a copy in its own layout."""
        result = self.layer.forward(self.x.read(self.x.data, n))
        self.y.write(self.y.data, result.reshape(n, *self.y.shape[1:]))

    def backward(self, n: int) -> None:
        """Run its backward pass."""
        x, y = self.x, self.y
        dy = y.read(y.grad, n)
        dx = self.layer.backward(dy if self.layer_is_spatial else dy.reshape(n, -1))
        if not x.has_gradient:
            return
        gradient = np.zeros((n, *x.shape[2:], x.channels), x.dtype)
        gradient[..., x.channel_places] = dx.transpose(0, 2, 3, 1)
        adds, gates = self.duties(x)
        target, data = x.images(x.grad, n), x.images(x.data, n)
        if adds:
            gradient += target
        target[...] = np.where(data <= 0, 0, gradient) if gates else gradient

    @property
    def layer_is_spatial(self) -> bool:
        """Whether the layer returns images."""
        return len(self.layer.output_shape(self.x.shape)) == 4

    def macs(self) -> int:
        """Return the layer's own count."""
        return self.layer.macs(self.x.shape)
