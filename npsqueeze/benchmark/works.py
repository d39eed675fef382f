"""What is measured: pieces of work, each with its operations and the bytes that it must move.

Operations are counted as those of direct convolution, two for each multiply-add, whatever a library
does instead: a faster algorithm shows as a higher rate. Bytes are those of every operand and result
of a convolution or product, read or written once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from npsqueeze.kernels.peak import FEW_CHAINS, MANY_CHAINS
from npsqueeze.layers import Conv2d, Fire, Module
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.module import Shape
from npsqueeze.recipes import NETWORK

KINDS = ("peak", "gemm", "convolution", "step", "picture", "size")
SINGLE = 4  # bytes of a float32
PLAIN: dict[str, Any] = {}
RECIPE = {name: value for name, value in NETWORK.items() if name != "version"}


@dataclass(frozen=True)
class Peak:
    """Multiply-adds in registers, on so many threads."""

    threads: int
    chains: int
    rounds: int = 200_000
    kind = "peak"
    bytes = 0

    @property
    def name(self) -> str:
        """What the table says."""
        count = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"multiply-adds, {self.chains} vectors, {count}"

    @property
    def tasks(self) -> int:
        """The tasks that the threads share."""
        return 8 * self.threads

    @property
    def flops(self) -> int:
        """Two for each lane, vector and round."""
        return 2 * self.tasks * self.chains * 16 * self.rounds


@dataclass(frozen=True)
class Stream:
    """c = a + scale·b for vectors that no cache holds."""

    size: int = 1 << 24
    kind = "peak"
    name = "memory, c = a + s·b"

    @property
    def flops(self) -> int:
        """Two for each number."""
        return 2 * self.size

    @property
    def bytes(self) -> int:
        """Two vectors read, one written."""
        return 3 * SINGLE * self.size


@dataclass(frozen=True)
class Product:
    """C = A·B, with one A (rows, depth) for all matrices B (depth, columns)."""

    matrices: int
    rows: int
    depth: int
    columns: int
    kind = "gemm"

    @property
    def name(self) -> str:
        """What the table says."""
        many = f"{self.matrices} of " if self.matrices > 1 else ""
        return f"{many}{self.rows}x{self.depth} · {self.depth}x{self.columns}"

    @property
    def flops(self) -> int:
        """Two for each number summed up."""
        return 2 * self.matrices * self.rows * self.depth * self.columns

    @property
    def bytes(self) -> int:
        """A once, every B and C."""
        per_matrix = (self.depth + self.rows) * self.columns
        return SINGLE * (self.rows * self.depth + self.matrices * per_matrix)


@dataclass(frozen=True)
class Convolution:
    """A convolution with bias, forward or (`training`) forward and backward.

    Nobody needs the gradient of a network's `first` input, and nobody computes it here.
    """

    shape: Shape
    filters: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    first: bool = False
    training: bool = False
    kind = "convolution"

    @property
    def name(self) -> str:
        """What the table says."""
        n, channels, height, width = self.shape
        size, stride = self.kernel_size, f"/{self.stride}" if self.stride > 1 else ""
        passes = ", and backward" if self.training else ""
        return (
            f"{size}x{size}{stride}, {channels} to {self.filters}, {n} of {height}x{width}{passes}"
        )

    @cached_property
    def layer(self) -> Conv2d:
        """The layer, its weights zero."""
        return Conv2d(
            self.shape[1], self.filters, self.kernel_size, self.stride, padding=self.padding
        )

    @property
    def product(self) -> Product:
        """The matrix product that im2col makes of the forward pass."""
        n, filters, height, width = self.layer.output_shape(self.shape)
        return Product(n, filters, self.layer.weight.data[0].size, height * width)

    @property
    def flops(self) -> int:
        """Each pass as many: forward, the gradient of the weights, and that of the input."""
        passes = 1 + (0 if not self.training else 1 if self.first else 2)
        return 2 * passes * self.layer.macs(self.shape)

    @property
    def bytes(self) -> int:
        """Forward x, w and y; backward x, w and dy to read, dx and dw to write."""
        n, channels, height, width = self.shape
        x, w = n * channels * height * width, self.layer.weight.data.size
        y = self.layer.activations(self.shape)
        forward, backward = x + w + y, x + 2 * w + y + (0 if self.first else x)
        return SINGLE * (forward + backward if self.training else forward)


@dataclass(frozen=True)
class Network:
    """A pass of a whole SqueezeNet; in `training` loss, backward pass and optimiser too."""

    kind: str
    name: str
    version: str
    options: tuple[tuple[str, Any], ...]
    shape: Shape
    training: bool = True

    def model(self) -> SqueezeNet:
        """Build the network."""
        classes = 10 if self.version == "cifar" else 1000
        options = {"num_classes": classes, "seed": 0} | dict(self.options)
        return squeezenet(self.version, **options).train(self.training)

    @cached_property
    def flops(self) -> int:
        """Those of its convolutions; the others are few."""
        return sum(each.flops for each in convolutions(self.model(), self.shape, self.training))

    @cached_property
    def bytes(self) -> int:
        """Those of its convolutions, one by one."""
        return sum(each.bytes for each in convolutions(self.model(), self.shape, self.training))


Work = Peak | Stream | Product | Convolution | Network


def convolutions(model: SqueezeNet, shape: Shape, training: bool) -> list[Convolution]:
    """Return every convolution of a network for an input of `shape`, in order."""
    layers = [*model.features.layers.values(), *model.classifier.layers.values()]
    return [
        Convolution(
            at, len(conv.weight.data), conv.windows.kernel_size[0], conv.windows.stride[0],
            conv.windows.padding[0], first=number == 0, training=training,
        )
        for number, (conv, at) in enumerate(_with_shapes(layers, shape))
    ]  # fmt: skip


def _with_shapes(layers: Sequence[Module], shape: Shape) -> Iterator[tuple[Conv2d, Shape]]:
    """Yield the convolutions among the layers, each with the shape of its input."""
    for layer in layers:
        if isinstance(layer, Conv2d):
            yield layer, shape
        elif isinstance(layer, Fire):
            for name, member in layer.layers.items():
                if isinstance(member, Conv2d):
                    squeezed = layer.layers["squeeze"].output_shape(shape)
                    yield member, squeezed if name.startswith("expand") else shape
        shape = layer.output_shape(shape)


def peaks(threads: int) -> list[Work]:
    """Return the works that measure the machine itself."""
    counts = sorted({1, threads})
    return [
        *(Peak(count, chains) for count in counts for chains in (FEW_CHAINS, MANY_CHAINS)),
        Stream(),
    ]


def works_of(kind: str, batch_size: int) -> list[Work]:
    """Return the works of a kind, but for the peaks; networks for ImageNet have their own batch."""
    cifar, image_net = (batch_size, 3, 32, 32), (16, 3, 224, 224)
    if kind == "gemm":
        columns = convolutions(squeezenet("cifar", num_classes=10, seed=0), cifar, False)
        columns += convolutions(squeezenet("1.1", seed=0), (1, 3, 224, 224), False)
        products = [each.product for each in columns if each.kernel_size > 1]
        return [*dict.fromkeys(products), Product(1, 2048, 2048, 2048)]
    if kind == "convolution":
        model = squeezenet("cifar", num_classes=10, seed=0)
        forward = dict.fromkeys(convolutions(model, cifar, False))
        both = dict.fromkeys(convolutions(model, cifar, True))
        return [work for pair in zip(forward, both, strict=True) for work in pair]
    if kind == "step":
        return [
            _step("cifar", PLAIN, cifar, "cifar"),
            _step("cifar", RECIPE, cifar, "cifar, batch norm, simple bypass"),
            _step("1.1", PLAIN, image_net, "1.1"),
        ]
    if kind == "picture":
        return [Network(kind, "1.1, 1 of 224x224", "1.1", (), (1, 3, 224, 224), training=False)]
    if kind == "size":
        batches = [(n, 3, 32, 32) for n in (8, 16, 32, 64, 128, 256, 512)]
        pictures = [(16, 3, pixels, pixels) for pixels in (64, 96, 128, 160, 192, 224)]
        return [_step("cifar", PLAIN, shape, "cifar", kind) for shape in [*batches, *pictures]]
    raise ValueError(f"WORK: expected some of {', '.join(KINDS)}, got {kind!r}")


def _step(
    version: str, options: dict[str, Any], shape: Shape, name: str, kind: str = "step"
) -> Network:
    n, _, height, width = shape
    return Network(kind, f"{name}, {n} of {height}x{width}", version, tuple(options.items()), shape)
