"""Read CIFAR-10 in its official binary layout: one label byte, then the red, green, blue plane.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npsqueeze.arrays import Array, check_shape
from npsqueeze.errors import DataError
from npsqueeze.files import in_checkout
from npsqueeze.generators import SUBSET, generator

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip
IMAGE_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled pictures.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, 3, H, W)
    labels : ndarray of int64, shape (N,)
    classes : tuple of str
        The name of every label.

    Raises
    ------
    TypeError, ValueError
        If an array has another dtype or shape.
    """

    images: Array
    labels: Array
    classes: tuple[str, ...] = CLASSES

    def __repr__(self) -> str:
        return f"Dataset({len(self):,} pictures, {len(self.classes)} classes)"

    def __post_init__(self) -> None:
        for name, array, dtype in (
            ("images", self.images, np.uint8),
            ("labels", self.labels, np.int64),
        ):
            if array.dtype != dtype:
                raise TypeError(f"{name}: expected {np.dtype(dtype)}, got {array.dtype}")
        if self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"images: expected shape (N, 3, H, W), got {self.images.shape}")
        check_shape("labels", self.labels, self.images.shape[:1])
        if not np.isin(self.labels, np.arange(len(self.classes))).all():
            raise ValueError(f"labels: expected 0 to {len(self.classes) - 1}, got others")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, n: int, seed: int) -> "Dataset":
        """Draw `n` pictures, equally many of each class, and keep them in file order.

        With one seed, a smaller subset is part of every larger one.

        Raises
        ------
        ValueError
            If `n` is no multiple of the number of classes, or a class has too few pictures.
        """
        n_classes = len(self.classes)
        available = n_classes * np.bincount(self.labels, minlength=n_classes).min()
        if n % n_classes or not 0 < n <= available:
            raise ValueError(
                f"n: expected a multiple of {n_classes} (the classes), at most {available}, got {n}"
            )
        order = generator((seed, SUBSET, 0)).permutation(len(self))
        of_class = [order[self.labels[order] == label] for label in range(n_classes)]
        chosen = np.sort([indices[: n // n_classes] for indices in of_class], axis=None)
        return Dataset(self.images[chosen], self.labels[chosen], self.classes)


def read_batch(path: str | Path) -> tuple[Array, Array]:
    """Read one .bin file.

    Returns
    -------
    images : ndarray of uint8, shape (N, 3, 32, 32)
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    DataError
        If the file cannot be read, is empty or cut off, or holds a label above 9.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if content.size == 0 or content.size % RECORD_BYTES:
        raise DataError(
            f"{path}: expected whole records of {RECORD_BYTES} bytes, got {content.size} bytes; "
            "the file is empty or cut off"
        )
    records = content.reshape(-1, RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    bad_records = np.flatnonzero(labels >= len(CLASSES))
    if bad_records.size:
        first = bad_records[0]
        found = labels[first]
        raise DataError(f"{path}: record {first}: expected a label from 0 to 9, got {found}")
    return records[:, 1:].reshape(-1, *IMAGE_SHAPE).copy(), labels


def load_cifar10(folder: str | Path) -> tuple[Dataset, Dataset]:
    """Read a folder of one to five data_batch_*.bin, in the order of their numbers, and the test.

    Returns
    -------
    train_set, test_set : Dataset

    Raises
    ------
    DataError
        If the folder, all training batches or the test batch are missing, or a file is damaged.
    """
    folder = Path(folder)
    train_paths = [folder / name for name in TRAIN_FILES if (folder / name).is_file()]
    if not train_paths or not (folder / TEST_FILE).is_file():
        raise DataError(f"{folder}: expected a folder with data_batch_1.bin … and {TEST_FILE}")
    images, labels = zip(*map(read_batch, train_paths), strict=True)
    train_set = Dataset(np.concatenate(images), np.concatenate(labels))
    return train_set, Dataset(*read_batch(folder / TEST_FILE))


def downloads_folder() -> Path:
    """Return the folder in the user's cache where the whole CIFAR-10 is kept."""
    import pooch

    return Path(pooch.os_cache("npsqueeze")) / "cifar-10-batches-bin"


def find_data(path: str | Path | None = None, whole: bool = False) -> Path:
    """Return the folder that a command reads its data from.

    `path` itself if given; else, unless all of it is wanted (`whole`), `data/cifar-10-subset` of
    the checkout around the current folder; else the whole data set in the user's cache.

    Raises
    ------
    DataError
        If none of these is there; it says how to get the data.
    """
    if path is not None:
        return Path(path)
    subset = None if whole else in_checkout(f"data/cifar-10-subset/{TRAIN_FILES[0]}")
    if subset is not None:
        return subset.parent
    folder = downloads_folder()
    if (folder / TRAIN_FILES[0]).is_file():
        return folder
    raise DataError(
        "no data found: run `npsqueeze data fetch` to download CIFAR-10, or name a folder that "
        "holds its .bin files"
    )
