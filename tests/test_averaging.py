"""The average over the steps: by hand on a layer whose weights are known."""

import numpy as np

from npsqueeze.averaging import Average
from npsqueeze.layers import BatchNorm2d


def test_it_is_the_average_and_forgets_the_first_weights_soon():
    layer = BatchNorm2d(2)
    average = Average(layer, 0.5)
    expected = layer.state_dict()
    draw = np.random.default_rng(0)
    for step, decay in enumerate(
        [0.1, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4, 7 / 16, 8 / 17, 0.5, 0.5]
    ):
        for name, member in layer.named_state():
            member.data[...] = draw.normal(size=2)
            expected[name] = decay * expected[name] + (1 - decay) * member.data
        average.update(step)
        for name, array in expected.items():
            np.testing.assert_allclose(average.state[name], array, rtol=1e-5)
    assert set(expected) == {"weight", "bias", "running_mean", "running_var"}


def test_the_model_has_it_for_a_while_only():
    layer = BatchNorm2d(2)
    average = Average(layer, 0.9)
    layer.weight.data[...] = 3
    with average.applied():
        np.testing.assert_array_equal(layer.weight.data, [1, 1])
    np.testing.assert_array_equal(layer.weight.data, [3, 3])
    np.testing.assert_array_equal(average.state["weight"], [1, 1])
