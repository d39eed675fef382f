"""The maps are what their formulas say, and the network is as it was before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.explaining import class_activation_map, grad_cam, saliency
from tests.strategies import assert_close, random_array, seeds
from tests.tiny import digest, tiny_network

MAPS = (class_activation_map, grad_cam, saliency)
LABELS = np.array([3, 0, 3])


def pictures(seed=0, size=16, dtype=np.float64):
    return random_array((seed, 5), (3, 3, size, size), dtype)


def network(**options):
    """Return a network in float64 that is alive, and whose biases, too, are not zero."""
    options = {"squeeze_ratio": 0.5} | options
    model = tiny_network(**options).astype(np.float64).eval()
    for number, parameter in enumerate(model.parameters()):
        if parameter.data.ndim == 1:
            parameter.data += 0.1 * random_array((7, number), parameter.data.shape)
    for number, (name, buffer) in enumerate(model.named_state()):
        if name.endswith("running_var"):
            buffer.data *= np.exp(random_array((8, number), buffer.data.shape))
    return model


options = st.fixed_dictionaries(
    {
        "head": st.sampled_from(["conv", "linear"]),
        "batch_norm": st.booleans(),
        "bypass": st.sampled_from(["none", "simple", "complex"]),
        "pool_after": st.sampled_from([(), (1, 5), (1, 3, 9)]),
        "seed": st.integers(0, 100),
    }
)


@given(options, seeds)
def test_the_mean_of_the_class_activation_map_is_the_logit(options, seed):
    model, x = network(**options), pictures(seed)
    logits = model.forward(x)[np.arange(3), LABELS]
    assert_close(class_activation_map(model, x, LABELS).mean(axis=(1, 2)), logits, 1e-12)


def test_the_class_activation_map_behind_a_relu():
    model, x = network(final_relu=True), pictures()
    logits = model.forward(x)
    for label in range(10):
        maps = class_activation_map(model, x, np.full(3, label))
        assert maps.min() >= 0
        assert_close(maps.mean(axis=(1, 2)), logits[:, label], 1e-12)
    assert logits.max() > 0


@given(options, seeds)
def test_grad_cam_is_the_positive_part_of_the_class_activation_map(options, seed):
    options |= {"pool_after": (1, 5)}  # no pooling after the last Fire module
    model, x = network(**options), pictures(seed)
    maps = class_activation_map(model, x, LABELS)
    bias = model.state_dict()["classifier.1.bias"][LABELS, None, None]
    expected = np.maximum(maps - bias, 0) / maps[0].size
    np.testing.assert_allclose(grad_cam(model, x, LABELS), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("final_relu", [False, True])
@pytest.mark.parametrize("pool_after", [(1, 3, 5), (1, 9)])
def test_grad_cam_by_its_formula(final_relu, pool_after):
    """Alpha is found by moving a whole channel of the last Fire module, one after the other."""
    model = network(final_relu=final_relu, pool_after=pool_after)
    x = pictures(size=24)
    layers = list(model.features.layers.values())
    pooled = 9 in pool_after
    a = x
    for layer in layers[: len(layers) - pooled]:
        a = layer.forward(a)

    def logits(a):
        return model.classifier.forward(layers[-1].forward(a) if pooled else a)

    labels = logits(a).argmax(axis=1)
    step, expected = 1e-6, np.zeros_like(a[:, 0])
    for k in range(a.shape[1]):
        moved = np.zeros_like(a)
        moved[:, k] = step
        slope = (logits(a + moved) - logits(a - moved))[np.arange(3), labels] / (2 * step)
        expected += slope[:, None, None] / a[0, 0].size * a[:, k]
    assert_close(grad_cam(model, x, labels), np.maximum(expected, 0), 1e-6)
    assert (expected.max(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize(
    "options", [{}, {"batch_norm": True, "bypass": "simple", "head": "linear"}]
)
def test_saliency_against_difference_quotients(options):
    model, x = network(**options), pictures(size=12)
    maps = saliency(model, x, LABELS)
    assert maps.shape == (3, 12, 12)
    step = 1e-6
    for row, column in ((0, 0), (5, 7), (11, 3), (6, 6)):
        slopes = []
        for colour in range(3):
            moved = np.zeros_like(x)
            moved[:, colour, row, column] = step
            difference = model.forward(x + moved) - model.forward(x - moved)
            slopes.append(difference[np.arange(3), LABELS] / (2 * step))
        assert_close(maps[:, row, column], np.abs(slopes).max(axis=0), 1e-5)


@pytest.mark.parametrize("explain", MAPS)
def test_the_network_stays_as_it_was(explain):
    model = tiny_network(batch_norm=True, dropout=0.5)
    x = pictures(dtype=np.float32)
    dlogits = np.ones_like(model.forward(x))
    model.backward(dlogits)
    gradients = [parameter.grad.copy() for parameter in model.parameters()]
    state, step = digest(model), model.classifier.layers["0"].step

    maps = explain(model, x, LABELS)
    assert maps.dtype == np.float32
    assert model.training
    assert (digest(model), model.classifier.layers["0"].step) == (state, step)
    for parameter, before in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, before)
    # the pass before can still be differentiated
    model.zero_grad()
    model.backward(dlogits)
    for parameter, before in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, before)
    # and the map is that of inference, though the network is in training
    np.testing.assert_array_equal(maps, explain(model.eval(), x, LABELS))


@pytest.mark.parametrize("explain", MAPS)
def test_each_picture_by_itself(explain):
    model, x = network(), pictures()
    whole = explain(model, x, LABELS)
    assert not np.allclose(whole[0], explain(model, x, np.array([5, 0, 3]))[0])
    for i in range(3):
        assert_close(explain(model, x[i : i + 1], LABELS[i : i + 1])[0], whole[i], 1e-10)


@pytest.mark.parametrize("explain", MAPS)
def test_errors(explain):
    model, x = tiny_network(), pictures(dtype=np.float32)
    for labels in ([3, 0], [3, 0, 10], [-1, 0, 0], [[1, 2, 3]]):
        with pytest.raises(ValueError, match="labels: expected 3 numbers from 0 to 9"):
            explain(model, x, np.array(labels))
    with pytest.raises(TypeError, match="labels: expected integers, got float64"):
        explain(model, x, LABELS / 1)
    with pytest.raises(TypeError, match="x: expected an array of float32"):
        explain(model, x.astype(np.float64), LABELS)
    with pytest.raises(ValueError, match="x: expected shape"):
        explain(model, x[0], LABELS)
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        explain(model, x * np.inf, LABELS)
