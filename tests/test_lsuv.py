"""Layer-sequential unit variance: every layer's answer has variance 1, whatever the network."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze import layers
from npsqueeze.functional import fire
from npsqueeze.lsuv import TOLERANCE, lsuv, orthonormal


@pytest.mark.parametrize("options", [{}, {"bypass": "complex", "head": "linear"}])
def test_every_layer_answers_with_unit_variance(options, monkeypatch):
    model = nps.squeezenet("cifar", num_classes=10, seed=0, width=0.25, **options).eval()
    x = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32)
    lsuv(model, x, seed=1)
    answers = []
    for module in (fire, layers.F):  # what convolutions of the network itself answer

        def listen(*arguments, _forward=module.conv2d_forward, **options):
            answers.append(_forward(*arguments, **options))
            return answers[-1]

        monkeypatch.setattr(module, "conv2d_forward", listen)
    logits = model.forward(x)
    assert len(answers) >= 25
    for y, _ in answers:
        assert abs(y.std() - 1) < TOLERANCE
    assert logits.dtype == np.float32
    if options:
        assert abs(logits.std() - 1) < TOLERANCE


def test_batch_normalisation_is_refused():
    model = nps.squeezenet("cifar", num_classes=10, seed=0, width=0.25, batch_norm=True)
    with pytest.raises(ValueError, match="model: expected one without batch norm"):
        lsuv(model, np.zeros((2, 3, 32, 32), np.float32))


@pytest.mark.parametrize("shape", [(5, 2, 3, 3), (20, 2, 1, 1), (4, 9)])
def test_directions_are_orthonormal(shape):
    weight = orthonormal(shape, np.random.default_rng(0)).reshape(shape[0], -1)
    if len(weight) > weight.shape[1]:
        weight = weight.T
    np.testing.assert_allclose(weight @ weight.T, np.eye(len(weight)), atol=1e-12)


def test_a_network_that_answers_nothing_is_named():
    model = nps.squeezenet("cifar", num_classes=10, seed=0, width=0.25)
    with pytest.raises(ValueError, match=r"x: expected answers that differ, got .* 0\.0"):
        lsuv(model, np.zeros((2, 3, 32, 32), np.float32))
