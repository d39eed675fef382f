"""The figure of where a network looks."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.plots.figures import INK, new_figure, written

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

PALE = -255  # the black of the grey picture, where 0 would be full black
BRIGHTEST = 99
"""The percentile of a map that gets the strongest colour: a few pixels must not outshine it all."""


def explanations(
    images: Array,
    maps: Mapping[str, Array],
    titles: Sequence[str],
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Draw a row for each picture: the picture, and every map over it.

    A map is stretched over the picture, which stands pale and grey beneath, and scaled to its own
    greatest value; what is zero or negative stays clear. A map with fewer pixels than the picture
    is smoothed.

    Parameters
    ----------
    images : array of uint8, shape (N, 3, H, W)
        The pictures as the network sees them.
    maps : mapping of a name to an array of shape (N, h, w)
        Such as those of `npsqueeze.explaining`.
    titles : sequence of str
        What stands above each picture, such as its class.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
        found = f"{images.dtype} {images.shape}"
        raise ValueError(f"images: expected uint8 of shape (N, 3, H, W), got {found}")
    if len(titles) != len(images):
        raise ValueError(f"titles: expected {len(images)}, got {len(titles)}")
    for name, values in maps.items():
        if values.ndim != 3 or len(values) != len(images):
            raise ValueError(f"{name}: expected shape ({len(images)}, h, w), got {values.shape}")

    _, _, height, width = images.shape
    columns = 1 + len(maps)
    figure = new_figure(2.6 * columns, 0.35 + 2.85 * len(images))
    axes = figure.subplots(len(images), columns, squeeze=False)
    for row, picture in enumerate(images.transpose(0, 2, 3, 1)):
        left, *others = axes[row]
        left.imshow(picture)
        left.set_title(titles[row], fontsize=10, color=INK)
        for ax, (name, values) in zip(others, maps.items(), strict=True):
            evidence = np.maximum(values[row], 0)
            brightest = np.percentile(evidence, BRIGHTEST) or evidence.max() or 1.0
            ax.imshow(picture.mean(axis=2), cmap="gray", vmin=PALE, vmax=255)
            ax.imshow(
                evidence,
                cmap=_glow(),
                vmin=0,
                vmax=brightest,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bicubic" if len(evidence) < height else "nearest",
            )
            if row == 0:
                ax.set_title(name, fontsize=10, color=INK)
    for ax in axes.flat:
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        ax.set_axis_off()
    figure.supxlabel(
        "the darker the orange, the more a place speaks for the class; each map has its own scale",
        fontsize=9,
        color=INK,
    )
    return written(figure, path)


def _glow() -> "Colormap":
    """Return the colours of evidence: one orange, clear at zero, the denser the more."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("glow", ["#d1500000", "#d15000e6"])
