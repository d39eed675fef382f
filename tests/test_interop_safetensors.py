"""Weights in .safetensors: there and back, and as other programs see them."""

import json
import re
import sys

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.data import SOURCES, Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop import read_safetensors, save_safetensors
from tests.tiny import tiny_network

safetensors_numpy = pytest.importorskip("safetensors.numpy")
CLASSES = tuple("abcdefghij")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_norm": True, "bypass": "simple"},
        {"head": "linear", "bypass": "complex", "expand": {1: 0.5, 3: 0.25, 5: 0.25}},
        {"stem": (64, 5, 2, 2), "pool_after": (1, 9), "final_relu": True},
    ],
)
def test_a_network_comes_back(tmp_path, options):
    model = tiny_network(**options).eval()
    way = Preprocessing(16, 20, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    save_safetensors(tmp_path / "a", model, way, CLASSES)
    found = nps.load_pretrained(tmp_path / "a")
    assert found.model.config == model.config
    assert (found.preprocessing, found.classes) == (way, CLASSES)
    assert found.origin == ".safetensors under torchvision's names"
    x = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    np.testing.assert_array_equal(found.model.forward(x), model.forward(x))


def test_other_programs_find_torchvisions_names(tmp_path):
    model = tiny_network()
    save_safetensors(tmp_path / "a", model, SOURCES["caffe"])
    arrays = safetensors_numpy.load_file(tmp_path / "a")
    state = model.state_dict()
    assert arrays.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(arrays[name], array)
    _, metadata = read_safetensors(tmp_path / "a")
    assert metadata.keys() == {"squeezenet", "preprocessing"}
    assert json.loads(metadata["preprocessing"])["order"] == "BGR"


def test_what_others_write_is_inferred(tmp_path):
    """As torchvision's weights come, with nothing but arrays, and in half precision."""
    model = nps.squeezenet("1.1", seed=0, num_classes=7)
    half = {name: array.astype(np.float16) for name, array in model.state_dict().items()}
    safetensors_numpy.save_file(half, tmp_path / "a", {"format": "pt"})
    found = nps.load_pretrained(tmp_path / "a")
    assert found.model.config["version"] == "1.1"
    assert found.preprocessing == SOURCES["torchvision"]
    assert found.classes is None
    for name, array in found.model.state_dict().items():
        np.testing.assert_array_equal(array, half[name].astype(np.float32))


def test_a_file_that_cannot_be(tmp_path):
    path = tmp_path / "a"
    save_safetensors(path, tiny_network())
    content = path.read_bytes()
    for changed in (content[:-1], content[:200], content + b"!", b"", content[:8] + b"[" * 100):
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: damaged, or no .safe"):
            read_safetensors(path)
    with pytest.raises(CheckpointError, match="none: cannot be read"):
        read_safetensors(tmp_path / "none")
    with pytest.raises(CheckpointError, match="nowhere/a: cannot be written"):
        save_safetensors(tmp_path / "nowhere" / "a", tiny_network())
    with pytest.raises(ValueError, match="classes: expected 10 names, got 3"):
        save_safetensors(path, tiny_network(), None, ("a", "b", "c"))


def test_a_type_that_numpy_lacks(tmp_path):
    header = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(CheckpointError, match=r"a: damaged, or no .safetensors file"):
        read_safetensors(tmp_path / "a")


def test_without_the_package(tmp_path, monkeypatch):
    save_safetensors(tmp_path / "a", tiny_network())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r'safetensors .* pip install "npsqueeze\[interop\]"'):
        nps.load_pretrained(tmp_path / "a")
