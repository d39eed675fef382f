"""Names and shapes tell the network, as far as they can."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npsqueeze.interop.inference import _factor, infer_metaparameters
from npsqueeze.metaparameters import VERSIONS
from npsqueeze.state_shapes import check_state, state_shapes

INVISIBLE = ("seed", "dropout", "init")


def shapes_of(version, **options):
    return state_shapes({"version": version, "num_classes": 1000} | options)


@pytest.mark.parametrize(
    ("version", "options", "size"),
    [
        ("1.0", {}, None),
        ("1.1", {}, None),
        ("1.1", {"num_classes": 10}, 224),
        ("cifar", {"num_classes": 10}, None),
        ("cifar", {"num_classes": 100}, 32),
        ("cifar", {"num_classes": 10, "batch_norm": True, "bypass": "complex"}, None),
        ("cifar", {"num_classes": 10, "width": 0.25, "expand": {1: 0.5, 3: 0.25, 5: 0.25}}, None),
        ("cifar", {"num_classes": 10, "width": 1 / 16, "head": "linear"}, None),
        ("1.0", {"pool_after": (1, 4), "squeeze_ratio": 0.75, "num_classes": 2}, None),
        ("1.1", {"stem": (32, 3, 2, 0), "base_e": 64, "incr_e": 32, "freq": 3}, None),
        ("1.1", {"expand": {3: 1.0}, "pool_after": ()}, None),
    ],
)
def test_the_metaparameters_come_back(version, options, size):
    expected = VERSIONS[version] | {"version": version, "num_classes": 1000} | options
    if options.get("head") == "linear":
        expected["final_relu"] = False
    found = infer_metaparameters(shapes_of(version, **options), size)
    assert {name: found[name] for name in expected} == expected


@given(
    st.fixed_dictionaries(
        {
            "num_classes": st.integers(1, 12),
            "batch_norm": st.booleans(),
            "bypass": st.sampled_from(["none", "complex"]),
            "head": st.sampled_from(["conv", "linear"]),
            "stem": st.tuples(st.integers(8, 99), st.sampled_from([3, 7]), st.just(2), st.just(0)),
            "pool_after": st.sets(st.integers(1, 8), max_size=4).map(
                lambda units: tuple(sorted(units))
            ),
            "base_e": st.integers(8, 200),
            "incr_e": st.integers(0, 200),
            "freq": st.integers(1, 9),
            "squeeze_ratio": st.floats(0.05, 1),
            "expand": st.floats(0.1, 0.9).map(lambda share: {1: share, 3: 1 - share}),
        }
    )
)
@example(  # half of 9 and of 13 would be rounded down, and of 11 up
    {"num_classes": 1, "base_e": 8, "incr_e": 1, "freq": 1, "expand": {1: 0.53125, 3: 0.46875}}
)
@example(  # only one half gives all these filters
    {"num_classes": 1, "base_e": 8, "incr_e": 1, "freq": 1, "squeeze_ratio": 0.5}
)
def test_what_is_inferred_has_the_shapes(way):
    shapes = shapes_of("1.1", **way)
    assert state_shapes(infer_metaparameters(shapes)) == shapes


@given(st.floats(0.05, 3))
def test_every_width_is_found(width):
    shapes = shapes_of("1.0", width=width)
    assert state_shapes(infer_metaparameters(shapes)) == shapes


def test_the_simplest_factor():
    assert _factor("a", [(128, 16), (256, 32)], 0.125) == {"a": 0.125}
    assert _factor("a", [(10, 3), (100, 33)], 0.5) == {"a": 1 / 3}
    assert _factor("a", [(4, 8)], 0.5) == {"a": 2.0}
    assert _factor("a", [(4, 1)], 0.001) == {"a": 0.001}  # never fewer than one filter
    assert _factor("a", [(10, 5), (100, 90)], 0.5) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.0.weight": None}, "features.0.weight: expected among the weights"),
        ({"features.0.weight": (64, 3, 5, 5)}, "filters of 7x7 or 3x3, got shape .*5, 5"),
        ({"features.0.weight": (64, 3, 3)}, "features.0.weight: expected 4 dimensions"),
        ({"features.0.weight": (0, 3, 3, 3)}, "features.0.weight: expected 4 dimensions, none of"),
        ({"features.0.weight": (64, 1, 3, 3)}, r"features.0.weight'\]: expected .*, got \(64, 1,"),
        ({"classifier.1.weight": (64,)}, "classifier.1.weight: expected 4 dimensions"),
        ({"classifier.1.bias": (9,)}, r"'classifier.1.bias'\]: expected shape \(1000,\), got"),
        ({"features.4.squeeze.weight": None}, "missing: features.4.squeeze.weight; unknown: none"),
        ({"features.4.expand3x3.weight": None}, "missing: features.4.expand3x3.weight"),
        ({"features.4.expand5x5.weight": (1, 1, 5, 5)}, "unknown: features.4.expand5x5.weight"),
        ({"features.4.expand2x2.weight": (1, 1, 2, 2)}, "unknown: features.4.expand2x2.weight"),
        ({"features.4.squeeze.weight": (99, 128, 1, 1)}, r"4.squeeze.weight'\]: .* got \(99, 128"),
        ({"features.4.squeeze.weight": (0, 128, 1, 1)}, r"4.squeeze.weight'\]: .* got \(0, 128"),
        ({"features.4.squeeze.weight": ()}, r"4.squeeze.weight'\]: .* got \(\)"),
        ({"features.4.expand1x1.weight": ()}, r"4.expand1x1.weight'\]: .* got \(\)"),
        ({"features.4.expand1x1.weight": (9, 16, 1, 1)}, r"4.expand1x1.weight'\]: .* got \(9, 16"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    shapes = shapes_of("1.1") | change
    shapes = {name: shape for name, shape in shapes.items() if shape is not None}
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=message):
        check_state(state, infer_metaparameters(shapes))


def test_fire_modules_too_far_apart():
    shapes = {
        name.replace("features.12.", "features.20."): shape
        for name, shape in shapes_of("1.1").items()
    }
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=r"missing: features.12.* unknown: features.20."):
        check_state(state, infer_metaparameters(shapes))
