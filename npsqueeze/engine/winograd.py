"""3x3 convolutions of a plan in fewer multiplications: which ones, and their tables."""

import math

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.engine.tensors import (
    Tensor,
    aligned_zeros,
    in_tiles,
    lanes,
    whole_tiles,
    whole_vectors,
)
from npsqueeze.functional.windows import Windows
from npsqueeze.kernels.winograd import GRADIENT_PANELS, GRADIENT_SQUARES, PLACES
from npsqueeze.module import Parameter

GRADIENT_TASKS = 16  # aimed at: with too few panels for that, the pixels are cut into shares
WINDOWS = Windows((3, 3), (1, 1), (1, 1))


def suits_winograd(windows: Windows, source: Tensor) -> bool:
    """Tell whether a convolution of the source has 3x3 windows, one around each pixel."""
    return windows == WINDOWS and source.in_vectors


def border(height: int, width: int) -> int:
    """Return how far the squares reach beyond an image that they cover."""
    return 1 + max(height % 2, width % 2)


class Winograd:
    """One 3x3 convolution from a part of a tensor to a part of another of the same size.

    Parameters
    ----------
    source, target : Tensor
    terms, columns : arrays
        The places of the channels read and written, counted from `first_term` and `first_column`;
        there may be gaps, where the parts of a tensor are filled up to whole vectors.
    weight : Parameter
    turned : bool
        Whether this is the gradient's convolution, from the filters to the inputs.
    """

    def __init__(
        self, source: Tensor, terms: Array, first_term: int, target: Tensor, columns: Array,
        first_column: int, weight: Parameter, turned: bool,
    ) -> None:  # fmt: skip
        self.source, self.terms = source, terms
        self.first_column, self.weight, self.turned = first_column, weight, turned
        self.channels = np.arange(whole_vectors(terms[-1] + 1, source.dtype))
        self.filter_at = np.full(whole_vectors(columns[-1] + 1, source.dtype), -1)
        self.filter_at[columns] = np.arange(len(columns))
        size = PLACES * len(self.filter_at) * len(self.channels)
        self.weights = aligned_zeros(size, source.dtype)
        n, _, height, width = source.shape
        self.squares = rows, across = -(-height // 2), -(-width // 2)
        self.per_image = rows * across
        p, q = np.arange(rows) * 2, np.arange(across) * 2
        corners = source.offsets((2, 2), (rows, across)) - source.row - source.channels
        self.corners = in_tiles(corners + first_term)
        image = np.arange(n)[:, None, None, None, None] * target.image
        down, right = (
            p[:, None, None, None] + np.arange(2)[:, None],
            q[:, None, None] + np.arange(2),
        )
        places = (down + target.border) * target.row + (right + target.border) * target.channels
        places = np.where((down < height) & (right < width), image + places, target.spare)
        filler = np.full(4 * (len(self.corners) - n * self.per_image), target.spare)
        self.places = np.concatenate([places.ravel(), filler])

    def pack(self) -> None:
        """Transform the filters as they are now."""
        filters = self.weight.data.reshape(*self.weight.data.shape[:2], 9)
        kernels.transform_filters(
            filters, self.terms, self.filter_at, len(self.channels), self.turned, self.weights
        )

    def run(
        self, n: int, x: Array, bias: Array, y: Array, relu: bool, accumulate: bool, gate: Array,
        gated: bool,
    ) -> None:  # fmt: skip
        """Convolve the first n images."""
        squares = whole_tiles(n * self.per_image)
        kernels.convolve_3x3(
            x, self.corners[:squares], self.source.row, self.source.channels, self.channels,
            self.weights, bias, y, self.places[: 4 * squares], self.first_column,
            relu, accumulate, gate, gated,
        )  # fmt: skip


class WinogradGradient:
    """The gradients of such a convolution's weight and bias.

    Parameters
    ----------
    forward : Winograd
        The convolution itself; not turned.
    bias : Parameter or None
    """

    def __init__(self, forward: Winograd, target: Tensor, bias: Parameter | None) -> None:
        self.forward, self.target, self.bias = forward, target, bias
        self.positions = target.offsets((2, 2), forward.squares) + forward.first_column
        channels, columns = len(forward.channels), len(forward.filter_at)
        places = np.arange(PLACES)[:, None] * GRADIENT_SQUARES * channels
        self.rows = (places + in_tiles(forward.channels)).ravel()
        groups = -(-columns // (GRADIENT_PANELS * lanes(target.dtype)))
        shares = min(GRADIENT_TASKS // groups, len(self.positions) // GRADIENT_SQUARES)
        size = (max(1, shares), PLACES, whole_tiles(channels), columns)
        self.sums = aligned_zeros(math.prod(size), target.dtype).reshape(size)
        self.db = np.zeros((size[0], columns), target.dtype)

    def add(self, n: int, x: Array, dy: Array) -> None:
        """Add the sums over n images to the gradients of the parameters."""
        forward, source, target = self.forward, self.forward.source, self.target
        squares = n * forward.per_image
        kernels.weight_gradient_3x3(
            x, forward.corners[:squares], source.row, source.channels, self.rows,
            len(forward.channels), dy, self.positions[:squares], target.row, target.channels,
            self.sums, self.db,
        )  # fmt: skip
        gradient = forward.weight.grad.reshape(*forward.weight.grad.shape[:2], 9)
        kernels.add_filter_gradients(self.sums, forward.filter_at, forward.terms, gradient)
        if self.bias is not None:
            real = forward.filter_at >= 0
            self.bias.grad += self.db.sum(axis=0)[real]
