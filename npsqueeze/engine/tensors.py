"""What a plan computes with: NHWC images in one buffer, with a zero border, and whole vectors."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.kernels.conv import TILE_ROWS
from npsqueeze.kernels.simd import VECTOR_BYTES


def in_tiles(offsets: Array, filler: int | None = None) -> Array:
    """Return the offsets, filled up to whole tiles; to read from, with the first one again."""
    missing = -len(offsets) % TILE_ROWS
    filler = offsets[0] if filler is None else filler
    return np.concatenate([offsets, np.full(missing, filler, offsets.dtype)])


def whole_tiles(count: int) -> int:
    """Return the number of rows of the tiles that hold `count` rows."""
    return count + -count % TILE_ROWS


def lanes(dtype: Any) -> int:
    """Return how many numbers a vector holds."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def whole_vectors(count: int, dtype: Any) -> int:
    """Return how many numbers the vectors have that hold `count` numbers."""
    return count + -count % lanes(dtype)


def aligned_zeros(size: int, dtype: Any) -> Array:
    """Return zeros that start where a cache line does, so that no vector lies across two lines."""
    room = np.zeros(size + lanes(dtype), dtype)
    start = -room.ctypes.data % VECTOR_BYTES // room.itemsize
    return room[start : start + size]


class Tensor:
    """A batch of images (N, C, H, W) as a plan holds it.

    Memory is NHWC. Around each image lies a border of zeros, as wide as the padding of those who
    read it. The channels come in *parts*, one for each branch that writes into it (a concatenation
    is nothing but that), and each part fills whole vectors: the channels too many are zero.

    Attributes
    ----------
    shape : (N, C, H, W)
    parts : tuple of int
        How many channels each part has.
    border : int
    in_vectors : bool
        Whether the parts fill whole vectors: all but the network's input, which has few channels.
    has_gradient : bool
    readers : list of Step
        The steps that read it, in the order of the forward pass.
    lender, borrower : Tensor or None
        With whom it shares the memory of the gradient.
    rectified : bool
        Whether the data come out of a ReLU. The gradient is then the one before the ReLU: whoever
        writes it last sets it to zero where the data are, so that the convolution need not.
    data, grad : one-dimensional arrays
    """

    def __init__(
        self, name: str, shape: tuple[int, int, int, int], parts: tuple[int, ...], dtype: Any
    ) -> None:
        self.name, self.shape, self.parts = name, shape, parts
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.border, self.rectified, self.in_vectors, self.has_gradient = 0, False, True, True
        self.readers: list[Any] = []
        self.lender: Tensor | None = None
        self.borrower: Tensor | None = None
        self.data = self.grad = np.empty(0, dtype)

    def widen(self, border: int) -> None:
        """Ask for a border at least so wide."""
        self.border = max(self.border, border)
        for tensor in (self.lender, self.borrower):
            if tensor is not None and tensor.border < self.border:
                tensor.widen(self.border)

    def borrow_gradient(self, lender: "Tensor") -> None:
        """Note that both gradients will be one array, which `Normalisation.prepare` makes so.

        Their borders stay equal from now on, so that their offsets agree.
        """
        self.lender, lender.borrower = lender, self
        lender.widen(self.border)

    @property
    def part_starts(self) -> list[int]:
        """The channel in memory at which each part starts, and behind the last one their sum."""
        starts = [0]
        for part in self.parts:
            size = whole_vectors(part, self.dtype) if self.in_vectors else part
            starts.append(starts[-1] + size)
        return starts

    @property
    def channels(self) -> int:
        """The number of channels in memory."""
        return self.part_starts[-1]

    @property
    def channel_places(self) -> Array:
        """Where in memory each of the C channels is."""
        starts = self.part_starts
        return np.concatenate(
            [start + np.arange(part) for start, part in zip(starts, self.parts, strict=False)]
        )

    @property
    def row(self) -> int:
        """The size of a row of pixels in memory."""
        return (self.shape[3] + 2 * self.border) * self.channels

    @property
    def image(self) -> int:
        """The size of an image in memory."""
        return (self.shape[2] + 2 * self.border) * self.row

    def offsets(self, stride: tuple[int, int] = (1, 1), size: Any = None) -> Array:
        """Return the offset of each pixel of the batch, or of every stride-th, (N·h·w,)."""
        height, width = self.shape[2:] if size is None else size
        n, h, w = np.ogrid[: self.shape[0], :height, :width]
        rows = (self.border + h * stride[0]) * self.row
        columns = (self.border + w * stride[1]) * self.channels
        return (n * self.image + rows + columns).ravel()

    @property
    def spare(self) -> int:
        """The offset of a pixel behind the images, for results that nobody reads."""
        return self.shape[0] * self.image

    def taps(self, kernel: list[tuple[int, int]], channels: npt.ArrayLike) -> Array:
        """Return the offset, from a pixel, of each channel of each neighbour (down, right)."""
        steps = np.array([down * self.row + right * self.channels for down, right in kernel])
        return (steps[:, None] + np.asarray(channels)).ravel()

    @property
    def size(self) -> int:
        """How many numbers the memory holds: all images, and the spare pixel."""
        return self.spare + self.channels

    def allocate(self) -> None:
        """Get the memory, if there is none yet; all is zero, and the border stays so."""
        if not self.data.size:
            self.data = aligned_zeros(self.size, self.dtype)
        if self.has_gradient and self.lender is None:
            self.grad = aligned_zeros(self.size, self.dtype)

    def images(self, array: Array, n: int) -> Array:
        """View n images of `data` or `grad` as (n, H, W, channels), without the border."""
        _, _, height, width = self.shape
        edge = self.border
        whole = array[: self.shape[0] * self.image]
        whole = whole.reshape(self.shape[0], height + 2 * edge, width + 2 * edge, self.channels)
        return whole[:n, edge : edge + height, edge : edge + width]

    def write(self, array: Array, x: Array) -> None:
        """Write images (n, C, H, W) into `data` or `grad`."""
        images, rows = np.ascontiguousarray(x), self._rows[: len(x) * self.shape[2]]
        kernels.write_pixels(images, array, rows, self.channels, self.channel_places)

    @cached_property
    def _rows(self) -> Array:
        """The offset of each row of pixels; to be asked for when the border is known."""
        return self.offsets(size=(self.shape[2], 1))

    def read(self, array: Array, n: int) -> Array:
        """Return a copy of n images of `data` or `grad` as (n, C, H, W)."""
        images = self.images(array, n)[..., self.channel_places]
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    @property
    def bytes(self) -> int:
        """The memory of the data, and of the gradient."""
        return self.data.nbytes + self.grad.nbytes

    def pixels(self, n: int) -> int:
        """Return the number of pixels of n images."""
        return n * math.prod(self.shape[2:])
