"""Data: CIFAR-10 in its official layout, its download, seeded batches, and single pictures."""

from npsqueeze.data.batches import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    Channels,
    augment,
    batch_indices,
    batches_per_epoch,
    cut_out,
    evaluation_batches,
    hide_squares,
    normalize,
    permutation,
    training_batch,
)
from npsqueeze.data.cifar10 import (
    CLASSES,
    Dataset,
    downloads_folder,
    find_data,
    load_cifar10,
    read_batch,
)
from npsqueeze.data.fetch import fetch_cifar10
from npsqueeze.data.pictures import open_picture, read_picture
from npsqueeze.data.preprocessing import SOURCES, Preprocessing

__all__ = [
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "CLASSES",
    "SOURCES",
    "Channels",
    "Dataset",
    "Preprocessing",
    "augment",
    "batch_indices",
    "batches_per_epoch",
    "cut_out",
    "downloads_folder",
    "evaluation_batches",
    "fetch_cifar10",
    "find_data",
    "hide_squares",
    "load_cifar10",
    "normalize",
    "open_picture",
    "permutation",
    "read_batch",
    "read_picture",
    "training_batch",
]
