"""The decoder against an encoder that goes entry by entry, the real file, and damage."""

import re
import struct

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.compression import read_deep_compression
from npsqueeze.compression.deep_compression import BIASES, CODES, LAYERS, SHAPES, SIZES
from npsqueeze.errors import CheckpointError
from tests.deep_compression_encoder import entries, sparse_network
from tests.shared import shared

BOOK = 104  # where the first codebook begins


def test_entries_of_a_row_by_hand():
    assert entries(np.array([7, 0, 0, 9])) == [(0, 7), (2, 9)]
    assert entries(np.array([0] * 15 + [3])) == [(15, 3)]
    assert entries(np.array([0] * 16 + [3])) == [(15, 0), (0, 3)]
    assert entries(np.array([5] + [0] * 33 + [3, 0])) == [(0, 5), (15, 0), (15, 0), (1, 3)]


@pytest.mark.parametrize("weights_a_layer", [1, 2, 3, 20])
def test_what_was_encoded_comes_back(tmp_path, weights_a_layer):
    content, state = sparse_network(weights_a_layer, seed=weights_a_layer)
    (tmp_path / "a.net").write_bytes(content)
    decoded = read_deep_compression(tmp_path / "a.net")
    assert list(decoded) == list(nps.squeezenet("1.0", seed=0).state_dict())
    for name, array in decoded.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, state[name])


def test_the_shapes_are_those_of_the_network():
    assert sum(SIZES) + BIASES == 1_248_424
    assert (len(LAYERS), LAYERS[0], LAYERS[-1]) == (26, "features.0", "classifier.1")


def test_the_published_file():
    path = shared("pretrained/squeezenet_v1_0_deep_compression.net")
    state = read_deep_compression(path)
    assert {name: array.shape for name, array in state.items()} == SHAPES
    weights = {name: array for name, array in state.items() if name.endswith("weight")}
    # as stored, 422,083, without 6,162 fillers
    assert sum(map(np.count_nonzero, weights.values())) == 415_921
    for array in weights.values():
        assert len(np.unique(array)) <= CODES
    assert state["features.0.weight"].min() == pytest.approx(-0.6967577)


def refuse(tmp_path, content, message):
    path = tmp_path / "a.net"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_deep_compression(path)


@pytest.fixture(scope="module")
def content():
    return sparse_network()[0]


def test_a_file_cut_off_or_longer(tmp_path, content):
    for length in (104, 105, len(content) // 2, len(content) - 1):
        refuse(tmp_path, content[:length], f"expected {len(content):,} bytes .*, got {length:,}")
    refuse(tmp_path, content + b"!", "bytes by its counts, got more")
    refuse(tmp_path, content[:103], "expected Deep Compression's counts")
    refuse(tmp_path, b"", "expected Deep Compression's counts")


@pytest.mark.parametrize("count", [0, 14_113, 2**31, 2**32 - 1])
def test_counts_that_cannot_be(tmp_path, content, count):
    refuse(tmp_path, struct.pack("<I", count) + content[4:], "counts for 26 layers")


def test_a_count_that_is_too_large_by_one(tmp_path, content):
    (count,) = struct.unpack("<I", content[:4])
    refuse(tmp_path, struct.pack("<I", count + 1) + content[4:], "bytes by its counts")


def test_positions_outside_the_layer(tmp_path, content):
    """All gaps of the smallest layer at 15, and so many of them that they leave it."""
    path = shared("pretrained/squeezenet_v1_0_deep_compression.net")
    published = bytearray(path.read_bytes())
    (count,) = struct.unpack("<I", published[:4])
    gaps = BOOK + 4 * CODES + 4 * 96 + count
    published[gaps : gaps + count // 2] = b"\xff" * (count // 2)
    refuse(tmp_path, published, "features.0.weight: expected positions below 14112, got 222431")


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_codebook_that_does_not_start_with_zero(tmp_path, content, value):
    changed = content[:BOOK] + struct.pack("<f", value) + content[BOOK + 4 :]
    refuse(tmp_path, changed, "features.0: expected a codebook that starts with 0")


@pytest.mark.parametrize("place", [BOOK + 4, BOOK + 4 * CODES])
def test_numbers_that_are_none(tmp_path, content, place):
    changed = content[:place] + struct.pack("<f", float("inf")) + content[place + 4 :]
    refuse(tmp_path, changed, "features.0: .*finite numbers")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.net", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_deep_compression(path)
