"""Pictures of arrays for the tutorials: numbers in a grid, stacks of channels, matrix products.

Each function draws on the `axes` that it is given and returns nothing. `STYLE` makes all figures of
the course alike: ``plt.rcParams.update(drawing.STYLE)``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npsqueeze.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED, INK, FAINT = (
    "#0b6fb8",
    "#e07b00",
    "#2e8540",
    "#b3261e",
    "#1f2933",
    "#d9dee5",
)

STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid.axis": "both",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.cmap": "Blues",
}
"""Matplotlib's settings for all figures of the course."""


def numbers(
    axes: "Axes",
    values: Array,
    *,
    title: str = "",
    rows: str = "",
    columns: str = "",
    form: str = "g",
    limit: float | None = None,
) -> None:
    """Draw a matrix as a grid of cells with its numbers in them.

    Parameters
    ----------
    axes : matplotlib Axes
    values : (rows, columns)
        Blue above zero, orange below it, the stronger the larger; NaN is an empty, hatched cell.
    title, rows, columns : str
        What stands above, and what the two axes count; the axes show their indices.
    form : str
        The format of the numbers, such as ``".2f"``.
    limit : float, optional
        The magnitude of the strongest colour; the largest magnitude in `values` if not given.
    """
    from matplotlib.patches import Rectangle

    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"values: expected two dimensions, got shape {values.shape}")
    limit = limit or float(np.nanmax(np.abs(values), initial=0)) or 1.0
    for (row, column), value in np.ndenumerate(values):
        empty = bool(np.isnan(value))
        share = 0.0 if empty else min(1.0, abs(float(value)) / limit)
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                1,
                1,
                facecolor=_tint(ORANGE if value < 0 else BLUE, 0.75 * share),
                edgecolor=FAINT,
                hatch="////" if empty else None,
            )
        )
        if not empty:
            colour = "white" if share > 0.8 else INK
            axes.text(column, row, format(value, form), ha="center", va="center", color=colour)
    height, width = values.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", title=title)
    axes.set_xticks(range(width))
    axes.set_yticks(range(height))
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.spines[:].set_visible(False)


def outline(
    axes: "Axes", top: float, left: float, height: float, width: float, colour: str = RED
) -> None:
    """Draw a frame around `height` by `width` cells of a grid that `numbers` has drawn.

    `top` and `left` are the indices of its first cell.
    """
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5),
            width,
            height,
            fill=False,
            edgecolor=colour,
            linewidth=2.5,
            clip_on=False,
            zorder=3,
        )
    )


def volumes(
    axes: "Axes", shapes: Mapping[str, tuple[int, int, int]], steps: Sequence[str] = ()
) -> None:
    """Draw a chain of images as boxes, from left to right, with an arrow from each to the next.

    Parameters
    ----------
    axes : matplotlib Axes
    shapes : mapping of a name to (C, H, W)
        A box is as deep as its channels and as high and wide as its pixels, on a square-root scale,
        so that 3 channels and 1000 fit into one picture.
    steps : sequence of str
        What stands above each arrow; one fewer than boxes, or none.
    """
    sizes = {name: np.sqrt(np.array(shape, float)) for name, shape in shapes.items()}
    largest = max(size.max() for size in sizes.values())
    gap, at = 0.9 * largest, 0.0
    labels = [*steps, *[""] * (len(shapes) - len(steps))]
    bottom = -max(size[1] for size in sizes.values()) / 2
    for number, (name, (channels, height, width)) in enumerate(sizes.items()):
        # C goes to the right; H goes up, W into the page, at an angle
        slant = 0.35 * width
        low, high = -height / 2, height / 2
        front = [(at, low), (at + channels, low), (at + channels, high), (at, high)]
        top = [(at, high), (at + channels, high), (at + channels + slant, high + slant)]
        top.append((at + slant, high + slant))
        side = [(at + channels, low), (at + channels, high), (at + channels + slant, high + slant)]
        side.append((at + channels + slant, low + slant))
        for corners, share in ((front, 0.25), (top, 0.4), (side, 0.55)):
            axes.fill(*zip(*corners, strict=True), facecolor=_tint(BLUE, share), edgecolor="white")
        shape = "×".join(map(str, shapes[name]))
        axes.text(
            at + channels / 2,
            bottom - 0.12 * largest,
            f"{name}\n{shape}",
            ha="center",
            va="top",
            color=INK,
        )
        at += channels + slant
        if number < len(shapes) - 1:
            axes.annotate(
                "",
                xy=(at + 0.9 * gap, 0),
                xytext=(at + 0.1 * gap, 0),
                arrowprops={"arrowstyle": "->", "color": INK},
            )
            axes.text(
                at + gap / 2, 0.06 * largest, labels[number], ha="center", va="bottom", color=INK
            )
            at += gap
    top_edge = max(size[1] / 2 + 0.35 * size[2] for size in sizes.values())
    axes.set(
        xlim=(-0.1 * largest, at + 0.1 * largest),
        ylim=(bottom - 0.75 * largest, top_edge + 0.1 * largest),
        aspect="equal",
    )
    axes.axis("off")


def matrices(
    axes: "Axes",
    shapes: Mapping[str, tuple[str, float, str, float]],
    symbols: Sequence[str] = ("=", "·"),
) -> None:
    """Draw an equation between matrices as rectangles, each side with the name of its size.

    Parameters
    ----------
    axes : matplotlib Axes
    shapes : mapping of a name to (name of the height, height, name of the width, width)
        Such as ``{"Y": ("F", 4, "P", 9), "W": ("F", 4, "K", 6), "col(x)": ("K", 6, "P", 9)}``.
    symbols : sequence of str
        What stands between them.
    """
    from matplotlib.patches import Rectangle

    at = 0.0
    tallest = max(height for _, height, _, _ in shapes.values())
    gap = 0.55 * tallest
    for number, (name, (height_name, height, width_name, width)) in enumerate(shapes.items()):
        if number:
            axes.text(at - 0.6 * gap, 0, symbols[number - 1], ha="center", va="center", fontsize=20)
            at += 0.15 * gap
        axes.add_patch(
            Rectangle(
                (at, -height / 2),
                width,
                height,
                facecolor=_tint(BLUE if number else GREEN, 0.3),
                edgecolor=INK,
            )
        )
        axes.text(at + width / 2, 0, name, ha="center", va="center", fontsize=12, color=INK)
        axes.text(
            at - 0.03 * tallest, 0, height_name, ha="right", va="center", rotation=90, color=RED
        )
        axes.text(
            at + width / 2,
            height / 2 + 0.03 * tallest,
            width_name,
            ha="center",
            va="bottom",
            color=RED,
        )
        at += width + gap
    axes.set(xlim=(-0.25 * gap - 0.1, at - gap + 0.1), ylim=(-0.6 * tallest, 0.72 * tallest))
    axes.set_aspect("equal")
    axes.axis("off")


def _tint(colour: str, share: float) -> tuple[float, float, float]:
    """Return `colour` mixed with white: `share` 0 is white, 1 the colour."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (1 - share * (1 - channel) for channel in channels)
    return red, green, blue
