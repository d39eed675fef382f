"""What is inside a network has the right names, and is what the layers compute."""

import numpy as np
import pytest

from npsqueeze import inspection
from npsqueeze.inspection import activations, dead_units, inspection_table, weights
from npsqueeze.layers import Fire
from tests.strategies import assert_close, random_array
from tests.tiny import digest, tiny_network

BRANCHES = ("squeeze", "expand1x1", "expand3x3", "expand5x5")


def network(**options):
    """Return a network in float64 of which some units of fire3 cannot but be dead."""
    model = tiny_network(
        squeeze_ratio=0.5, expand={1: 0.25, 3: 0.5, 5: 0.25}, bypass="complex", **options
    ).astype(np.float64)
    for name, array in model.state_dict().items():
        if name == "features.4.expand3x3.bias":
            array[:] = (-1e3, 0.1, -1e3, 0.1)
        elif name == "features.4.expand5x5.bias":
            array[:] = (0.1, -1e3)
        else:
            continue
        dict(model.named_parameters())[name].data[...] = array
    return model


def pictures(count=2, size=16):
    return random_array((1, count), (count, 3, size, size))


def names(head):
    fires = [f"fire{number}/{branch}" for number in range(2, 10) for branch in BRANCHES]
    return ["conv1", *fires, *head]


def test_weights_by_the_papers_names():
    model = network()
    state, found = model.state_dict(), weights(model)
    assert [name for name in found if "bypass" not in name] == names(["conv10"])
    bypasses = [name for name in found if "bypass" in name]
    assert bypasses == [f"fire{number}/bypass" for number in (2, 4, 6, 8)]
    np.testing.assert_array_equal(found["conv1"], state["features.0.weight"])
    np.testing.assert_array_equal(found["fire2/expand5x5"], state["features.3.expand5x5.weight"])
    np.testing.assert_array_equal(found["fire9/squeeze"], state["features.12.squeeze.weight"])
    np.testing.assert_array_equal(found["conv10"], state["classifier.1.weight"])
    found["conv1"][...] = 0  # a copy
    assert state["features.0.weight"].any()
    assert weights(model)["conv1"].any()
    assert list(weights(tiny_network(head="linear")))[-1] == "linear10"


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}])
def test_activations_are_those_of_the_layers(options):
    model, x = network(final_relu=True, **options), pictures()
    found = activations(model, x)
    assert list(found) == names(["conv10"])
    number, y = 1, x
    for layer in model.eval().features.layers.values():
        inputs, y = y, layer.forward(y)
        if not isinstance(layer, Fire):
            continue
        number += 1
        joined = np.concatenate([found[f"fire{number}/{name}"] for name in BRANCHES[1:]], axis=1)
        shortcut = 0
        if layer.bypass == "simple":
            shortcut = inputs
        elif layer.bypass == "complex":
            shortcut = layer.layers["bypass"].forward(inputs)
        assert_close(joined + shortcut, y, 1e-12)
        squeezed = layer.layers["squeeze"].forward(inputs)
        if options:
            squeezed = layer.layers["squeeze_norm"].forward(squeezed)
        assert_close(found[f"fire{number}/squeeze"], np.maximum(squeezed, 0), 1e-12)
    assert number == 9
    assert_close(found["conv10"].mean(axis=(2, 3)), model.forward(x), 1e-12)


def test_activations_leave_the_network_as_it_is():
    model = network(batch_norm=True)
    before = digest(model)
    activations(model, pictures())
    assert model.training
    assert digest(model) == before
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        model.backward(np.zeros((2, 10)))


def test_dead_units():
    dead = dead_units(network(), pictures())
    assert dead["fire3/expand3x3"].tolist() == [True, False, True, False]
    assert dead["fire3/expand5x5"].tolist() == [False, True]
    for name, y in activations(network(), pictures()).items():
        np.testing.assert_array_equal(dead[name], y.max(axis=(0, 2, 3)) <= 0)


def test_a_unit_is_dead_on_all_pictures_of_all_batches(monkeypatch):
    model, x = network(), pictures(5)
    each = [dead_units(model, x[i : i + 1]) for i in range(5)]
    whole = dead_units(model, x)
    monkeypatch.setattr(inspection, "BATCH_SIZE", 2)
    batched = dead_units(model, x)
    for name, silent in whole.items():
        np.testing.assert_array_equal(silent, np.all([one[name] for one in each], axis=0))
        np.testing.assert_array_equal(silent, batched[name])
    assert any((whole[name] != each[0][name]).any() for name in whole)


def test_the_table():
    model = network()
    dead = {name: np.zeros(len(w), bool) for name, w in weights(model).items()}
    del dead["conv10"]
    dead["fire3/expand3x3"][[0, 2]] = True
    headings, _, *rows = inspection_table(model, dead).splitlines()
    assert headings.split() == ["layer", "weights", "mean", "std", "dead", "units"]
    lines = {row.split()[0]: row.split()[1:] for row in rows}
    w = weights(model)["fire3/expand3x3"]
    assert lines["fire3/expand3x3"] == [
        "4x4x3x3", f"{w.mean():.4f}", f"{w.std():.4f}", "2", "of", "4",
    ]  # fmt: skip
    assert len(lines["conv10"]) == 3
    assert list(lines) == list(weights(model))


@pytest.mark.parametrize("look", [activations, dead_units])
def test_errors(look):
    with pytest.raises(TypeError, match="x: expected an array of float64"):
        look(network(), pictures().astype(np.float32))
    with pytest.raises(ValueError, match="x: expected shape"):
        look(network(), np.zeros((0, 3, 16, 16)))
