import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import fire_backward, fire_forward
from tests.functional_checks import (
    assert_all_close,
    check_layouts,
    torch_results,
    without_cancellation,
)
from tests.strategies import dtypes, random_array, seeds

STATISTICS = ("running_mean", "running_var")
FILTERS = 2  # of each branch

cases = {
    "n": st.integers(1, 2),
    "size": st.tuples(st.integers(1, 5), st.integers(1, 5)),
    "expand": st.sampled_from([(1, 3), (1, 3, 5), (3,)]),
    "bypass": st.sampled_from(["none", "simple", "complex"]),
    "seed": seeds,
}


def make_parameters(seed, channels, expand, bypass, batch_norm=False):
    shapes = {"squeeze": (3, channels, 1, 1)}
    # From the largest to the smallest: the order of the names must not matter.
    shapes |= {f"expand{k}x{k}": (FILTERS, 3, k, k) for k in reversed(expand)}
    if bypass == "complex":
        shapes["bypass"] = (FILTERS * len(expand), channels, 1, 1)
    if batch_norm:
        shapes |= {"squeeze_norm": (3,), "expand_norm": (FILTERS * len(expand),)}
    parameters = {}
    for index, (name, shape) in enumerate(shapes.items()):
        parameters[f"{name}.weight"] = random_array((seed, index, 0), shape)
        parameters[f"{name}.bias"] = random_array((seed, index, 1), shape[:1])
        if name.endswith("norm"):
            parameters[f"{name}.running_mean"] = random_array((seed, index, 2), shape)
            parameters[f"{name}.running_var"] = random_array((seed, index, 3), shape) ** 2
    return parameters


def make_case(n, size, expand, bypass, seed, batch_norm=False):
    """Return x, the parameters and a random dy."""
    filters = FILTERS * len(expand)
    channels = filters if bypass == "simple" else 3
    parameters = make_parameters(seed, channels, expand, bypass, batch_norm)
    x = random_array((seed, 90), (n, channels, *size))
    return x, parameters, random_array((seed, 91), (n, filters, *size))


def fire(x, parameters, dy, bypass, training=True):
    """Return y, dx and the gradients, in the order of the parameters."""
    y, cache = fire_forward(x, parameters, bypass, training)
    dx, gradients = fire_backward(dy, cache)
    names = [name for name in parameters if not name.endswith(STATISTICS)]
    assert gradients.keys() == set(names)
    return [y, dx, *(gradients[name] for name in names)]


def loops(x, parameters, dy, bypass, training=True):
    return loops_with_statistics(x, parameters, dy, bypass, training)[0]


def torchs(x, parameters, dy, bypass, training=True):
    return torchs_with_statistics(x, parameters, dy, bypass, training)[0]


def loops_with_statistics(x, parameters, dy, bypass, training):
    """Return the results of `fire` from the reference, and the running statistics afterwards."""
    parameters = {name: array.copy() for name, array in parameters.items()}
    y = reference.fire(x, parameters, bypass, training)
    dx, gradients = reference.fire_backward(dy, x, parameters, bypass, training)
    statistics = {k: v for k, v in parameters.items() if k.endswith(STATISTICS)}
    results = [y, dx, *(gradients[name] for name in parameters if name not in statistics)]
    return results, statistics


