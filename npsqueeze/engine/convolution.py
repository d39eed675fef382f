"""The convolutions of a plan: the tables of each pass, and the weights in their order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.engine.steps import Step
from npsqueeze.engine.tensors import Tensor, aligned_zeros, in_tiles, lanes, whole_tiles
from npsqueeze.engine.winograd import (
    GRADIENT_TASKS,
    Winograd,
    WinogradGradient,
    border,
    suits_winograd,
)
from npsqueeze.functional.windows import Windows
from npsqueeze.module import Parameter

SHARE_PIXELS = 64  # that a share has at least


class Branch(NamedTuple):
    """One convolution, into one part of y, or into all of it (None)."""

    weight: Parameter
    bias: Parameter | None
    windows: Windows
    part: int | None = None

    def columns(self, y: Tensor) -> tuple[int, int, Array]:
        """Return its first channel in y's memory, how many there are, and where the filters are."""
        if self.part is None:
            return 0, y.channels, y.channel_places
        first, end = y.part_starts[self.part : self.part + 2]
        return first, end - first, np.arange(y.parts[self.part])

    @property
    def kernel(self) -> list[tuple[int, int]]:
        """How far each weight lies below and right of where its window stands, at p·stride."""
        (kh, kw), _, (top, left), (dh, dw), _ = self.windows
        return [(i * dh - top, j * dw - left) for i in range(kh) for j in range(kw)]


class Convolution(Step):
    """Convolutions of x side by side, each into its part of y; and their ReLU."""

    def __init__(
        self, name: str, x: Tensor, y: Tensor, branches: Sequence[Branch], relu: bool
    ) -> None:
        super().__init__(name, x, y)
        self.branches, self.relu = branches, relu
        y.rectified = relu
        for branch in branches:
            if suits_winograd(branch.windows, x):
                for tensor in (x, y) if y.has_gradient else (x,):
                    tensor.widen(border(*x.shape[2:]))
            for axis in (0, 1):
                reach = [step[axis] for step in branch.kernel]
                last_x, last_y = x.shape[2 + axis] - 1, y.shape[2 + axis] - 1
                last_window = last_y * branch.windows.stride[axis]
                x.widen(max(-min(reach), last_window + max(reach) - last_x))
                if x.has_gradient:  # a pixel of x gets gradient from y where it stands, minus reach
                    y.widen(max(max(reach), last_x - min(reach) - last_y))

    def prepare(self) -> None:
        """Make the tables of all passes: rows, taps, and where each weight is packed.

        A pass is a road, `Direct` or `Winograd`. Branches share their stride.
        """
        x, y = self.x, self.y
        rows = in_tiles(x.offsets(self.branches[0].windows.stride, y.shape[2:]))
        places = in_tiles(y.offsets(), y.spare)
        self.biases = [np.zeros(branch.columns(y)[1], x.dtype) for branch in self.branches]
        self.forwards = [_forward(branch, x, y, rows, places) for branch in self.branches]
        self.backwards = _backwards(self.branches, x, y) if x.has_gradient else []
        self.no_bias = np.zeros(x.channels, x.dtype)
        if y.has_gradient:
            self.gradients = [
                WinogradGradient(road, y, branch.bias)
                if isinstance(road, Winograd)
                else WeightGradient(branch, x, y, rows, places)
                for branch, road in zip(self.branches, self.forwards, strict=True)
            ]

    def forward(self, n: int, training: bool) -> None:
        """Convolve."""
        x, y = self.x, self.y
        if not self.is_frozen:
            self.take_parameters(n, training)
        for road, biases in zip(self.forwards, self.biases, strict=True):
            road.run(n, x.data, biases, y.data, self.relu, False, y.data, False)

    def take_parameters(self, n: int, training: bool) -> None:
        """Bring weights and biases as they are now into the order of the forward passes."""
        for branch, road, biases in zip(self.branches, self.forwards, self.biases, strict=True):
            if branch.bias is not None:
                biases[branch.columns(self.y)[2]] = branch.bias.data
            road.pack()

    def backward(self, n: int) -> None:
        """Compute all gradients."""
        x, y = self.x, self.y
        for each in self.gradients:
            each.add(n, x.data, y.grad)
        if not x.has_gradient:
            return
        adds, gates = self.duties(x)
        for road in self.backwards:
            road.pack()
            is_last = road is self.backwards[-1]
            road.run(n, y.grad, self.no_bias, x.grad, False, adds, x.data, gates and is_last)
            adds = True

    def macs(self) -> int:
        """Return one operation for each weight and output pixel."""
        return self.y.pixels(self.y.shape[0]) * sum(b.weight.data.size for b in self.branches)


