"""Batches for training and evaluation, each a pure function of data, seed and step.

No generator lives from one batch to the next, so a training that resumes in mid-epoch goes on with
exactly the batches that it would have seen.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npsqueeze.arrays import Array
from npsqueeze.data.cifar10 import Dataset
from npsqueeze.generators import AUGMENTATION, CUTOUT, PERMUTATION, generator

# Per channel (red, green, blue) over the 50,000 training pictures, on the scale from 0 to 1.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
PADDING = 4

Channels: TypeAlias = float | Sequence[float]


def normalize(images: Array, mean: Channels = CIFAR10_MEAN, std: Channels = CIFAR10_STD) -> Array:
    """Return (images / 255 - mean) / std.

    Derived in tutorials/00_quick_start.ipynb.

    Parameters
    ----------
    images : ndarray of uint8, shape (..., 3, H, W)
    mean, std : float or three floats
        One value for all channels, or one for each.

    Returns
    -------
    ndarray of float32, shape (..., 3, H, W)

    Raises
    ------
    TypeError, ValueError
        If `images` is not uint8, or `mean` or `std` is not one or three values, `std` above 0.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images: expected uint8, got {images.dtype}")
    if images.ndim < 3 or images.shape[-3] != 3:
        raise ValueError(f"images: expected shape (…, 3, H, W), got {images.shape}")
    mean_column, std_column = _channel_column("mean", mean), _channel_column("std", std)
    if not np.isfinite(mean_column).all():
        raise ValueError(f"mean: expected finite values, got {mean}")
    if not (std_column > 0).all():
        raise ValueError(f"std: expected values above 0, got {std}")
    x: Array = images / np.float32(255)
    x -= mean_column
    x /= std_column
    return x


def _channel_column(name: str, value: Channels) -> Array:
    column = np.asarray(value, dtype=np.float32)
    if column.shape not in ((), (3,)):
        raise ValueError(f"{name}: expected one or three values, got {value}")
    return column.reshape(-1, 1, 1)


def augment(images: Array, key: tuple[int, ...]) -> Array:
    """Flip every second picture (on average) and shift each by up to four pixels.

    Each picture is padded by four pixels on every side, a window of its old size is cut out
    at random, and the window is mirrored with probability 1/2 (He et al. 2016, section 4.2).

    Derived in tutorials/11_training_on_cifar10.ipynb.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, C, H, W)
    key : tuple of int
        (seed, purpose, step); the same key draws the same windows and flips.

    Returns
    -------
    ndarray of uint8, shape (N, C, H, W)
    """
    if images.ndim != 4:
        raise ValueError(f"images: expected shape (N, C, H, W), got {images.shape}")
    n, _, height, width = images.shape
    rng = generator(key)
    top, left = rng.integers(0, 2 * PADDING + 1, size=(2, n))
    flipped = rng.random(n) < 0.5
    # By reflection, because it invents no colour: the border needs to know nothing of the mean,
    # and the work is done on bytes, a quarter of what it moves after normalisation.
    border = (PADDING, PADDING)
    padded = np.pad(images, ((0, 0), (0, 0), border, border), mode="reflect")
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    cropped: Array = windows[np.arange(n), :, top, left]
    cropped[flipped] = cropped[flipped, :, :, ::-1]
    return cropped


def cut_out(x: Array, size: int, key: tuple[int, ...]) -> Array:
    """Set a square of each normalised picture to zero, which is the mean colour.

    Its middle is any pixel, so that it may hang over the edge: then less is hidden (DeVries and
    Taylor, "Improved regularization of convolutional neural networks with cutout", 2017).

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    size : int
        Height and width of the square.
    key : tuple of int
        (seed, purpose, step); the same key draws the same squares.

    Returns
    -------
    ndarray, shape (N, C, H, W)
    """
    n, _, height, width = x.shape
    rng = generator(key)
    rows = rng.integers(0, height, size=(n,))
    columns = rng.integers(0, width, size=(n,))
    return hide_squares(x, size, rows, columns)


def hide_squares(x: Array, size: int, rows: Array, columns: Array) -> Array:
    """Set a square of each picture to zero; what hangs over the edge is cut off.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    size : int
        Height and width of the square.
    rows, columns : ndarray of int, shape (N,)
        Its middle: it begins ``size // 2`` above and to the left of it.

    Returns
    -------
    ndarray, shape (N, C, H, W)
    """
    height, width = x.shape[2:]
    below = np.arange(height) - (rows - size // 2)[:, None]  # of the square's first row
    right = np.arange(width) - (columns - size // 2)[:, None]
    hidden_rows = (below >= 0) & (below < size)
    hidden_columns = (right >= 0) & (right < size)
    hidden = hidden_rows[:, None, :, None] & hidden_columns[:, None, None, :]
    return np.where(hidden, x.dtype.type(0), x)


def permutation(n: int, seed: int, epoch: int) -> Array:
    """Return the order, shape (n,), in which `epoch` visits `n` pictures."""
    return generator((seed, PERMUTATION, epoch)).permutation(n)


def batches_per_epoch(n: int, batch_size: int) -> int:
    """Return how many batches `n` pictures make, a last partial one included."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    return -(-n // batch_size)


def batch_indices(n: int, step: int, batch_size: int, seed: int) -> Array:
    """Return which of `n` pictures training step `step` sees, in its order (see `training_batch`).

    Raises
    ------
    ValueError
        If `batch_size` is below 1, or `seed` or `step` is negative.
    """
    epoch, batch = divmod(step, batches_per_epoch(n, batch_size))
    return permutation(n, seed, epoch)[batch * batch_size : (batch + 1) * batch_size]


def training_batch(
    dataset: Dataset,
    step: int,
    *,
    batch_size: int,
    seed: int,
    augmented: bool = True,
    cutout: int = 0,
    mean: Channels = CIFAR10_MEAN,
    std: Channels = CIFAR10_STD,
) -> tuple[Array, Array]:
    """Return the batch of training step `step`, computed directly.

    Step s is batch s mod B of epoch floor(s / B), where B = `batches_per_epoch`; every epoch visits
    each picture once, in an order of its own.

    Parameters
    ----------
    step : int
        Counted from 0 through all epochs.
    augmented : bool
        Whether to shift and flip the pictures (see `augment`).
    cutout : int
        Size of the square that each picture loses (see `cut_out`); 0 for none.

    Returns
    -------
    x : ndarray of float32, shape (n, 3, H, W)
        n is `batch_size`, or what is left in an epoch's last batch.
    labels : ndarray of int64, shape (n,)

    Raises
    ------
    ValueError
        If `batch_size` is below 1, or `seed` or `step` is negative.
    """
    indices = batch_indices(len(dataset), step, batch_size, seed)
    images = dataset.images[indices]
    if augmented:
        images = augment(images, (seed, AUGMENTATION, step))
    x = normalize(images, mean, std)
    if cutout:
        x = cut_out(x, cutout, (seed, CUTOUT, step))
    return x, dataset.labels[indices]


def evaluation_batches(
    dataset: Dataset,
    batch_size: int,
    mean: Channels = CIFAR10_MEAN,
    std: Channels = CIFAR10_STD,
) -> Iterator[tuple[Array, Array]]:
    """Yield all pictures once, in file order, as `(x, labels)`; the last batch may be smaller."""
    for batch in range(batches_per_epoch(len(dataset), batch_size)):
        chosen = slice(batch * batch_size, (batch + 1) * batch_size)
        yield normalize(dataset.images[chosen], mean, std), dataset.labels[chosen]
