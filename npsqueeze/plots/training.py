"""Figures of a training: its curves, runs compared, the confusion matrix, the worst mistakes."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.plots.figures import FAINT, INK, TEST, TRAIN, WRONG, new_figure, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"  # told apart by all eyes


def training_curves(
    rows: Sequence[Mapping[str, float]], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Draw loss and accuracy over the epochs, and mark the epoch of the best test accuracy.

    Parameters
    ----------
    rows : sequence of mappings
        One per epoch, with the keys epoch, train_loss, train_accuracy, test_loss and
        test_accuracy; accuracies are fractions in [0, 1].
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If there are no rows, or a row lacks a key.
    """
    column = _columns("rows", rows)
    epoch = column["epoch"]
    best = int(np.argmax(column["test_accuracy"]))

    figure = new_figure(10, 4)
    axes = figure.subplots(1, 2)
    panels = (("loss", "cross-entropy loss [nats]", 1), ("accuracy", "accuracy [%]", 100))
    for ax, (name, label, unit) in zip(axes, panels, strict=True):
        ax.axvline(epoch[best], color=FAINT, linewidth=6, zorder=0)
        for part, colour in (("train", TRAIN), ("test", TEST)):
            values = unit * column[f"{part}_{name}"]
            ax.plot(epoch, values, color=colour, linewidth=1.8, marker=".", label=part)
        ax.plot(epoch[best], values[best], "o", color=TEST, markersize=8)
        _dress(ax, label, epoch)
        ax.legend(frameon=False)
    accuracy = 100 * column["test_accuracy"][best]
    axes[1].set_title(f"best test accuracy: {accuracy:.1f} % in epoch {epoch[best]:g}", fontsize=10)
    return written(figure, path)


def compare_runs(
    runs: Mapping[str, Sequence[Mapping[str, float]]],
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Draw the losses and the test accuracy of several runs over the epochs, a colour for each.

    Parameters
    ----------
    runs : mapping of label to rows
        The rows as `training_curves` takes them.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If there are no runs, or one has no rows or lacks a key.
    """
    if not runs:
        raise ValueError("runs: expected at least one run, got none")
    columns = {label: _columns(f"runs[{label!r}]", rows) for label, rows in runs.items()}
    epochs = np.concatenate([column["epoch"] for column in columns.values()])

    figure = new_figure(10, 4 + 0.22 * len(runs))
    losses, accuracies = figure.subplots(1, 2)
    for number, (label, column) in enumerate(columns.items()):
        colour, style = RUNS[number % len(RUNS)], ("-", "--", ":")[number // len(RUNS) % 3]
        test = {"color": colour, "linestyle": style, "linewidth": 1.8, "marker": "."}
        losses.plot(column["epoch"], column["train_loss"], style, color=colour, alpha=0.4)
        losses.plot(column["epoch"], column["test_loss"], **test)
        accuracy = 100 * column["test_accuracy"]
        accuracies.plot(
            column["epoch"], accuracy, **test, label=f"{label}; at best {accuracy.max():.1f} %"
        )
    _dress(losses, "cross-entropy loss [nats]", epochs)
    losses.set_title("test, and fainter training", fontsize=10)
    _dress(accuracies, "test accuracy [%]", epochs)
    figure.legend(loc="outside lower center", frameon=False)
    return written(figure, path)


def confusion_matrix(
    labels: Array,
    predictions: Array,
    classes: Sequence[str],
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Draw how often each true class (row) was taken for each class (column).

    A cell holds a count; its colour is the share of its row.

    Parameters
    ----------
    labels, predictions : array of int, shape (N,)
        True and predicted class of each image.
    classes : sequence of str
        Name of each class.
    path : path, optional
        Where to write the PNG.

    Raises
    ------
    ValueError
        If the two differ in shape, or hold anything but class numbers.
    """
    _check_classes("labels", labels, len(labels), len(classes))
    _check_classes("predictions", predictions, len(labels), len(classes))
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (labels, predictions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = 2.5 + 0.55 * len(classes)
    figure = new_figure(side, side)
    ax = figure.subplots()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, col), count in np.ndenumerate(counts):
        colour = "white" if share[row, col] > 0.65 else INK if count else FAINT
        ax.text(col, row, str(count), color=colour, ha="center", va="center")
    ticks = range(len(classes))
    ax.set_xticks(ticks, classes, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(ticks, classes)
    ax.tick_params(length=0)
    ax.spines[:].set_color(FAINT)
    ax.set(xlabel="predicted class", ylabel="true class")
    right = np.trace(counts)
    ax.set_title(f"{right} of {len(labels)} images right: {100 * right / len(labels):.1f} %")
    return written(figure, path)


def worst_mistakes(
    images: Array,
    labels: Array,
    probabilities: Array,
    classes: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    count: int = 24,
) -> "Figure":
    """Draw the images whose wrong class got the highest probability, the worst first.

    Parameters
    ----------
    images : array of uint8, shape (N, 3, H, W)
        The pictures.
    labels : array of int, shape (N,)
        Their true classes.
    probabilities : array, shape (N, classes)
        The network's softmax.
    classes : sequence of str
        Name of each class.
    path : path, optional
        Where to write the PNG.
    count : int
        Most images to show, at least 1.

    Raises
    ------
    ValueError
        If the shapes do not belong together, or `count` is below 1.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
        found = f"{images.dtype} {images.shape}"
        raise ValueError(f"images: expected uint8 of shape (N, 3, H, W), got {found}")
    _check_classes("labels", labels, len(images), len(classes))
    if probabilities.shape != (len(images), len(classes)):
        expected = (len(images), len(classes))
        raise ValueError(f"probabilities: expected shape {expected}, got {probabilities.shape}")
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    said = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    mistakes = np.flatnonzero(said != labels)
    worst = mistakes[np.argsort(-confidence[mistakes], kind="stable")][:count]

    columns = 8
    rows = math.ceil(len(worst) / columns)
    figure = new_figure(1.4 * columns, 0.5 + 1.7 * rows)
    figure.suptitle(
        f"{len(mistakes)} mistakes in {len(images)} images, the most confident first: "
        "true class, and in red the predicted one"
    )
    for place, i in enumerate(worst, start=1):
        ax = figure.add_subplot(rows, columns, place)
        ax.set_axis_off()
        ax.imshow(images[i].transpose(1, 2, 0))
        ax.set_title(f"{classes[labels[i]]}\n", fontsize=9, color=INK)
        answer = f"{classes[said[i]]} {100 * confidence[i]:.1f} %"
        ax.text(0.5, 1.03, answer, fontsize=9, color=WRONG, ha="center", transform=ax.transAxes)
    return written(figure, path)


def _columns(name: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Return the metrics of all epochs by their key."""
    keys = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    if not rows or any(key not in row for row in rows for key in keys):
        raise ValueError(f"{name}: expected one row per epoch with the keys {', '.join(keys)}")
    return {key: np.array([row[key] for row in rows], float) for key in keys}


def _dress(ax: "Axes", label: str, epoch: Array) -> None:
    """Give a panel over the epochs its axes."""
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel="epoch", ylabel=label, xlim=(epoch.min() - 0.5, epoch.max() + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _check_classes(name: str, values: Array, n: int, classes: int) -> None:
    """Raise ValueError unless `values` are `n` class numbers, and at least one."""
    whole = np.issubdtype(values.dtype, np.integer) and values.shape == (n,) and n > 0
    if not whole or values.min() < 0 or values.max() >= classes:
        found = f"{values.dtype} {values.shape}"
        raise ValueError(f"{name}: expected {n} integers from 0 to {classes - 1}, got {found}")
