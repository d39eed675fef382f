"""The CIFAR-10 reader, the embedded subset, and where a command looks for data."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npsqueeze.data import CLASSES, Dataset, downloads_folder, find_data, load_cifar10, read_batch
from npsqueeze.errors import DataError

SUBSET_FOLDER = Path(__file__).parents[1] / "data" / "cifar-10-subset"
SUBSET_FILES = [("data_batch_1.bin", 500), ("test_batch.bin", 100)]


def write_records(path, labels, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072))
    np.column_stack([labels, pixels]).astype(np.uint8).tofile(path)


def make_dataset(labels):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
    return Dataset(images, np.asarray(labels, dtype=np.int64))


def test_read_batch_finds_label_plane_row_and_column(tmp_path):
    records = np.random.default_rng(0).integers(0, 256, (4, 3073), dtype=np.uint8)
    records[:, 0] = [3, 0, 9, 3]
    records.tofile(tmp_path / "batch.bin")
    images, labels = read_batch(tmp_path / "batch.bin")
    assert (images.dtype, images.shape) == (np.uint8, (4, 3, 32, 32))
    assert images.flags.c_contiguous
    assert images.flags.writeable
    assert labels.dtype == np.int64
    assert labels.tolist() == [3, 0, 9, 3]
    for record, channel, row, column in [(0, 0, 0, 0), (1, 1, 0, 31), (2, 2, 31, 0), (3, 1, 7, 12)]:
        byte = 1 + channel * 1024 + row * 32 + column
        assert images[record, channel, row, column] == records[record, byte]


@pytest.mark.parametrize("n_bytes", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_read_batch_refuses_a_file_that_is_cut_off(tmp_path, n_bytes):
    path = tmp_path / "batch.bin"
    path.write_bytes(bytes(n_bytes))
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: .* got {n_bytes} bytes"):
        read_batch(path)


def test_read_batch_names_the_record_with_a_wrong_label(tmp_path):
    path = tmp_path / "batch.bin"
    write_records(path, [1, 9, 10, 200])
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: record 2: .* 0 to 9, got 10"):
        read_batch(path)


def test_read_batch_of_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.bin: cannot be read"):
        read_batch(tmp_path / "nothing.bin")


def test_load_joins_the_batches_in_the_order_of_their_numbers(tmp_path):
    for number, labels in [(5, [5, 5]), (1, [1]), (3, [3, 3, 3])]:
        write_records(tmp_path / f"data_batch_{number}.bin", labels)
    write_records(tmp_path / "data_batch_6.bin", [6])  # not a file of CIFAR-10
    write_records(tmp_path / "test_batch.bin", [7, 8])
    train_set, test_set = load_cifar10(tmp_path)
    assert train_set.labels.tolist() == [1, 3, 3, 3, 5, 5]
    assert test_set.labels.tolist() == [7, 8]
    np.testing.assert_array_equal(
        train_set.images[1:4], read_batch(tmp_path / "data_batch_3.bin")[0]
    )


@pytest.mark.parametrize("names", [[], ["data_batch_1.bin"], ["test_batch.bin"]])
def test_load_of_an_incomplete_folder(tmp_path, names):
    for name in names:
        write_records(tmp_path / name, [0])
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: expected a folder with")):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (np.zeros((2, 3, 4, 4)), np.zeros(2, np.int64), TypeError, "images: expected uint8"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(2), TypeError, "labels: expected int64"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.int64), ValueError, "images: .*N, 3,"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(3, np.int64), ValueError, "labels: .*shape"),
    ],
)
def test_dataset_checks_its_arrays(images, labels, error, message):
    with pytest.raises(error, match=message):
        Dataset(images, labels)


def test_subset_is_balanced_seeded_nested_and_in_file_order():
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 20))
    dataset = make_dataset(labels)
    position = {image.tobytes(): index for index, image in enumerate(dataset.images)}

    def positions(n, seed):
        subset = dataset.subset(n, seed)
        found = [position[image.tobytes()] for image in subset.images]
        np.testing.assert_array_equal(subset.labels, labels[found])
        assert np.bincount(subset.labels, minlength=10).tolist() == [n // 10] * 10
        assert found == sorted(found)
        return found

    assert positions(50, seed=3) == positions(50, seed=3)
    assert positions(50, seed=3) != positions(50, seed=4)
    assert set(positions(50, seed=3)) < set(positions(100, seed=3))
    assert positions(200, seed=3) == list(range(200))


@pytest.mark.parametrize("n", [-10, 0, 5, 15, 30])
def test_subset_refuses_an_impossible_n(n):
    dataset = make_dataset([*range(10), *range(10), 0])  # two of each class, three of class 0
    with pytest.raises(ValueError, match=f"n: expected a multiple of 10 .* at most 20, got {n}"):
        dataset.subset(n, seed=0)


def test_subset_refuses_a_negative_seed():
    with pytest.raises(ValueError, match=r"seed.*-1"):
        make_dataset(range(10)).subset(10, seed=-1)


def test_embedded_subset_is_balanced():
    train_set, test_set = load_cifar10(SUBSET_FOLDER)
    assert (len(train_set), len(test_set)) == (5000, 1000)
    assert np.bincount(train_set.labels).tolist() == [500] * 10
    assert np.bincount(test_set.labels).tolist() == [100] * 10
    assert train_set.classes == CLASSES
    assert [CLASSES[label] for label in train_set.labels[:3]] == ["frog", "truck", "truck"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("name", [name for name, _ in SUBSET_FILES])
def test_embedded_subset_has_the_checksums_of_its_readme(name, algorithm):
    digest = hashlib.new(algorithm, (SUBSET_FOLDER / name).read_bytes()).hexdigest()
    rows = (SUBSET_FOLDER / "README.md").read_text().splitlines()
    assert any(f"`{name}`" in row and f"`{digest}`" in row for row in rows)


@pytest.mark.parametrize(("name", "per_class"), SUBSET_FILES)
def test_embedded_subset_is_the_start_of_each_official_class(name, per_class):
    official = downloads_folder() / name
    if not official.is_file():
        pytest.skip("the whole CIFAR-10 is not in the user's cache")
    records = np.fromfile(official, np.uint8).reshape(-1, 3073)
    seen = [0] * 10
    chosen = []
    for index, label in enumerate(records[:, 0]):
        seen[label] += 1
        if seen[label] <= per_class:
            chosen.append(index)
    assert records[chosen].tobytes() == (SUBSET_FOLDER / name).read_bytes()


def test_find_data_prefers_the_path_then_the_checkout_then_the_cache(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setattr("npsqueeze.data.cifar10.downloads_folder", lambda: cache)
    checkout = tmp_path / "checkout"
    inside = checkout / "tutorials" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    with pytest.raises(DataError, match="npsqueeze data fetch"):
        find_data()

    cache.mkdir()
    write_records(cache / "data_batch_1.bin", [0])
    assert find_data() == cache

    subset = checkout / "data" / "cifar-10-subset"
    subset.mkdir(parents=True)
    assert find_data() == cache  # an empty folder is no data set
    write_records(subset / "data_batch_1.bin", [0])
    assert find_data() == subset
    assert find_data(whole=True) == cache
    assert find_data("elsewhere") == Path("elsewhere")


def test_downloads_folder_belongs_to_the_package():
    assert downloads_folder().name == "cifar-10-batches-bin"
    assert "npsqueeze" in downloads_folder().parts


def test_import_is_light():
    code = (
        "import sys, npsqueeze.data; "
        "sys.exit(str({'pooch', 'requests', 'PIL', 'matplotlib'} & set(sys.modules) or ''))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == ""
