"""The doctor's pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.doctor.learning import RangeTest
from npsqueeze.doctor.watching import Passage, scale
from npsqueeze.plots.figures import FAINT, INK, TEST, TRAIN, WRONG, new_figure, written


def draw_pictures(x: Array, labels: Array, classes: Sequence[str], path: Path) -> Path:
    """Draw a batch as the network sees it, with its labels: a look tells what no test finds."""
    rows, columns = 4, 10
    low, high = x.min(), x.max()
    figure = new_figure(1.2 * columns, 1.5 * rows)
    for place in range(min(rows * columns, len(x))):
        ax = figure.add_subplot(rows, columns, place + 1)
        ax.imshow(((x[place] - low) / max(high - low, 1e-12)).transpose(1, 2, 0))
        ax.set_title(classes[labels[place]], fontsize=9, color=INK)
        ax.set_axis_off()
    figure.suptitle(f"a batch as the network sees it; {low:.2f} is black and {high:.2f} white")
    written(figure, path)
    return path


def draw_scales(passages: Sequence[Passage], path: Path) -> Path:
    """Draw the scale of each layer's output, and of the gradient that comes back to it."""
    passages = [passage for passage in passages if passage.layer.parameters()]
    places = np.arange(len(passages))
    figure = new_figure(10, 4)
    for ax, title, colour, values in zip(
        figure.subplots(1, 2),
        ("output", "gradient of the output"),
        (TEST, WRONG),
        ([scale(p.y) for p in passages], [scale(p.dy) for p in passages]),
        strict=True,
    ):
        ax.plot(places, values, marker="o", color=colour)
        ax.set_yscale("log" if np.nanmin(values) > 0 else "symlog")
        ax.set_xticks(places, [p.name for p in passages], rotation=60, ha="right", fontsize=8)
        ax.set(title=title, ylabel="root mean square")
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    written(figure, path)
    return path


def draw_range(test: RangeTest, configured: float, path: Path) -> Path:
    """Draw the loss over the learning rate, with the suggested and the configured one."""
    figure = new_figure(7, 4)
    ax = figure.subplots()
    ax.plot(test.rates, test.losses, color=FAINT, label="of a step")
    ax.plot(test.rates, test.smooth, color=TRAIN, linewidth=1.8, label="smoothed")
    ax.axvline(configured, color=INK, linestyle=":", label=f"configured: {configured:g}")
    if test.suggestion is not None:
        ax.axvline(test.suggestion, color=TEST, label=f"suggested: {test.suggestion:.1g}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", title="learning-rate range test")
    start = float(test.smooth[0])
    ax.set_ylim(0.9 * float(test.smooth.min()), max(1.6 * start, 1.1 * float(test.smooth.min())))
    ax.legend(frameon=False)
    written(figure, path)
    return path
