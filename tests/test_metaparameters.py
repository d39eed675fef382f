"""Metaparameters: which are refused, what plain types they become, which filters they give."""

import json
import math

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.layers import Fire
from npsqueeze.metaparameters import fire_channels
from tests.tiny import digest, tiny_network


def test_a_config_is_plain_json_whatever_numbers_come():
    given = {
        "version": np.str_("cifar"), "num_classes": np.int64(10), "seed": np.uint8(3),
        "batch_norm": np.True_, "bypass": np.str_("simple"), "final_relu": np.False_,
        "dropout": np.float32(0.25), "stem": np.array([32, 3, 1, 1]), "pool_after": {np.int8(1), 3},
        "base_e": np.int16(64), "incr_e": np.int32(32), "freq": np.uint64(4),
        "squeeze_ratio": np.float16(0.5), "expand": {np.int64(1): np.float64(0.5), 3: 0.5},
        "width": 1,
    }  # fmt: skip
    plain = {
        "version": "cifar", "num_classes": 10, "seed": 3,
        "batch_norm": True, "bypass": "simple", "head": "conv", "final_relu": False,
        "dropout": 0.25, "stem": (32, 3, 1, 1), "pool_after": (1, 3),
        "base_e": 64, "incr_e": 32, "freq": 4,
        "squeeze_ratio": 0.5, "expand": {1: 0.5, 3: 0.5},
        "width": 1.0, "init": "he",
    }  # fmt: skip
    model = nps.squeezenet(**given)
    assert repr(model.config) == repr(plain)  # np.int64(10) == 10, but has another repr
    again = nps.squeezenet(**json.loads(json.dumps(model.config)))
    assert again.config == model.config
    assert digest(again) == digest(model)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "version": ["2.0", None, [], 2],
        "num_classes": [0, -1, 10.0, "10", None, True, [10]],
        "seed": [-1, 0.5, "0", np.float64(1)],
        "batch_norm": [1, "no", []],
        "bypass": ["all", "", ["none"], True],
        "head": ["mean", 1, np.array(["conv", "linear"])],
        "final_relu": ["yes", 0],
        "init": ["zeros", {}],
        "dropout": [-0.1, 1.0, math.nan, "x", "0.5", [0.5], 0.5j],
        "stem": [(64, 3, 1), (64, 3, 1, 1, 1), (0, 3, 1, 1), (64, 0, 1, 1), (64, 3, 0, 1),
                 (64, 3, 1, -1), (64.0, 3, 1, 1), 64, "6431", (64, (3, 3), 1, 1), (True, 3, 1, 1)],
        "pool_after": [(0,), (10,), (1, 2.5), 3, "3", (None,)],
        "base_e": [0, 128.0, np.array([1, 2])],
        "incr_e": [-1, "128"],
        "freq": [0, 1.5],
        "squeeze_ratio": [0.0, 1.1, math.nan, "half"],
        "expand": [{}, {1: 0.5}, {1: 0.5, 2: 0.5}, {1: 1.5, 3: -0.5}, {-1: 0.5, 3: 0.5},
                   {1: math.nan, 3: 0.5}, {1: 0.001, 3: 0.999}, 0.5, "13", [0.5, 0.5],
                   {1: 0.5, 3.7: 0.5}, {1: 0.5, "three": 0.5}, {1: 0.5, 3: "0.5"}],
        "width": [0.0, -1.0, math.nan, math.inf, 10**400, "1"],
    }.items(),
)  # fmt: skip
def test_metaparameters_out_of_range(name, values):
    for value in values:
        version, options = (value, {}) if name == "version" else ("cifar", {name: value})
        with pytest.raises(ValueError, match=f"^{name}: expected ") as caught:
            nps.squeezenet(version, **({"num_classes": 10, "seed": 0} | options))
        assert "\n" not in str(caught.value)


def test_other_wrong_metaparameters():
    with pytest.raises(ValueError, match="final_relu: expected False for this head, got True"):
        tiny_network(head="linear", final_relu=True)
    with pytest.raises(ValueError, match="expand: expected at least one filter of each kernel"):
        tiny_network(width=0.005)
    with pytest.raises(TypeError, match="depth"):
        nps.squeezenet("cifar", depth=9)


def test_the_fire_modules_of_the_paper():
    config = nps.squeezenet("1.0", seed=0).config
    expected = [(16 * k, {1: 64 * k, 3: 64 * k}) for k in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert [fire_channels(config, i) for i in range(8)] == expected


@pytest.mark.parametrize(
    ("options", "i", "expected"),
    [
        ({"squeeze_ratio": 0.5}, 0, (64, {1: 64, 3: 64})),
        ({"base_e": 100, "incr_e": 30, "freq": 3}, 7, (20, {1: 80, 3: 80})),
        ({"expand": {1: 0.5, 3: 0.25, 5: 0.25}}, 1, (16, {1: 64, 3: 32, 5: 32})),
        ({"expand": {1: 0.0, 3: 1.0}}, 0, (16, {3: 128})),
        ({"expand": {1: 0.1, 3: 0.9}, "base_e": 12}, 0, (2, {1: 1, 3: 11})),
        ({"width": 0.5}, 6, (32, {1: 128, 3: 128})),
        ({"width": 0.02, "squeeze_ratio": 0.01}, 0, (1, {1: 2, 3: 1})),
    ],
)
def test_metaparameters_decide_the_filters(options, i, expected):
    model = nps.squeezenet("cifar", num_classes=10, seed=0, **options)
    assert fire_channels(model.config, i) == expected
    fire = [layer for layer in model.features.layers.values() if isinstance(layer, Fire)][i]
    state = fire.state_dict()
    assert len(state["squeeze.weight"]) == expected[0]
    for size, count in expected[1].items():
        assert state[f"expand{size}x{size}.weight"].shape == (count, expected[0], size, size)
