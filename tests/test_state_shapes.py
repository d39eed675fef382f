"""Names and shapes without a network are those of the network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze.state_shapes import check_state, state_shapes

WAYS = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["1.0", "1.1", "cifar"]),
        "num_classes": st.integers(1, 12),
        "batch_norm": st.booleans(),
        "bypass": st.sampled_from(["none", "simple", "complex"]),
        "head": st.sampled_from(["conv", "linear"]),
        "pool_after": st.sets(st.integers(1, 9), max_size=4).map(
            lambda units: tuple(sorted(units))
        ),
        "expand": st.sampled_from([{1: 0.5, 3: 0.5}, {1: 0.5, 3: 0.25, 5: 0.25}, {3: 1.0}]),
        "width": st.sampled_from([1 / 16, 0.1, 0.3]),
        "squeeze_ratio": st.sampled_from([0.125, 0.3, 0.75]),
    }
)


@given(WAYS)
def test_they_are_the_networks(way):
    model = nps.squeezenet(seed=0, **way)
    state = model.state_dict()
    assert state_shapes(model.config) == {name: array.shape for name, array in state.items()}
    assert list(state_shapes(model.config)) == list(state)
    check_state(state, model.config)


def test_what_differs_is_named():
    config = nps.squeezenet("1.1", seed=0).config
    state = nps.squeezenet("1.1", seed=0).state_dict()
    with pytest.raises(ValueError, match=r"'classifier.1.weight'\]: expected shape \(7, 512, 1, 1"):
        check_state(state, config | {"num_classes": 7})
    with pytest.raises(ValueError, match="unknown: a"):
        check_state(state | {"a": np.ones(1)}, config)


def test_a_network_that_would_fill_the_memory_costs_nothing():
    config = nps.squeezenet("1.1", seed=0).config | {"width": 1e5}
    assert state_shapes(config)["features.3.squeeze.weight"] == (1_600_000, 6_400_000, 1, 1)
