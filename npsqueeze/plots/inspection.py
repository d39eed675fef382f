"""Figures of what is inside a network: filters, activation maps, weights, dead units."""

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.plots.figures import FAINT, new_figure, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def first_layer_filters(weight: Array, path: str | os.PathLike[str] | None = None) -> "Figure":
    """Draw the filters of the first convolution, each scaled to its own range.

    Parameters
    ----------
    weight : array, shape (F, 3, kh, kw) or (F, 1, kh, kw)
        Three channels are shown as red, green and blue, one as grey.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If `weight` has another shape.
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, 3):
        raise ValueError(f"weight: expected (F, 3, kh, kw) or (F, 1, kh, kw), got {weight.shape}")
    F, C, kh, kw = weight.shape
    low = weight.min(axis=(1, 2, 3), keepdims=True)
    spread = np.ptp(weight, axis=(1, 2, 3), keepdims=True)
    scaled = (weight - low) / np.where(spread > 0, spread, 1)

    columns = math.ceil(math.sqrt(F))
    rows = math.ceil(F / columns)
    gap = 1.12  # from one filter to the next, in filter sizes
    figure = new_figure(0.7 * columns + 0.4, 0.7 * rows * kh / kw + 0.8)
    ax = figure.subplots()
    for i, picture in enumerate(scaled.transpose(0, 2, 3, 1)):
        x, y = gap * kw * (i % columns), gap * kh * (i // columns)
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(x, x + kw, y + kh, y))
    ax.set(xlim=(0, gap * kw * columns), ylim=(gap * kh * rows, 0))
    ax.set_axis_off()
    ax.set_title(f"{F} filters of {C} × {kh} × {kw}\neach scaled to its own range", fontsize=10)
    figure.set_facecolor(FAINT)  # sets off a filter's white corner
    return written(figure, path)
