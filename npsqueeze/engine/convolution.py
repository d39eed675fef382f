"""The convolutions of a plan: the tables of each pass, and the weights in their order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.engine.steps import Step
from npsqueeze.engine.tensors import Tensor, aligned_zeros, in_tiles, whole_tiles
from npsqueeze.engine.winograd import WINDOWS, Winograd, border
from npsqueeze.functional.windows import Windows
from npsqueeze.kernels.simd import VECTOR_BYTES
from npsqueeze.module import Parameter

GRADIENT_TASKS = 16  # into so many shares a weight's gradient is cut, where it has few channels


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
        """How far each weight lies below and right of the window's own pixel."""
        (kh, kw), _, (top, left), (down, right), _ = self.windows
        return [(i * down - top, j * right - left) for i in range(kh) for j in range(kw)]


class Convolution(Step):
    """Convolutions of x side by side, each into its part of y; and their ReLU."""

    def __init__(
        self, name: str, x: Tensor, y: Tensor, branches: Sequence[Branch], relu: bool
    ) -> None:
        super().__init__(name, x, y)
        self.branches, self.relu = branches, relu
        y.rectified = relu
        for branch in branches:
            if branch.windows == WINDOWS and x.in_vectors:
                for tensor in (x, y) if x.has_gradient else (x,):
                    tensor.widen(border(*x.shape[2:]))
            for axis in (0, 1):
                last_window = (y.shape[2 + axis] - 1) * branch.windows.stride[axis]
                reach = [step[axis] for step in branch.kernel]
                x.widen(max(-min(reach), last_window + max(reach) - (x.shape[2 + axis] - 1)))
                if x.has_gradient:
                    y.widen(max(abs(step) for step in reach))

    def prepare(self) -> None:
        """Make the tables of all passes: rows, taps, and where each weight is packed."""
        x, y = self.x, self.y
        self.rows = in_tiles(x.offsets(self.branches[0].windows.stride, y.shape[2:]))
        self.places, self.y_rows = in_tiles(y.offsets(), y.spare), in_tiles(y.offsets())
        self.x_places = in_tiles(x.offsets(), x.spare)
        self.forwards = [ForwardPass(branch, x, y) for branch in self.branches]
        if x.has_gradient:
            self.backwards = BackwardPass(self.branches, x, y)
        self.no_bias = np.zeros(x.channels, x.dtype)

    def forward(self, n: int, training: bool) -> None:
        """Pack the weights, and convolve."""
        x, y, rows = self.x, self.y, whole_tiles(self.y.pixels(n))
        for each in self.forwards:
            each.pack()
            each.read_bias()
            if each.winograd:
                each.winograd.run(n, x.data, each.biases, y.data, self.relu, False, y.data, False)
                continue
            kernels.convolve(
                x.data, self.rows[:rows], each.taps, each.weights, each.biases,
                y.data, self.places[:rows], each.first_column, self.relu, False, y.data, False,
            )  # fmt: skip

    def backward(self, n: int) -> None:
        """Compute all gradients."""
        x, y, pixels = self.x, self.y, self.y.pixels(n)
        for each in self.forwards:
            kernels.weight_gradient(
                x.data, each.tap_rows, self.rows[:pixels], y.grad, self.places[:pixels],
                each.first_column, each.dw, each.db,
            )  # fmt: skip
            each.add_gradients()
        if x.has_gradient:
            self._send(n)

    def _send(self, n: int) -> None:
        """Compute the gradient of x: one convolution of dy for all branches, those of 3x3 apart."""
        x, y, back = self.x, self.y, self.backwards
        adds, gates = self.duties(x)
        rows = whole_tiles(x.pixels(n))
        back.pack()
        if len(back.taps):
            kernels.convolve(
                y.grad, self.y_rows[:rows], back.taps, back.weights, self.no_bias,
                x.grad, self.x_places[:rows], 0, False, adds, x.data, gates and not back.winograds,
            )  # fmt: skip
            adds = True
        for each in back.winograds:
            each.pack()
            is_last = gates and each is back.winograds[-1]
            each.run(n, y.grad, self.no_bias, x.grad, False, adds, x.data, is_last)
            adds = True

    def macs(self) -> int:
        """Return one operation for each weight and output pixel."""
        return self.y.pixels(self.y.shape[0]) * sum(b.weight.data.size for b in self.branches)


