"""Checkpoints come back bit for bit, are whole or absent, and fail with one clear error."""

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npsqueeze import checkpoint
from npsqueeze.checkpoint import load_checkpoint, save_checkpoint
from npsqueeze.errors import CheckpointError

ARRAYS = {
    "features.0.weight": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "optimizer.step": np.array(7, np.int64),
}
METADATA = {"epoch": 3, "history": [{"loss": 0.1, "note": "é"}], "none": None}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    save_checkpoint(path, ARRAYS, METADATA)
    return path


def assert_is_the_saved_one(path):
    arrays, metadata = load_checkpoint(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert metadata == METADATA


dtypes = st.sampled_from(["<f4", "<f8", ">f4", "<i8", "u1", "?"])
any_array = dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0)))
names = st.text(st.characters(codec="utf-8", exclude_characters="\\\0"), min_size=1, max_size=20)


@settings(max_examples=50, deadline=None)
@given(arrays=st.dictionaries(names.filter(lambda n: n != "npsqueeze"), any_array, max_size=4))
def test_round_trip_bit_for_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("checkpoint") / "model.npz"
    save_checkpoint(path, arrays, {"lr": 0.1})
    loaded, metadata = load_checkpoint(path)
    assert list(loaded) == list(arrays)
    assert metadata == {"lr": 0.1}
    for name, array in arrays.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].flags.writeable


@pytest.mark.parametrize("name", ["a", "a.npy", "file", "allow_pickle", "../a", "/a"])
def test_odd_names(tmp_path, name):
    save_checkpoint(tmp_path / "model.npz", {"a": np.zeros(1), name: np.ones(2)}, {})
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "model.npz")[0][name], np.ones(2))


def test_transposed_and_special_values(tmp_path):
    array = np.array([[np.nan, -0.0, np.inf], [1.0, 5e-324, -np.inf]]).T
    save_checkpoint(tmp_path / "model.npz", {"a": array}, {"loss": float("nan")})
    arrays, metadata = load_checkpoint(tmp_path / "model.npz")
    assert arrays["a"].tobytes() == array.tobytes()
    assert np.isnan(metadata["loss"])


def test_numpy_reads_the_arrays(saved):
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["features.0.weight"], ARRAYS["features.0.weight"])


def test_same_content_same_bytes(saved, tmp_path):
    save_checkpoint(tmp_path / "again.npz", ARRAYS, METADATA)
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_replaces_an_old_file_and_leaves_nothing_else(saved):
    save_checkpoint(saved, {"new": np.ones(2)}, {})
    assert list(load_checkpoint(saved)[0]) == ["new"]
    assert [p.name for p in saved.parent.iterdir()] == ["model.npz"]


def test_file_mode_follows_the_umask(saved):
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "save", "replace"])
def test_a_failure_keeps_the_old_file(saved, monkeypatch, error, call):
    def fail(*_, **__):
        raise error

    owner = {"fsync": os, "save": checkpoint.np, "replace": Path}[call]
    monkeypatch.setattr(owner, call, fail)
    expected = CheckpointError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        save_checkpoint(saved, {"new": np.ones(2)}, {})
    monkeypatch.undo()
    if expected is CheckpointError:
        assert str(caught.value) == f"{saved}: cannot be written: No space left on device"
    assert [p.name for p in saved.parent.iterdir()] == ["model.npz"]
    assert_is_the_saved_one(saved)


def test_the_folder_is_on_the_disk_after_the_file(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd)))
    save_checkpoint(tmp_path / "model.npz", ARRAYS, METADATA)
    assert synced[0].st_ino == (tmp_path / "model.npz").stat().st_ino
    assert [stat.S_ISDIR(status.st_mode) for status in synced] == [False, True]


@pytest.mark.parametrize("place", ["missing/model.npz", "model.npz/below.npz", "folder"])
def test_unwritable_places(saved, place):
    (saved.parent / "folder").mkdir()
    with pytest.raises(CheckpointError, match=f"{place}: cannot be written: [A-Z].*") as caught:
        save_checkpoint(saved.parent / place, ARRAYS, METADATA)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["folder", "model.npz"]


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "message"),
    [
        ({"a": np.array([None])}, {}, TypeError, r"arrays\['a'\]: .* numbers, got object"),
        ({"a": [1, 2]}, {}, TypeError, r"arrays\['a'\]: .* numbers, got list"),
        ({"npsqueeze": np.ones(1)}, {}, ValueError, "arrays: the name 'npsqueeze' is reserved"),
        ({}, {"lr": np.float32(1)}, TypeError, "metadata: expected what JSON can hold"),
    ],
)
def test_what_cannot_be_stored(saved, arrays, metadata, error, message):
    with pytest.raises(error, match=message):
        save_checkpoint(saved, arrays, metadata)
    assert_is_the_saved_one(saved)


def some_positions(content):
    """Return every ninth position, and all of the zip's directory at the end."""
    return [*range(0, len(content), 9), *range(len(content) - 300, len(content))]


def test_truncation(saved):
    content = saved.read_bytes()
    for length in some_positions(content):
        saved.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=f"{saved}: damaged"):
            load_checkpoint(saved)


def test_a_flipped_byte_is_noticed_or_harmless(saved):
    content = saved.read_bytes()
    noticed = 0
    for position in some_positions(content):
        saved.write_bytes(
            content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        )
        try:
            assert_is_the_saved_one(saved)
        except CheckpointError:
            noticed += 1
    assert noticed > 200  # the rest are dates and the like in the zip's directory


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def header(number, names):
    return np.array(json.dumps({"format": number, "names": names, "metadata": {}}))


def zipped(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or no .npz file"),
        (b"hello", "damaged, or no .npz file"),
        (npy(np.ones(3)), "damaged, or no .npz file"),
        (npz(a=np.ones(3)), "an archive, but not one that npsqueeze wrote"),
        (zipped("word/document.xml", "<a/>"), "damaged, or no .npz file .*document.xml: expected"),
        (npz(npsqueeze=np.ones(3)), "not one that npsqueeze wrote"),
        (npz(npsqueeze=np.array("[1, 2]")), "not one that npsqueeze wrote"),
        (npz(npsqueeze=np.array("{}")), "not one that npsqueeze wrote"),
        (zipped("npsqueeze.npy", b"\x93NUMPY"), "damaged, or no .npz file"),
        (
            npz(npsqueeze=header(1, ["a"]), a=np.array([None])),
            "damaged, or no .npz file .*a.npy: expected numbers or text, got Python objects",
        ),
        (npz(npsqueeze=header(2, [])), "expected format 1, got 2"),
        (npz(npsqueeze=header(1, ["a"])), r"damaged: expected the arrays \['a'\], got \[\]"),
    ],
)
def test_other_files(tmp_path, content, message):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path}: {message}"):
        load_checkpoint(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.npz: cannot be read: No such file"):
        load_checkpoint(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match=f"{tmp_path}: cannot be read: Is a directory"):
        load_checkpoint(tmp_path)
