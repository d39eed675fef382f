"""Checks of the data sets: classes, pictures in both sets, the layout of the pixels."""

from collections.abc import Sequence

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data import Dataset
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding

UNEVEN = 10
"""Where one class is that much more frequent than another, the network may ignore the rare one."""

SMOOTHER = 0.8
"""Pixels misread raise the roughness from 0.27 to 0.54 or 0.75 on CIFAR-10: far from this share."""

NOISE = 0.9
"""Neighbours that differ nearly as much as strangers are no photograph's."""


def check_balance(train_set: Dataset, test_set: Dataset) -> list[Finding]:
    """Count the pictures of each class: what is never seen cannot be learned."""
    check, findings = "class balance", []
    for name, dataset in (("training", train_set), ("test", test_set)):
        counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
        missing = [dataset.classes[label] for label in np.flatnonzero(counts == 0)]
        if missing:
            severity = WRONG if dataset is train_set else WARNING
            text = f"class missing: no {name} picture of {', '.join(missing)}"
            cure = "add such pictures, or take the class out of `classes`; is a .bin file missing?"
            findings.append(Finding(severity, check, text, cure))
        elif dataset is train_set and counts.max() > UNEVEN * counts.min():
            rare, common = dataset.classes[counts.argmin()], dataset.classes[counts.argmax()]
            text = f"uneven: {counts.max()} pictures of {common}, {counts.min()} of {rare}"
            findings.append(Finding(WARNING, check, text, "--subset N draws equally many of each"))
        elif dataset is train_set:
            text = f"{counts.min()} to {counts.max()} training pictures of each class"
            findings.append(Finding(OK, check, text))
    return findings


def check_overlap(train_set: Dataset, test_set: Dataset) -> list[Finding]:
    """Look for test pictures among the training ones, as they are or mirrored, byte by byte.

    They would be learned by heart, and the test would measure memory. CIFAR-10 itself has none
    among its 60,000; pictures that merely resemble each other (Barz and Denzler, "Do we train on
    test data?", 2020) are not found.
    """
    check = "train/test overlap"
    known = {picture.tobytes() for picture in train_set.images}
    both = sum(
        picture.tobytes() in known or picture[:, :, ::-1].tobytes() in known
        for picture in test_set.images
    )
    repeated = len(train_set) - len(known)
    if both:
        text = f"{both} of {len(test_set)} test pictures are among the training ones"
        cure = "split the data before anything else, and take the test pictures out of train_set"
        return [Finding(WRONG, check, text, cure)]
    if repeated > len(train_set) / 100:
        text = f"{repeated} of {len(train_set)} training pictures are there more than once"
        return [Finding(WARNING, check, text, "np.unique(images, axis=0) drops duplicates")]
    return [Finding(OK, check, f"none of {len(test_set)} test pictures is a training picture")]


def check_layout(named_images: Sequence[tuple[str, Array]]) -> list[Finding]:
    """Look whether neighbouring pixels resemble each other, and would do so in another order.

    Natural pictures are smooth. Bytes that lie plane after plane (CHW) but were read as pixel after
    pixel (HWC), or the other way round, mix up channels and places; put back, they get smoother.

    Parameters
    ----------
    named_images : pairs of a name and (N, 3, H, W) pictures
    """
    check = "pixel layout"
    for name, images in named_images:
        images = images[:256].astype(np.float64)
        roughness = _roughness(images)
        if _roughness(_as_planes(images)) < SMOOTHER * roughness:
            text = f"{name}: height-width-channel was read from channel-height-width bytes (planes)"
            cure = "records.reshape(N, 3, H, W), without transpose"
            return [Finding(WRONG, check, text, cure)]
        if _roughness(_as_pixels(images)) < SMOOTHER * roughness:
            text = f"{name}: channel-height-width was read from height-width-channel bytes (pixels)"
            cure = "pixels.reshape(N, H, W, 3).transpose(0, 3, 1, 2)"
            return [Finding(WRONG, check, text, cure)]
        if roughness > NOISE:
            text = f"{name}: neighbouring pixels differ as much as distant ones, as in noise"
            cure = "look at pictures.png (--out FOLDER); check the record length and the dtype"
            return [Finding(WARNING, check, text, cure)]
    return [Finding(OK, check, f"channel-height-width, and smooth: roughness {roughness:.2f} of 1")]


def _as_planes(images: Array) -> Array:
    """Return the pictures as they were if their planes have been read as pixels."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(images.shape)


def _as_pixels(images: Array) -> Array:
    """Return the pictures as they were if their pixels have been read as planes."""
    n, channels, height, width = images.shape
    pixels = np.ascontiguousarray(images).reshape(n, height, width, channels)
    return pixels.transpose(0, 3, 1, 2)


def _roughness(images: Array) -> float:
    """Return the mean difference of neighbours over that of pixels anywhere in the same plane."""
    neighbours = [np.abs(np.diff(images, axis=axis)).mean() for axis in (2, 3)]
    flat = images.reshape(*images.shape[:2], -1)
    order = np.random.default_rng(0).permutation(flat.shape[2])
    anywhere = np.abs(flat - flat[:, :, order]).mean()
    return float(np.mean(neighbours) / anywhere) if anywhere else 0.0