class Direct:
    """A pass that is a sum of products for each row of a table (`kernels.convolve`).

    Parameters
    ----------
    rows, places : offsets read at and written to, in whole tiles
    per_image : int
        How many of them an image has.
    taps : offsets of the terms of each sum
    order : (terms, columns)
        Which number of all weights, one behind the other, is multiplied by this term for this
        column; -1 for zero.
    first_column : int
    weights : list of Parameter
    """

    def __init__(
        self, rows: Array, places: Array, per_image: int, taps: Array, order: Array,
        first_column: int, weights: Sequence[Parameter],
    ) -> None:  # fmt: skip
        self.rows, self.places, self.per_image, self.taps = rows, places, per_image, taps
        self.first_column, self.weights = first_column, weights
        dtype = weights[0].data.dtype
        self.sources = order.reshape(len(order), -1, lanes(dtype)).swapaxes(0, 1).ravel()
        self.panels = aligned_zeros(self.sources.size, dtype)

    def pack(self) -> None:
        """Bring the weights as they are now into the order of the tables, vectors in panels."""
        numbers = self.weights[0].data.reshape(-1)
        if len(self.weights) > 1:
            numbers = np.concatenate([weight.data.reshape(-1) for weight in self.weights])
        kernels.gather(numbers, self.sources, self.panels)

    def run(
        self, n: int, x: Array, bias: Array, y: Array, relu: bool, accumulate: bool, gate: Array,
        gated: bool,
    ) -> None:  # fmt: skip
        """Convolve the first n images."""
        rows = whole_tiles(n * self.per_image)
        kernels.convolve(
            x, self.rows[:rows], self.taps, self.panels, bias,
            y, self.places[:rows], self.first_column, relu, accumulate, gate, gated,
        )  # fmt: skip


def _forward(branch: Branch, x: Tensor, y: Tensor, rows: Array, places: Array) -> Direct | Winograd:
    """Return the forward pass of one branch."""
    first, columns, filters = branch.columns(y)
    weight = branch.weight
    if suits_winograd(branch.windows, x):
        return Winograd(x, x.channel_places, 0, y, filters, first, weight, turned=False)
    taps = x.taps(branch.kernel, x.channel_places)
    order = np.full((len(taps), columns), -1)
    order[:, filters] = _in_order_of_taps(weight.data)
    return Direct(rows, places, y.pixels(1), taps, order, first, [weight])


def _backwards(branches: Sequence[Branch], x: Tensor, y: Tensor) -> list[Direct | Winograd]:
    """Return the passes that make the gradient of x.

    That is a direct one for all branches together, and then one for each that suits Winograd.
    """
    roads: list[Direct | Winograd] = []
    direct: list[Branch] = []
    for branch in branches:
        first, _, filters = branch.columns(y)
        if suits_winograd(branch.windows, y):
            roads.append(
                Winograd(y, filters, first, x, x.channel_places, 0, branch.weight, turned=True)
            )
        else:
            direct.append(branch)
    if not direct:
        return roads
    taps, orders, start = [], [], 0
    for branch in direct:
        weight, (first, _, filters) = branch.weight.data, branch.columns(y)
        turned = [(-down, -right) for down, right in branch.kernel]
        taps.append(y.taps(turned, first + filters))
        # places in the weights (F, C, kh·kw), in the order (kh·kw, F, C) of taps and columns
        stored = start + np.arange(weight.size).reshape(*weight.shape[:2], -1)
        order = np.full((len(taps[-1]), x.channels), -1)
        order[:, x.channel_places] = stored.transpose(2, 0, 1).reshape(len(order), -1)
        orders.append(order)
        start += weight.size
    # A row stands in y where a pixel stands in x, be it in y's border.
    rows, places = in_tiles(y.offsets(size=x.shape[2:])), in_tiles(x.offsets(), x.spare)
    weights = [branch.weight for branch in direct]
    road = Direct(
        rows, places, x.pixels(1), np.concatenate(taps), np.concatenate(orders), 0, weights
    )
    return [road, *roads]


class WeightGradient:
    """The gradients of one branch's weight and bias."""

    def __init__(self, branch: Branch, x: Tensor, y: Tensor, rows: Array, places: Array) -> None:
        self.branch, self.rows, self.places, self.per_image = branch, rows, places, y.pixels(1)
        self.first_column, columns, self.filters = branch.columns(y)
        self.taps = in_tiles(x.taps(branch.kernel, x.channel_places))
        shares = max(
            1,
            min(GRADIENT_TASKS * lanes(y.dtype) // columns, y.pixels(y.shape[0]) // SHARE_PIXELS),
        )
        sums = aligned_zeros(shares * len(self.taps) * columns, x.dtype)
        self.dw = sums.reshape(shares, len(self.taps), columns)
        self.db = np.zeros((shares, columns), x.dtype)
        # where in (taps, columns) the gradient of each weight, as it is stored, will be
        order = _in_order_of_taps(branch.weight.data)
        self.sources = np.empty(order.size, np.int64)
        self.sources[order] = np.arange(len(order))[:, None] * columns + self.filters

    def add(self, n: int, x: Array, dy: Array) -> None:
        """Add the sums over n images to the gradients of the parameters."""
        pixels, weight, bias = n * self.per_image, self.branch.weight, self.branch.bias
        kernels.weight_gradient(
            x, self.taps, self.rows[:pixels], dy, self.places[:pixels],
            self.first_column, self.dw, self.db,
        )  # fmt: skip
        shares = self.dw.reshape(len(self.dw), -1)
        kernels.add_gathered(shares, self.sources, weight.grad.reshape(-1))
        if bias is not None:
            bias.grad += self.db.sum(axis=0)[self.filters]


def _in_order_of_taps(weight: Array) -> Array:
    """Return the places in the weights (F, C, kh·kw), in the order (kh·kw·C, F)."""
    stored = np.arange(weight.size).reshape(*weight.shape[:2], -1)
    return stored.transpose(2, 1, 0).reshape(-1, len(weight))
