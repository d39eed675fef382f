"""Figures of what is inside a network: filters, activation maps, weights, dead units."""

import itertools
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.plots.figures import FAINT, INK, TEST, TRAIN, new_figure, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (TEST, "#e07b00", "#2e8540", TRAIN, INK)
"""Of the branches of a Fire module, in their order; the first also of a layer by itself."""


def first_layer_filters(weight: Array, path: str | os.PathLike[str] | None = None) -> "Figure":
    """Draw the filters of the first convolution, each by its own scale, with zero as middle grey.

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
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + 0.5 * weight / np.where(largest > 0, largest, 1)

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
    ax.set_title(
        f"{F} filters of {C} × {kh} × {kw}\nzero is grey, each by its own scale", fontsize=10
    )
    figure.set_facecolor(FAINT)  # sets off a filter's white corner
    return written(figure, path)


def activation_maps(
    image: Array,
    maps: Mapping[str, Array],
    path: str | os.PathLike[str] | None = None,
    count: int = 10,
) -> "Figure":
    """Draw a row for each layer: the channels that answer most to a picture, each by its own scale.

    Parameters
    ----------
    image : array of uint8, shape (3, H, W)
        The picture.
    maps : mapping of a layer's name to an array of shape (C, h, w)
        What a ReLU put out for the picture; never negative.
    path : path, optional
        Where to write the PNG.
    count : int
        Most channels to show of a layer, at least 1: those with the largest means, the largest
        first.

    Raises
    ------
    ValueError
        If an array has another number of dimensions, or `count` is below 1.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
        found = f"{image.dtype} {image.shape}"
        raise ValueError(f"image: expected uint8 of shape (3, H, W), got {found}")
    for name, channels in maps.items():
        if channels.ndim != 3:
            raise ValueError(f"{name}: expected an array of shape (C, h, w), got {channels.shape}")
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")

    figure = new_figure(1.1 * (count + 2), 1.1 * (len(maps) + 1.2))
    grid = figure.add_gridspec(len(maps) + 1, count, height_ratios=[1.2] + [1] * len(maps))
    ax = figure.add_subplot(grid[0, 0])
    ax.imshow(image.transpose(1, 2, 0))
    ax.set_axis_off()
    text = figure.add_subplot(grid[0, 1:])
    text.set_axis_off()
    legend = (
        "The channels of each layer that answer most to this picture, the largest mean first.\n"
        "White is zero, the darkest blue the channel's own maximum; the number is the channel's."
    )
    text.text(0.02, 0.5, legend, va="center", color=INK, transform=text.transAxes)
    for row, (name, channels) in enumerate(maps.items(), start=1):
        strongest = np.argsort(-channels.mean(axis=(1, 2)), kind="stable")[:count]
        for column, channel in enumerate(strongest):
            ax = figure.add_subplot(grid[row, column])
            values = channels[channel]
            ax.imshow(values, cmap="Blues", vmin=0, vmax=values.max() or 1.0)
            ax.set(xticks=(), yticks=())
            ax.spines[:].set_color(FAINT)
            ax.annotate(
                str(channel),
                (0, 1),
                xycoords="axes fraction",
                textcoords="offset points",
                xytext=(2, -2),
                va="top",
                fontsize=8,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
            if column == 0:
                _, height, width = channels.shape
                ax.set_ylabel(
                    f"{name}\n{height} × {width}",
                    fontsize=9,
                    color=INK,
                    rotation="horizontal",
                    ha="right",
                    va="center",
                )
    return written(figure, path)


def weight_histograms(
    weights: Mapping[str, Array], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Draw how the weights of each layer are distributed, a Fire module's branches in one panel.

    Parameters
    ----------
    weights : mapping of names to arrays
        Such as `npsqueeze.inspection.weights`; what comes before a "/" names the panel, what comes
        behind it the branch.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If there are no weights.
    """
    from matplotlib.lines import Line2D

    if not weights:
        raise ValueError("weights: expected at least one array, got none")
    panels: dict[str, dict[str, Array]] = {}
    for name, values in weights.items():
        unit, _, branch = name.partition("/")
        panels.setdefault(unit, {})[branch] = values

    columns = min(5, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(2.5 * columns, 0.4 + 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (unit, branches) in zip(axes.flat, panels.items(), strict=False):
        _draw_histograms(ax, branches)
        ax.set_title(unit, fontsize=10, color=INK)
    for ax in axes[-1]:
        ax.set_xlabel("weight")
    for ax in axes[:, 0]:
        ax.set_ylabel("share of the weights [%]")
    names = max((list(branches) for branches in panels.values()), key=len)
    if len(names) > 1:
        lines = [
            Line2D([], [], color=colour, label=name)
            for name, colour in zip(names, itertools.cycle(COLOURS), strict=False)
        ]
        figure.legend(handles=lines, loc="outside upper center", ncols=len(names), frameon=False)
    return written(figure, path)


def dead_units(
    dead: Mapping[str, Array], pictures: int, path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Draw, for each layer, the share of the units that are zero on all pictures.

    Parameters
    ----------
    dead : mapping of names to arrays of bool
        Such as `npsqueeze.inspection.dead_units`.
    pictures : int
        How many pictures that was asked on.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If there are no layers.
    """
    if not dead:
        raise ValueError("dead: expected at least one array, got none")
    counts = [int(silent.sum()) for silent in dead.values()]
    shares = [100 * float(silent.mean()) for silent in dead.values()]
    figure = new_figure(6, 0.8 + 0.24 * len(dead))
    ax = figure.subplots()
    bars = ax.barh(list(dead), shares, color=TEST, height=0.7)
    texts = [
        f"{count} of {silent.size}" for count, silent in zip(counts, dead.values(), strict=True)
    ]
    ax.bar_label(bars, texts, padding=4, fontsize=8, color=INK)
    ax.invert_yaxis()
    ax.set(xlim=(0, max(5.0, 1.2 * max(shares))), xlabel="dead units [% of the layer's]")
    ax.set_title(f"zero at every pixel of {pictures:,} picture{'s' * (pictures != 1)}", fontsize=10)
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(y=0.01)
    return written(figure, path)


def _draw_histograms(ax: "Axes", branches: Mapping[str, Array]) -> None:
    """Draw the outlines of histograms with the same bins, outside which are only rare weights."""
    limit = max(float(np.percentile(np.abs(values), 99.9)) for values in branches.values()) or 1.0
    edges = np.linspace(-limit, limit, 51)
    for values, colour in zip(branches.values(), itertools.cycle(COLOURS), strict=False):
        counts, _ = np.histogram(values, edges)
        ax.stairs(100 * counts / values.size, edges, color=colour, linewidth=1.3)
    ax.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.set(xlim=(-limit, limit), ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
