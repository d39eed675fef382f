"""The first number that is not finite is found, on either road."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.divergence import first_bad_array, first_bad_gradient, first_cause
from tests import tiny
from tests.tiny import tiny_network

one_thread = tiny.one_thread

X = np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32)


@pytest.fixture(params=["compiled", "layers"])
def engine(request):
    return request.param


def network(model, engine):
    """Return the plan or the model itself, after a forward pass."""
    road = nps.compile(model, X.shape) if engine == "compiled" else model
    with np.errstate(all="ignore"):
        road.forward(X)
    return road


def cause(road):
    with np.errstate(all="ignore"):
        return first_cause(road, X)


def test_nothing_is_wrong(engine):
    assert cause(network(tiny_network(), engine)) == "all weights and activations are finite"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights(engine, value):
    model = tiny_network(batch_norm=True)
    weights = dict(model.named_parameters())
    weights["classifier.1.bias"].data[3] = np.nan
    weights["features.4.expand3x3.weight"].data[0, 0, 1, 1] = value
    expected = "the weights features.4.expand3x3.weight are not finite"
    assert cause(network(model, engine)) == expected


@pytest.mark.parametrize("layer", ["features.0", "features.6", "classifier.1"])
def test_activations_that_overflow(engine, layer):
    model = tiny_network(dropout=0.0)
    weights = dict(model.named_parameters())
    for name, parameter in weights.items():
        if name.endswith("bias"):
            parameter.data[...] = 1  # so that no layer before is silent
    first = f"{layer}.squeeze.weight" if layer == "features.6" else f"{layer}.weight"
    weights[first].data[...] = 3e38  # finite, as all weights are; sums of it are not
    found = cause(network(model, engine))
    assert found.startswith("the first activations that are not finite are those of ")
    assert found.split()[-1].startswith(layer)


def test_gradients(engine):
    model = tiny_network()
    road = network(model, engine)
    road.backward(np.ones((4, 10), np.float32))
    assert first_bad_gradient(model) is None
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    gradients["features.0.weight"].flat[0] = np.nan
    assert first_bad_gradient(model) == "features.0.weight"
    gradients["features.12.squeeze.bias"][0] = -np.inf  # computed before
    assert first_bad_gradient(model) == "features.12.squeeze.bias"


def test_arrays():
    arrays = {"a": np.ones(3), "step": np.array(7), "b": np.array([1, np.inf])}
    assert first_bad_array(arrays) == "b"
    del arrays["b"]
    assert first_bad_array(arrays) is None
