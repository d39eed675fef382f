"""The results as pictures: the roofline, and cost against size."""

import math
import os
from collections.abc import Sequence
from statistics import mode
from typing import TYPE_CHECKING, Any

from npsqueeze.benchmark.report import picture_cost
from npsqueeze.benchmark.results import Result, Roof
from npsqueeze.benchmark.works import Network
from npsqueeze.drawing import BLUE, GREEN, INK, ORANGE, RED, STYLE
from npsqueeze.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

COLOURS = {"gemm": ORANGE, "convolution": BLUE, "step": GREEN, "picture": RED}


def draw(results: Sequence[Result], roof: Roof | None, path: str | os.PathLike[str]) -> None:
    """Write a PNG with the roofline and, where sizes were measured, the cost of a picture."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sizes = [result for result in results if result.work.kind == "size"]
    style: Any = STYLE  # the type of its keys is another one in every Matplotlib
    with rc_context(style):
        figure = Figure(figsize=(18 if sizes else 7.5, 5))
        panels = figure.subplots(1, 3 if sizes else 1, squeeze=False)[0]
        _draw_roofline(panels[0], results, roof)
        if sizes:
            _draw_cost(panels[1], sizes, "batch")
            _draw_cost(panels[2], sizes, "pixels")
        with atomic_write(path) as file:
            figure.savefig(file, format="png", dpi=120)


def _draw_roofline(axes: "Axes", results: Sequence[Result], roof: Roof | None) -> None:
    """Draw the rate of each work over its operations for each byte, under the machine's roof."""
    measured = [result for result in results if result.work.kind in COLOURS and result.gflops]
    intensities = {result.work: result.work.flops / result.work.bytes for result in measured}
    for kind, colour in COLOURS.items():
        of_kind = [result for result in measured if result.work.kind == kind]
        x = [intensities[result.work] for result in of_kind]
        if not of_kind:
            continue
        axes.scatter(
            x, [result.gflops or 0 for result in of_kind], color=colour, zorder=3, label=kind
        )
        rivals = [
            (at, result.rate_of(result.best))
            for at, result in zip(x, of_kind, strict=True)
            if result.best
        ]
        if rivals:
            axes.scatter(*zip(*rivals, strict=True), facecolors="none", edgecolors=colour, zorder=2)
    if any(result.best for result in measured):
        axes.scatter([], [], facecolors="none", edgecolors=INK, label="best competitor")
    if roof is not None:
        ridge = roof.all_threads / roof.memory
        edges = [*intensities.values(), ridge]
        corners = [min(edges) / 2, ridge, 2 * max(edges)]
        axes.plot(corners, [roof.under(corner) for corner in corners], color=INK)
        axes.annotate(
            f"{roof.all_threads:.0f} GFLOP/s; slope: {roof.memory:.1f} GB/s",
            (math.sqrt(ridge * corners[-1]), roof.all_threads),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations for each byte moved at least [FLOP/byte]",
        ylabel="rate [GFLOP/s]",
        title="What the machine allows, and what is reached",
    )
    _label_plainly(axes.xaxis, axes.yaxis)
    axes.grid(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")


def _draw_cost(axes: "Axes", sizes: Sequence[Result], by: str) -> None:
    """Draw the time of a picture over the pictures in a batch, or over their height."""
    shapes = [result.work.shape for result in sizes if isinstance(result.work, Network)]
    place, fixed = (0, 2) if by == "batch" else (2, 0)
    usual = mode(shape[fixed] for shape in shapes)
    points = sorted(
        (shape[place], 1e3 * cost)
        for shape, result in zip(shapes, sizes, strict=True)
        if shape[fixed] == usual and (cost := picture_cost(result))
    )
    if points:
        axes.plot(*zip(*points, strict=True), color=BLUE, marker="o")
    if points and by == "pixels":
        largest, cost = points[-1]
        line = [cost * (side / largest) ** 2 for side, _ in points]
        axes.plot([side for side, _ in points], line, "--", color=INK, label="as the pixels grow")
        axes.legend(loc="upper left")
    label, title = {
        "batch": ("pictures in a batch", f"Training on {usual}x{usual} pixels"),
        "pixels": ("height and width [pixels]", f"Training with {usual} pictures in a batch"),
    }[by]
    axes.set(xscale="log", xlabel=label, ylabel="time [ms/picture]", title=title)
    if by == "batch":
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        _label_plainly(axes.yaxis)
    ticks = [place for place, _ in points]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(True)


def _label_plainly(*scales: "Axis") -> None:
    """Label logarithmic scales at 1, 2, 5, 10 …, and not in powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for scale in scales:
        scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
        scale.set_major_formatter("{x:g}")
        scale.set_minor_formatter(NullFormatter())
