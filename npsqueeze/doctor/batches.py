"""Checks of what the network is fed: the input's scale, the mix of classes, labels that fit."""

import math

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data import CIFAR10_MEAN, CIFAR10_STD, Dataset
from npsqueeze.doctor.patient import Batch
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding
from npsqueeze.module import first_names

NORMALIZE = "--mean {} --std {}".format(
    ",".join(map(str, CIFAR10_MEAN)), ",".join(map(str, CIFAR10_STD))
)

FOLDS = 5
FEWEST_PICTURES = 200
BEYOND_CHANCE = 3.0
"""Chance exceeds its mean by three standard deviations once in 740 times. Right labels of CIFAR-10
lie 12 of them above it among 2,000 pictures, 5 among 300."""


def check_form(
    batch: Batch, shape: tuple[int, ...], dtype: np.dtype[np.generic], classes: int
) -> list[Finding]:
    """See that the network can take a batch at all; nothing to report where it can.

    `shape` is (3, H, W), that of a picture, and `dtype` that of the model.
    """
    x, labels = batch
    if x.ndim == 4 and x.shape[1:] == (*shape[1:], shape[0]) != shape:
        text = f"x has shape {x.shape}: height-width-channel where channel-height-width is expected"
        return [Finding(WRONG, "pixel layout", text, "x.transpose(0, 3, 1, 2)")]
    if x.shape[1:] != shape or not len(x) or labels.shape != (len(x),):
        text = f"expected x (N, {', '.join(map(str, shape))}) and labels (N,)"
        text += f", got {x.shape} and {labels.shape}"
        return [Finding(WRONG, "batch", text, "mend the batch function")]
    if x.dtype.kind in "iub":
        text = f"pixels not normalised: x is {x.dtype}, the model {dtype}"
        cure = f"nps.data.normalize(images), or (images / 255 - mean) / std in {dtype}"
        return [Finding(WRONG, "input statistics", text, cure)]
    if x.dtype != dtype:
        text = f"x is {x.dtype}, the model {dtype}"
        return [Finding(WRONG, "batch", text, f"x.astype(np.{dtype})")]
    if not np.isfinite(x).all():
        text = f"{(~np.isfinite(x)).sum()} numbers of x are NaN or infinite"
        return [Finding(WRONG, "batch", text, "look for a division by a std of zero")]
    if labels.dtype.kind not in "iu" or not np.isin(labels, np.arange(classes)).all():
        text = f"expected integer labels from 0 to {classes - 1}, got {labels.dtype} "
        text += f"from {labels.min()} to {labels.max()}"
        return [Finding(WRONG, "batch", text, "labels count from 0, and are no one-hot rows")]
    return []


def check_statistics(x: Array) -> list[Finding]:
    """See that the input has a mean near 0 and a spread near 1 in each channel.

    With pixels from 0 to 1 the mean is twice the spread: the gradients of all weights of a filter
    then share a sign, and steps zigzag (LeCun et al., "Efficient BackProp", 1998, section 4.3).
    Scaling by mean and std 0.5, as many tutorials do, is well within the bounds.
    """
    check = "input statistics"
    mean = x.mean(axis=(0, 2, 3), dtype=np.float64)
    std = x.std(axis=(0, 2, 3), dtype=np.float64)
    offset = float(np.max(np.abs(mean) / np.maximum(std, 1e-12)))
    seen = f"mean {_numbers(mean)}, std {_numbers(std)} by channel"
    if offset > 1 or std.min() < 0.1 or std.max() > 5:
        text = f"pixels not normalised: {seen}; expected about 0 and 1"
        return [Finding(WRONG, check, text, NORMALIZE)]
    if offset > 0.5:
        return [Finding(WARNING, check, f"not centred: {seen}; expected about 0 and 1", NORMALIZE)]
    return [Finding(OK, check, seen)]


