"""The contenders compute the same."""

import numpy as np
import pytest

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.benchmark import inputs, with_npsqueeze, with_numpy
from npsqueeze.benchmark.works import RECIPE, Convolution, Network, Product
from tests import tiny
from tests.strategies import assert_close

one_thread = tiny.one_thread
CONVOLUTIONS = [
    Convolution((2, 3, 9, 8), 4, 3, stride=2),
    Convolution((2, 5, 6, 6), 4, 3, padding=1),
    Convolution((2, 5, 6, 6), 4, 1),
]
TINY = {"width": 1 / 16, "dropout": 0.0}


def network(kind="step", version="cifar", training=True, **options):
    shape = (2, 3, 32, 32)
    return Network(kind, "", version, tuple((TINY | options).items()), shape, training)


@pytest.mark.parametrize("work", CONVOLUTIONS)
def test_numpy_convolves(work):
    x, weight, bias, _ = inputs.convolution(work)
    expected, _ = F.conv2d_forward(x, weight, bias, work.stride, work.padding)
    actual = with_numpy.prepare(work, "", 1)()
    assert_close(actual.reshape(expected.shape), expected, 1e-5)


def test_our_two_roads_take_the_same_steps():
    work = network()
    steps = [with_npsqueeze.prepare(work, way, 1) for way in ("compiled", "layers")]
    losses = [[step() for _ in range(3)] for step in steps]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][2] < losses[0][0]


@pytest.fixture
def with_torch():
    torch = pytest.importorskip("torch")
    from npsqueeze.benchmark import with_torch

    before = torch.get_num_threads()
    yield with_torch
    torch.set_num_threads(before)


LAYOUTS = ("contiguous_format", "channels_last")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, RECIPE], ids=["plain", "recipe"])
def test_torch_takes_the_same_steps(with_torch, layout, options):
    work = network(**options)
    ours = with_npsqueeze.prepare(work, "layers", 1)
    theirs = with_torch.prepare(work, layout, 1)
    assert [ours() for _ in range(3)] == pytest.approx([float(theirs()) for _ in range(3)], 1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_torch_predicts_the_same(with_torch, layout):
    work = network("picture", "1.1", training=False)
    expected = with_npsqueeze.prepare(work, "compiled", 1)()
    assert_close(with_torch.prepare(work, layout, 1)().numpy(), expected, 1e-4)


@pytest.mark.parametrize("work", CONVOLUTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_torch_convolves(with_torch, work, layout):
    expected = with_numpy.prepare(work, "", 1)()
    actual = with_torch.prepare(work, layout, 1)().numpy()
    assert_close(actual.reshape(expected.shape), expected, 1e-5)
    both = Convolution(work.shape, work.filters, work.kernel_size, training=True)
    shapes = [tuple(gradient.shape) for gradient in with_torch.prepare(both, layout, 1)()]
    assert shapes == [both.shape, both.layer.weight.data.shape, (both.filters,)]


@pytest.mark.parametrize("work", [Product(1, 3, 4, 5), Product(2, 3, 4, 5)])
def test_everyone_multiplies(with_torch, work):
    a, b, _ = inputs.matrices(work)
    assert_close(with_numpy.prepare(work, "", 1)(), a @ b, 1e-5)
    actual = with_torch.prepare(work, "contiguous_format", 1)().numpy()
    assert_close(actual.reshape(2 if work.matrices == 2 else 1, 3, 5), a @ b, 1e-5)


@pytest.mark.filterwarnings("ignore")  # the exporter's
def test_onnxruntime_predicts_the_same():
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from npsqueeze.benchmark import with_onnxruntime

    work = network("picture", "1.1", training=False)
    expected = with_npsqueeze.prepare(work, "compiled", 1)()
    (actual,) = with_onnxruntime.prepare(work, "", 1)()
    assert_close(np.asarray(actual), expected, 1e-4)