class ForwardPass:
    """The tables of one branch for the forward pass and for the gradient of its weights."""

    def __init__(self, branch: Branch, x: Tensor, y: Tensor) -> None:
        self.branch = branch
        self.first_column, columns, self.filters = branch.columns(y)
        self.taps = x.taps(branch.kernel, x.channel_places)
        self.tap_rows = in_tiles(self.taps)
        weight = branch.weight.data
        filters, inputs = len(weight), weight[0].size
        lanes = VECTOR_BYTES // y.dtype.itemsize
        # places in the weights (F, C, kh·kw), in the order (kh·kw, C, F) of taps and columns
        stored = np.arange(weight.size).reshape(filters, weight.shape[1], -1)
        order = stored.transpose(2, 1, 0).reshape(inputs, filters)
        filled = np.full((inputs, columns), -1, np.int64)
        filled[:, self.filters] = order
        self.winograd = None
        if branch.windows == WINDOWS and x.in_vectors:
            self.winograd = Winograd(
                x, x.channel_places, 0, y, self.filters, self.first_column, branch.weight, False
            )
        else:
            self.sources = _panels(filled, lanes)
            self.weights = aligned_zeros(self.sources.size, x.dtype)
        self.biases = np.zeros(columns, x.dtype)
        self.packed = None if y.has_gradient else np.full_like(weight, np.nan)
        if not y.has_gradient:
            return
        shares = max(1, min(GRADIENT_TASKS * lanes // columns, y.pixels(y.shape[0]) // 64))
        size = shares * len(self.tap_rows) * columns
        self.dw = aligned_zeros(size, x.dtype).reshape(shares, len(self.tap_rows), columns)
        self.db = np.zeros((shares, columns), x.dtype)
        # and back: where in (taps, columns) each weight's gradient is
        self.targets = np.empty(weight.size, np.int64)
        self.targets[order] = np.arange(inputs)[:, None] * columns + self.filters

    def pack(self) -> None:
        """Bring the weights as they are now into the order of the tables.

        A plan for prediction does so only where they have changed: it takes longer than to look.
        """
        if self.packed is not None:
            if np.array_equal(self.packed, self.branch.weight.data):
                return
            self.packed[...] = self.branch.weight.data
        if self.winograd:
            self.winograd.pack()
        else:
            kernels.gather(self.branch.weight.data.reshape(-1), self.sources, self.weights)

    def read_bias(self) -> None:
        """Copy the biases as they are now."""
        if self.branch.bias is not None:
            self.biases[self.filters] = self.branch.bias.data

    def add_gradients(self) -> None:
        """Add the sums over all shares to the gradients of the parameters."""
        weight, bias = self.branch.weight, self.branch.bias
        shares = self.dw.reshape(len(self.dw), -1)
        kernels.add_gathered(shares, self.targets, weight.grad.reshape(-1))
        if bias is not None:
            bias.grad += self.db.sum(axis=0)[self.filters]


class BackwardPass:
    """The tables of all branches for the gradient of x, which is one convolution of dy."""

    def __init__(self, branches: Sequence[Branch], x: Tensor, y: Tensor) -> None:
        self.winograds = [
            Winograd(y, places, first, x, x.channel_places, 0, branch.weight, turned=True)
            for branch in branches
            if branch.windows == WINDOWS
            for first, _, places in [branch.columns(y)]
        ]
        self.branches = [branch for branch in branches if branch.windows != WINDOWS]
        taps, orders, start = [np.empty(0, np.int64)], [np.empty((0, x.channels), np.int64)], 0
        for branch in self.branches:
            weight, (first, _, places) = branch.weight.data, branch.columns(y)
            filters, inputs = weight.shape[:2]
            turned = [(-down, -right) for down, right in branch.kernel]
            taps.append(y.taps(turned, first + places))
            # places in the weights (F, C, kh·kw), in the order (kh·kw, F, C) of taps and columns
            order = start + np.arange(weight.size).reshape(filters, inputs, -1).transpose(2, 0, 1)
            columns = np.full((len(taps[-1]), x.channels), -1)
            columns[:, x.channel_places] = order.reshape(-1, inputs)
            orders.append(columns)
            start += weight.size
        self.taps = np.concatenate(taps)
        self.sources = _panels(np.concatenate(orders), VECTOR_BYTES // x.dtype.itemsize)
        self.all_weights = np.empty(start, x.dtype)
        self.weights = aligned_zeros(self.sources.size, x.dtype)

    def pack(self) -> None:
        """Bring the weights as they are now into the order of the tables."""
        if self.branches:
            np.concatenate([b.weight.data.ravel() for b in self.branches], out=self.all_weights)
            kernels.gather(self.all_weights, self.sources, self.weights)


def _panels(order: Array, lanes: int) -> Array:
    """Return a matrix (terms, columns) as (panels, terms, lanes), flat."""
    return order.reshape(len(order), -1, lanes).swapaxes(0, 1).ravel()