def check_class_mix(batches: list[Batch], dataset: Dataset) -> list[Finding]:
    """See that a batch mixes the classes as the whole training set does.

    The chance that two pictures of a batch are of one class is compared with that of two drawn
    from the training set. Batches in the order of a sorted file hold one class each: the network
    learns to give that answer, and unlearns it in the next batch.
    """
    check, classes = "class mix in batches", dataset.classes
    shares = np.bincount(dataset.labels, minlength=len(classes)) / len(dataset)
    expected = float(np.sum(shares**2))
    counts = np.array([np.bincount(labels, minlength=len(classes)) for _, labels in batches])
    pairs = (counts * (counts - 1)).sum() / max(1, (counts.sum(1) * (counts.sum(1) - 1)).sum())
    if pairs > expected + 0.25 * (1 - expected):
        kinds = np.mean((counts > 0).sum(axis=1))
        one = "every batch is of one class" if kinds == 1 else f"{kinds:.1f} classes a batch"
        text = f"{one} of {len(classes)}: the batches follow an order by class"
        cure = "shuffle: order = nps.data.permutation(len(train_set), seed, epoch)"
        return [Finding(WRONG, check, text, cure)]
    unseen = [classes[k] for k in np.flatnonzero((counts.sum(0) == 0) & (shares > 0))]
    if unseen and counts.sum() * shares[shares > 0].min() > 10:  # by chance: e⁻¹⁰ at most
        text = (
            f"class missing in the batches: {first_names(unseen)}, though training pictures exist"
        )
        return [Finding(WRONG, check, text, "draw batches from all of train_set")]
    return [Finding(OK, check, f"{np.mean((counts > 0).sum(axis=1)):.1f} classes in a batch")]


def check_labels(sample: Batch, name: str, test: Batch | None = None) -> list[Finding]:
    """See that labels have something to do with their pictures.

    Pictures shrunk to 8x8 are given the class whose mean picture is nearest, in five folds, each
    by the means of the other four (or `test` by the means of the sample). Shuffled labels are met
    no more often than by chance, which is the sum over the classes of (share among the answers) ·
    (share among the labels), with a binomial spread around it.

    This finds labels that are shuffled as a whole, not a few wrong ones. Its limits: it needs
    some 200 pictures, and classes that differ in their mean picture, if only a little; where
    brightness and colour tell nothing (say, digits at any place on any background), right labels
    look shuffled to it.
    """
    check = f"labels of the {name}"
    x, labels = sample
    kinds = max(labels.max(), 0 if test is None else test[1].max()) + 1
    features = _small(x)
    if test is None:
        fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
        answers = np.empty_like(labels)
        for k in range(FOLDS):
            known = fold != k
            answers[~known] = _nearest_mean(features[known], labels[known], features[~known], kinds)
    else:
        answers, labels = _nearest_mean(features, labels, _small(test[0]), kinds), test[1]
    shares = (np.bincount(each, minlength=kinds) / len(labels) for each in (answers, labels))
    chance = float(np.prod(list(shares), axis=0).sum())
    spread = math.sqrt(chance * (1 - chance) / len(labels))
    right = float(np.mean(answers == labels))
    seen = f"nearest class mean gets {right:.1%} right, chance {chance:.1%}"
    if len(labels) < FEWEST_PICTURES or spread == 0:
        return [Finding(OK, check, f"{seen}; {len(labels)} pictures are too few to judge")]
    if right < chance + BEYOND_CHANCE * spread:
        text = f"labels shuffled: they do not fit the pictures ({seen})"
        cure = "shuffle pictures and labels by one order: images[order], labels[order]"
        return [Finding(WRONG, check, text, cure)]
    return [Finding(OK, check, seen)]


def _nearest_mean(known: Array, labels: Array, x: Array, kinds: int) -> Array:
    """Return the label whose mean picture among the known ones is nearest to each x."""
    distances = np.full((len(x), kinds), np.inf)
    for label in np.unique(labels):
        mean = known[labels == label].mean(axis=0)
        distances[:, label] = ((x - mean) ** 2).sum(axis=1)
    return distances.argmin(axis=1)


def _small(x: Array) -> Array:
    """Return each picture shrunk to about 8x8 pixels, as a row."""
    height, width = (max(1, size // 8) for size in x.shape[2:])
    rows, columns = (x.shape[2] // height, x.shape[3] // width)
    cut = x[:, :, : rows * height, : columns * width]
    blocks = cut.reshape(*x.shape[:2], rows, height, columns, width)
    return blocks.mean(axis=(3, 5), dtype=np.float64).reshape(len(x), -1)


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.2f}" for value in values)
