"""Damaged files of every kind are refused by one error, or read; nothing else happens."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import npsqueeze as nps
from npsqueeze.checkpoint import save_checkpoint
from npsqueeze.compression import read_deep_compression
from npsqueeze.data import SOURCES, open_picture
from npsqueeze.errors import CheckpointError, DataError
from npsqueeze.interop import save_safetensors
from tests import fuzzing
from tests.deep_compression_encoder import sparse_network
from tests.tiny import tiny_network

WAY = SOURCES["caffe"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "damaged"


def test_deep_compression(path):
    contents = [sparse_network(count, seed=count)[0] for count in (1, 2, 3)]
    fuzzing.hold(read_deep_compression, path, contents, CheckpointError)


def test_deep_compression_whose_size_is_right(path):
    """Bytes are changed, and none added or taken away: the decoder is always reached."""
    content, _ = sparse_network(3)
    draw = np.random.default_rng(0)
    read = 0
    for _ in range(fuzzing.COUNT):
        changed = bytearray(content)
        for place in draw.integers(104, len(content), draw.integers(1, 200)):
            changed[place] = draw.integers(256)
        path.write_bytes(changed)
        try:
            state = read_deep_compression(path)
        except CheckpointError:
            continue
        read += 1
        assert all(np.isfinite(array).all() for array in state.values())
    assert 0 < read < fuzzing.COUNT


def npz(save, state):
    buffer = io.BytesIO()
    save(buffer, **state)
    return buffer.getvalue()


def test_npz(path):
    notes = {
        "preprocessing": json.dumps(WAY.as_dict()),
        "squeezenet": json.dumps(tiny_network().config),
        "classes": json.dumps(list("abcdefghij")),
    }
    state = tiny_network().state_dict()
    contents = [
        npz(np.savez, state),
        npz(np.savez_compressed, state),
        npz(np.savez, state | notes),
        npz(np.savez_compressed, notes | state),
    ]
    fuzzing.hold(nps.load_pretrained, path, contents, CheckpointError)


def test_checkpoints(path):
    model = tiny_network()
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    metadata = {
        "model": model.config,
        "settings": {"mean": 0.5, "std": 0.5},
        "classes": list("abcdefghij"),
        "image_size": 16,
    }
    save_checkpoint(path, arrays, metadata)
    contents = [path.read_bytes()]
    assert nps.load_pretrained(path).preprocessing.size == 16
    fuzzing.hold(nps.load_pretrained, path, contents, CheckpointError)


def test_safetensors(path):
    pytest.importorskip("safetensors")
    contents = []
    for options in ({}, {"bypass": "complex"}, {"batch_norm": True}):
        save_safetensors(path, tiny_network(**options), WAY, tuple("abcdefghij"))
        contents.append(path.read_bytes())
        # one without metadata: the header ends sooner, and the arrays follow as before
        length = int.from_bytes(contents[-1][:8], "little")
        header = json.loads(contents[-1][8 : 8 + length])
        del header["__metadata__"]
        plain = json.dumps(header).encode()
        contents.append(len(plain).to_bytes(8, "little") + plain + contents[-1][8 + length :])
    path.write_bytes(contents[-1])
    assert nps.load_pretrained(path).model.config["batch_norm"]
    fuzzing.hold(nps.load_pretrained, path, contents, CheckpointError)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "ico", "tga"])
def test_pictures(path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = []
    for mode in ("RGB", "L", "P", "RGBA", "CMYK"):
        buffer = io.BytesIO()
        try:
            Image.fromarray(pixels).convert(mode).save(
                buffer, Image.registered_extensions()[f".{suffix}"], exif=exif
            )
        except (OSError, ValueError):
            continue  # a mode that the format lacks
        contents.append(buffer.getvalue())
    assert contents
    fuzzing.hold(open_picture, path, contents, DataError)
    fuzzing.hold(WAY.read, path, contents[:1], DataError)
