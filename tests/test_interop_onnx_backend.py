"""ONNX's own tests: what is two-dimensional inference in floating point passes, all of it.

Of the tests whose operators are ours, 130 pass and 73 are out of scope (onnx 1.23); each of those
fails for the reason that stands beside its pattern. A version of onnx may bring more.
"""

import re
import unittest
import warnings
from pathlib import Path

import numpy as np
import pytest

from npsqueeze.functional import softmax
from npsqueeze.interop.onnx.loading import load_pretrained
from npsqueeze.interop.onnx.operators import OPERATORS
from npsqueeze.interop.onnx.reading import CONSTANTS
from npsqueeze.models import SqueezeNet

onnx = pytest.importorskip("onnx")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the collection computes what the tests expect
    from onnx.backend.test import BackendTest
    from onnx.backend.test.loader import load_model_tests

    from npsqueeze.interop.onnx.backend import NpsqueezeBackend

    SUITE = BackendTest(NpsqueezeBackend, __name__)
    CASES = [case for kind in ("node", "simple", "pytorch-converted", "pytorch-operator")
             for case in load_model_tests(kind=kind)]  # fmt: skip

OUT_OF_SCOPE = {
    r"(conv|pool|batchnorm)\w*?(1d|3d)|operator_maxpool": "images of one or three dimensions",
    r"matmul_(\dd_\dd|3d|4d|bcast)": "products of stacks of matrices",
    r"u?int\d+|identity_(opt|sequence)": "numbers that are no floats, and what is no array",
    r"training": "training, which ONNX describes by other outputs and random numbers",
    r"mask|argmax": "second outputs",
    r"test_constant(_|of)": "models of a constant alone, without a network",
    r"allowzero_reordered": "arrays without elements",
}
EXPECTED_COUNTS = (130, 73)


def is_ours(case):
    model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    return bool(kinds) and kinds <= OPERATORS.keys() | set(CONSTANTS)


NAMES = sorted({f"{case.name}_cpu" for case in CASES if is_ours(case)} | {"test_squeezenet_cpu"})
FUNCTIONS = {
    name: item.func for items in SUITE._test_items.values() for name, item in items.items()
}


def reasons(name):
    return [why for pattern, why in OUT_OF_SCOPE.items() if re.search(pattern, name, re.IGNORECASE)]


@pytest.mark.parametrize("name", [name for name in NAMES if not reasons(name)])
def test_passes(name, monkeypatch, tmp_path):
    monkeypatch.setenv("ONNX_HOME", str(tmp_path))  # where the runner writes what it compares
    FUNCTIONS[name](unittest.TestCase())


@pytest.mark.parametrize("name", [name for name in NAMES if reasons(name)])
def test_out_of_scope(name):
    """What gets in scope is to be noticed, and what is not raises one of our errors."""
    with pytest.raises((ValueError, TypeError)):
        FUNCTIONS[name](unittest.TestCase())


def test_counts():
    passing = [name for name in NAMES if not reasons(name)]
    counts = (len(passing), len(NAMES) - len(passing))
    if onnx.__version__.startswith("1.23."):
        assert counts == EXPECTED_COUNTS
    assert all(count > 50 for count in counts)


def test_light_squeezenet_is_a_squeezenet():
    """ONNX's own SqueezeNet; its weights are all one number, and so are its stored outputs."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = load_pretrained(folder / "light_squeezenet.onnx").model
    assert isinstance(model, SqueezeNet)
    tensor = onnx.TensorProto.FromString((folder / "light_squeezenet_output_0.pb").read_bytes())
    expected = onnx.numpy_helper.to_array(tensor).reshape(1, 1000)
    x = (np.arange(3 * 224 * 224).reshape(1, 3, 224, 224) / (3 * 224 * 224)).astype(np.float32)
    np.testing.assert_allclose(softmax(model.forward(x)), expected, rtol=1e-3)


def test_run_node():
    node = onnx.helper.make_node("Add", ["a", "b"], ["c"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = NpsqueezeBackend.run_node(node, [x, x[:1]], opset_version=14)
    np.testing.assert_array_equal(y, x + x[:1])
    assert NpsqueezeBackend.supports_device("CPU")
    assert not NpsqueezeBackend.supports_device("CUDA")
