"""The paper's names stand at the right layers, whatever the network's options."""

import pytest

from npsqueeze.layers import Fire
from npsqueeze.units import named_units
from tests.tiny import tiny_network

FIRE = [f"fire{number}" for number in range(2, 10)]


@pytest.mark.parametrize(
    ("options", "stem", "pools", "head"),
    [
        ({}, ["conv1", "relu1"], (1, 3, 5), ["dropout9", "conv10", "avgpool10"]),
        (
            {"batch_norm": True, "final_relu": True, "pool_after": (4, 9)},
            ["conv1", "norm1", "relu1"], (4, 9), ["dropout9", "conv10", "relu10", "avgpool10"],
        ),
        (
            {"head": "linear", "pool_after": ()},
            ["conv1", "relu1"], (), ["avgpool10", "dropout9", "linear10"],
        ),
    ],
)  # fmt: skip
def test_names_in_their_order(options, stem, pools, head):
    model = tiny_network(**options)
    names, units, layers = zip(*named_units(model), strict=True)
    expected = list(stem)
    for number, fire in enumerate(["", *FIRE], start=1):
        expected += [fire] if fire else []
        expected += [f"maxpool{number}"] if number in pools else []
    assert list(units) == expected + head
    assert [unit for unit, layer in zip(units, layers, strict=True) if isinstance(layer, Fire)] == (
        FIRE
    )
    state = {name.rpartition(".")[0] for name in model.state_dict()}
    own = {
        name for name, layer in zip(names, layers, strict=True)
        if layer.parameters() and not isinstance(layer, Fire)
    }  # fmt: skip
    assert own <= state
