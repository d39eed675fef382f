"""The works: their operations and bytes, against figures by hand."""

import pickle

import pytest

import npsqueeze as nps
from npsqueeze.benchmark.works import (
    KINDS,
    Convolution,
    Network,
    Peak,
    Product,
    Stream,
    convolutions,
    peaks,
    works_of,
)

STEM_MACS = 128 * 32 * 32 * 64 * 27


def test_operations_of_the_cifar_network():
    shape = (128, 3, 32, 32)
    forward = Network("step", "", "cifar", (), shape, training=False)
    step = Network("step", "", "cifar", (), shape)
    summed = sum(each.layer.macs(each.shape) for each in convolutions(step.model(), shape, True))
    assert summed == pytest.approx(3.0094e9, rel=1e-4)
    assert forward.flops == 2 * summed
    assert step.flops == 2 * (3 * summed - STEM_MACS)  # nobody computes the first dx


def test_operations_of_version_1_1():
    model = nps.squeezenet("1.1", seed=0)
    layers = [*model.features.layers.values(), *model.classifier.layers.values()]
    shape, expected = (1, 3, 224, 224), 0
    for layer in layers:
        expected += layer.macs(shape)
        shape = layer.output_shape(shape)
    assert Network("picture", "", "1.1", (), (1, 3, 224, 224), False).flops == 2 * expected


def test_a_convolution_by_hand():
    work = Convolution((2, 3, 9, 7), 5, 3, stride=2, padding=1)
    x, w, y = 2 * 3 * 9 * 7, 5 * 3 * 9, 2 * 5 * 5 * 4
    macs = y * 3 * 9
    assert (work.flops, work.bytes) == (2 * macs, 4 * (x + w + y))
    assert work.product == Product(2, 5, 27, 20)
    assert work.product.flops == work.flops
    assert work.product.bytes == 4 * (5 * 27 + 2 * 27 * 20 + 2 * 5 * 20)
    inner = Convolution((2, 3, 9, 7), 5, 3, 2, 1, training=True)
    assert (inner.flops, inner.bytes) == (6 * macs, 4 * (3 * x + 3 * w + 2 * y))
    first = Convolution((2, 3, 9, 7), 5, 3, 2, 1, first=True, training=True)
    assert (first.flops, first.bytes) == (4 * macs, 4 * (2 * x + 3 * w + 2 * y))


def test_the_peaks():
    assert Peak(2, 6, rounds=10).flops == 2 * 16 * 6 * 16 * 10
    assert Stream(10).flops == 20
    assert Stream(10).bytes == 120
    assert {work.threads for work in peaks(3) if isinstance(work, Peak)} == {1, 3}
    assert len(peaks(1)) == 3


@pytest.mark.parametrize("kind", KINDS[1:])
def test_works_of_a_kind(kind):
    works = works_of(kind, 4)
    assert {work.kind for work in works} == {kind}
    assert len({work.name for work in works}) == len(works) == len(set(works))
    assert pickle.loads(pickle.dumps(works)) == works
    assert all(work.bytes > 0 for work in works)


def test_convolutions_are_those_of_the_network_once_each():
    works = works_of("convolution", 4)
    assert len(works) == 2 * 18  # stem, eight squeezes, four times two expands, and the last
    assert [work.training for work in works[:2]] == [False, True]
    assert [work for work in works if work.first] == works[:2]
    assert works_of("gemm", 4)[-1] == Product(1, 2048, 2048, 2048)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"WORK: expected some of peak, .*, got 'speed'"):
        works_of("speed", 4)
