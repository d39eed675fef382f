"""Evaluation: right numbers, in inference mode, over whatever number of pictures."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.data import Dataset, normalize
from npsqueeze.evaluation import BATCH_SIZE, accuracy_line
from tests import tiny
from tests.strategies import assert_close
from tests.tiny import digest, embedded_pictures, tiny_network

one_thread = tiny.one_thread


def random_pictures(count, classes=10, size=8):
    rng = np.random.default_rng(count)
    images = rng.integers(256, size=(count, 3, size, size)).astype(np.uint8)
    return Dataset(images, rng.integers(classes, size=count), tuple("abcdefghij"[:classes]))


@pytest.mark.parametrize("count", [1, BATCH_SIZE, BATCH_SIZE + 1, 2 * BATCH_SIZE + 30])
def test_the_numbers_are_those_of_one_forward_pass(count):
    model, pictures = tiny_network(batch_norm=True), random_pictures(count)
    result = nps.evaluate(model, pictures, mean=0.5, std=(0.5, 0.25, 1.0))
    logits = model.eval().forward(normalize(pictures.images, 0.5, (0.5, 0.25, 1.0)))
    loss, _ = F.softmax_cross_entropy_forward(logits, pictures.labels)
    assert result.loss == pytest.approx(loss, rel=1e-6)
    assert result.accuracy == np.mean(logits.argmax(axis=1) == pictures.labels)
    assert_close(result.probabilities, F.softmax(logits), 1e-6)


def test_evaluating_changes_nothing():
    model, pictures = tiny_network(batch_norm=True, dropout=0.5), random_pictures(20)
    before = digest(model)
    first, second = nps.evaluate(model, pictures), nps.evaluate(model, pictures)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert digest(model) == before
    assert all(module.training for module in model.modules())
    model.eval()
    nps.evaluate(model, pictures)
    assert not any(module.training for module in model.modules())


def test_flips_average_the_logits_of_both_sides():
    model, pictures = tiny_network(width=0.25), random_pictures(7)
    x = normalize(pictures.images)
    mirrored = np.ascontiguousarray(x[..., ::-1])
    expected = F.softmax((model.eval().forward(x) + model.forward(mirrored)) / 2)
    assert_close(nps.evaluate(model, pictures, flips=True).probabilities, expected, 1e-6)
    assert not np.allclose(nps.evaluate(model, pictures).probabilities, expected, atol=1e-5)


def test_the_mode_comes_back_after_an_error():
    model, pictures = tiny_network(), random_pictures(20)
    with pytest.raises(ValueError, match="std: expected values above 0"):
        nps.evaluate(model, pictures, std=0.0)
    assert all(module.training for module in model.modules())


def test_a_network_that_knows_the_answer():
    model, pictures = tiny_network(), embedded_pictures(20)
    state = model.state_dict() | {"classifier.1.bias": 9 * np.eye(10, dtype=np.float32)[3]}
    state["classifier.1.weight"][...] = 0
    model.load_state_dict(state)
    result = nps.evaluate(model, pictures)
    assert result.accuracy == 0.1  # two of twenty are cats, and it says "cat" always
    assert result.loss == pytest.approx(np.log(np.exp(9) + 9) - 0.9)


@pytest.mark.parametrize("classes", [3, 9])
def test_other_classes_than_the_models(classes):
    with pytest.raises(ValueError, match=f"dataset: expected 10 classes, got {classes}"):
        nps.evaluate(tiny_network(), random_pictures(10, classes))


def test_pictures_that_do_not_suit():
    empty = Dataset(np.zeros((0, 3, 8, 8), np.uint8), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="N of at least 1"):
        nps.evaluate(tiny_network(), empty)
    with pytest.raises(ValueError, match="x: 8x8 pixels are too few"):
        nps.evaluate(nps.squeezenet("1.0", num_classes=10, width=0.1), random_pictures(2))


def test_the_accuracy_line():
    line = "Accuracy of the network on the 1000 test images: 65.4 %"
    assert accuracy_line(0.654, 1000) == line
    assert accuracy_line(1.0, 20).endswith("20 test images: 100.0 %")