def torchs_with_statistics(x, parameters, dy, bypass, training):
    """Return the results of `fire` from PyTorch, and the running statistics afterwards."""
    torch = pytest.importorskip("torch")
    names = [name for name in parameters if not name.endswith(STATISTICS)]
    buffers = {k: torch.tensor(v) for k, v in parameters.items() if k.endswith(STATISTICS)}
    expand = [f"expand{k}x{k}" for k in (1, 3, 5) if f"expand{k}x{k}.weight" in names]

    def forward(F, x, *leaves):
        leaf = dict(zip(names, leaves, strict=True))

        def conv(name, x):
            w = leaf[f"{name}.weight"]
            return F.conv2d(x, w, leaf.get(f"{name}.bias"), padding=w.shape[-1] // 2)

        def norm(name, x):
            if f"{name}.weight" not in leaf:
                return x
            mean, var = (buffers[f"{name}.{part}"] for part in STATISTICS)
            return F.batch_norm(
                x, mean, var, leaf[f"{name}.weight"], leaf[f"{name}.bias"], training
            )

        squeezed = norm("squeeze_norm", conv("squeeze", x)).relu()
        joined = torch.cat([conv(name, squeezed) for name in expand], dim=1)
        y = norm("expand_norm", joined).relu()
        if bypass == "simple":
            return y + x
        return y + conv("bypass", x) if bypass == "complex" else y

    arrays = [x, *(parameters[name] for name in names)]
    return torch_results(forward, arrays, dy), {k: v.numpy() for k, v in buffers.items()}


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(**cases, dtype=dtypes)
def test_fire_is_that_of_the_oracle(oracle, n, size, expand, bypass, seed, dtype):
    x, parameters, dy = make_case(n, size, expand, bypass, seed)
    x, dy = (without_cancellation(a.astype(dtype)) for a in (x, dy))
    parameters = {k: without_cancellation(v.astype(dtype)) for k, v in parameters.items()}
    actual = fire(x, parameters, dy, bypass)
    assert_all_close(actual, oracle(x, parameters, dy, bypass), dtype)


@pytest.mark.parametrize("oracle", [loops_with_statistics, torchs_with_statistics])
@given(**cases, training=st.booleans())
def test_fire_with_batch_norm_is_that_of_the_oracle(
    oracle, n, size, expand, bypass, seed, training
):
    size = (size[0] + 1, size[1] + 2)  # the moments need some pixels
    x, parameters, dy = make_case(n, size, expand, bypass, seed, batch_norm=True)
    for name in ("squeeze", *(f"expand{k}x{k}" for k in expand)):
        del parameters[f"{name}.bias"]  # the mean swallows it: its gradient is rounding error
    expected, statistics = oracle(x, parameters, dy, bypass, training)
    assert_all_close(fire(x, parameters, dy, bypass, training), expected, np.float64)
    updated = [parameters[name] for name in statistics]
    assert_all_close(updated, statistics.values(), np.float64)


def test_a_module_of_squeezenet_in_float32():
    # Whole numbers, which float32 adds up without error: no ReLU is on the other side of its kink.
    shapes = {
        "squeeze": (16, 96, 1, 1),
        "expand1x1": (64, 16, 1, 1),
        "expand3x3": (64, 16, 3, 3),
    }
    parameters = {}
    for name, shape in shapes.items():
        parameters[f"{name}.weight"] = random_array(0, shape).round()
        parameters[f"{name}.bias"] = random_array(1, shape[:1]).round()
    x, dy = random_array(2, (2, 96, 27, 27)).round(), random_array(3, (2, 128, 27, 27)).round()
    expected = torchs(x, parameters, dy, "none")
    single = {name: array.astype(np.float32) for name, array in parameters.items()}
    actual = fire(x.astype(np.float32), single, dy.astype(np.float32), "none")
    assert_all_close(actual, expected, np.float32)


def test_a_bias_is_optional():
    x, parameters, dy = make_case(2, (4, 3), (1, 3), "complex", seed=0)
    weights = {k: v for k, v in parameters.items() if k.endswith("weight")}
    zeros = {k: np.zeros_like(v) for k, v in parameters.items() if k.endswith("bias")}
    actual = fire(x, weights, dy, "complex")
    with_zeros = fire(x, weights | zeros, dy, "complex")
    assert_all_close(actual, with_zeros[: len(actual)], np.float64)


@pytest.mark.parametrize("bypass", ["none", "simple", "complex"])
def test_float32_stays_float32(bypass):
    x, parameters, dy = make_case(2, (4, 3), (1, 3), bypass, seed=0, batch_norm=True)
    single = {name: array.astype(np.float32) for name, array in parameters.items()}
    results = fire(x.astype(np.float32), single, dy.astype(np.float32), bypass)
    assert {array.dtype for array in (*results, *single.values())} == {np.dtype(np.float32)}


@pytest.mark.parametrize("bypass", ["none", "simple", "complex"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(bypass, dtype):
    x, parameters, dy = make_case(2, (4, 3), (1, 3), bypass, seed=0)

    def operation(x, dy, *arrays):
        return fire(x, dict(zip(parameters, arrays, strict=True)), dy, bypass)

    check_layouts(operation, *(a.astype(dtype) for a in (x, dy, *parameters.values())))


def test_nan_propagates_as_in_torch():
    x, parameters, dy = make_case(2, (5, 5), (1, 3), "none", seed=3)
    x[1, 0, 2, 4] = np.nan
    actual = fire(x, parameters, dy, "none")
    assert_all_close(actual, torchs(x, parameters, dy, "none"), np.float64)
    assert np.isnan(actual[0]).sum() == FILTERS * (1 + 6)  # a pixel, and a window at the border


X, PARAMETERS, DY = make_case(2, (4, 3), (1, 3), "complex", seed=0, batch_norm=True)
REQUIRED = [
    "squeeze.weight",
    "bypass.weight",
    "squeeze_norm.bias",
    "squeeze_norm.running_mean",
    "expand_norm.running_var",
]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[0]}, ValueError, "^x: expected 4 dimensions"),
        ({"x": X[:0]}, ValueError, "^x: expected at least one element"),
        ({"x": X.astype(int)}, TypeError, "^x: "),
        ({"x": X[:, :2]}, ValueError, "^squeeze: x: expected shape"),
        ({"x": X.astype(np.float32)}, TypeError, "^squeeze: expected one dtype"),
        ({"bypass": "double"}, ValueError, "^bypass: expected one of none, simple, complex"),
        ({"bypass": None}, ValueError, "^bypass: "),
        ({"parameters": {}}, ValueError, "^parameters: expected .* got none"),
        ({"expand2x2.weight": np.ones((2, 3, 2, 2))}, ValueError, "^parameters: .* odd"),
        ({"expand3x3.weight": np.ones((2, 3, 3, 1))}, ValueError, "^expand3x3.weight: expected sh"),
        ({"expand3x3.weight": np.ones((2, 4, 3, 3))}, ValueError, "^expand3x3: x: expected shape"),
        ({"expand3x3.weight": np.ones((2, 3, 3))}, ValueError, "^expand3x3.weight: expected 4 dim"),
        ({"expand3x3.weight": [1.0]}, TypeError, "^expand3x3.weight: .* got list"),
        ({"expand1x1.bias": np.ones(3)}, ValueError, "^expand1x1: b: expected shape"),
        ({"squeeze.weight": np.ones((3, 3, 3, 3))}, ValueError, "^squeeze.weight: expected shape"),
        ({"bypass.weight": np.ones((4, 3, 3, 3))}, ValueError, "^bypass.weight: expected shape"),
        ({"squeeze_norm.weight": np.ones(4)}, ValueError, "^squeeze_norm: w: expected shape"),
        ({"expand_norm.running_var": np.ones(2)}, ValueError, "^expand_norm: running_var: "),
        ({"squeeze.bias": np.ones(3, np.float32)}, TypeError, "^squeeze: .* b float32"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    arguments = {"x": X, "bypass": "complex", "parameters": PARAMETERS}
    arguments |= {name: value for name, value in changes.items() if name in arguments}
    arguments["parameters"] = dict(arguments["parameters"]) | {
        name: value for name, value in changes.items() if name not in arguments
    }
    with pytest.raises(error, match=message):
        fire_forward(**arguments)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_parameter_is_named(name):
    parameters = {k: v for k, v in PARAMETERS.items() if k != name}
    with pytest.raises(ValueError, match=f"^parameters: expected {name}, got none without a use"):
        fire_forward(X, parameters, "complex")


UNUSED = [
    "expand3x5.weight",
    "expand5x5.bias",
    "expand1x1.weights",
    "squeeze.running_mean",
    "squeeze_norm.momentum",
    "weight",
]


@pytest.mark.parametrize("name", UNUSED)
def test_a_parameter_without_a_use_is_named_and_nothing_updated(name):
    statistics = {k: v.copy() for k, v in PARAMETERS.items() if k.endswith(STATISTICS)}
    parameters = PARAMETERS | {name: np.ones(4)}
    with pytest.raises(ValueError, match=f"^parameters: expected no more, got {name} without a"):
        fire_forward(X, parameters, "complex")
    for updated, array in statistics.items():
        np.testing.assert_array_equal(PARAMETERS[updated], array)


def test_a_bypass_convolution_needs_the_complex_bypass():
    message = r"got bypass.bias, bypass.weight without a use \(bypass 'none'\)$"
    with pytest.raises(ValueError, match=message):
        fire_forward(X, PARAMETERS, "none")


def test_a_simple_bypass_cannot_change_the_channels():
    x, parameters, _ = make_case(2, (4, 3), (1, 3), "none", seed=0)
    with pytest.raises(ValueError, match=r"^x .*simple bypass.*: expected shape \(2, 4, 4, 3\)"):
        fire_forward(x, parameters, "simple")


def test_batch_norm_is_all_or_nothing():
    parameters = {k: v for k, v in PARAMETERS.items() if k != "expand_norm.weight"}
    with pytest.raises(ValueError, match=r"^parameters: expected expand_norm.weight, got none"):
        fire_forward(X, parameters, "complex")


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (DY[:, :3], ValueError),
        (DY[:1], ValueError),
        (DY[0], ValueError),
        (DY.astype(np.float32), TypeError),
        (DY.astype(int), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = fire_forward(X, PARAMETERS, "complex")
    with pytest.raises(error, match=r"^dy: expected"):
        fire_backward(dy, cache)
