"""NumPy as a contender: its matrix product, and a convolution by views of windows."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npsqueeze.benchmark import inputs
from npsqueeze.benchmark.works import Convolution, Product, Work


def prepare(work: Work, way: str, threads: int) -> Callable[[], object] | None:
    """Return a function that does the work once; None for a backward pass, which NumPy lacks."""
    if isinstance(work, Product):
        a, b, c = inputs.matrices(work)
        return lambda: np.matmul(a, b, out=c)
    if not isinstance(work, Convolution) or work.training:
        return None
    x, weight, bias, _ = inputs.convolution(work)
    filters = weight.reshape(work.filters, -1)
    edge = work.padding

    def forward() -> object:
        padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge))) if edge else x
        windows = sliding_window_view(padded, weight.shape[2:], (2, 3))
        windows = windows[:, :, :: work.stride, :: work.stride]
        n, _, height, width = windows.shape[:4]
        columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, -1, height * width)
        return np.matmul(filters, columns) + bias[:, None]

    return forward
