"""The published networks as facts, what the metaparameters change, and gradients of the whole."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.data import normalize
from npsqueeze.layers import Dropout, Fire, MaxPool2d, Sequential
from tests import tiny
from tests.strategies import assert_close, random_array, seeds
from tests.tiny import digest, embedded_pictures, tiny_network

one_thread = tiny.one_thread

# The places of the Fire modules in torchvision's `features`.
FIRES = {"1.0": (3, 4, 5, 7, 8, 9, 10, 12), "1.1": (3, 4, 6, 7, 9, 10, 11, 12)}
STEM = {"1.0": (96, 3, 7, 7), "1.1": (64, 3, 3, 3)}


def shapes(model):
    return {name: array.shape for name, array in model.state_dict().items()}


def torchvision_shapes(version):
    """Return the names and shapes of torchvision's state, in its order."""
    filters = {"features.0": STEM[version]}
    channels = STEM[version][0]
    for i, place in enumerate(FIRES[version]):
        squeeze, expand = 16 * (1 + i // 2), 64 * (1 + i // 2)
        filters[f"features.{place}.squeeze"] = (squeeze, channels, 1, 1)
        filters[f"features.{place}.expand1x1"] = (expand, squeeze, 1, 1)
        filters[f"features.{place}.expand3x3"] = (expand, squeeze, 3, 3)
        channels = 2 * expand
    filters["classifier.1"] = (1000, channels, 1, 1)
    names = {}
    for name, shape in filters.items():
        names |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return names


@pytest.mark.parametrize(
    ("version", "classes", "count"),
    [("1.0", 1000, 1_248_424), ("1.1", 1000, 1_235_496), ("cifar", 10, 727_626)],
)
def test_parameter_counts(version, classes, count):
    model = nps.squeezenet(version, num_classes=classes, seed=0)
    assert sum(parameter.data.size for parameter in model.parameters()) == count


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_state_is_torchvisions(version):
    expected = torchvision_shapes(version)
    assert len(expected) == 52
    assert list(shapes(nps.squeezenet(version, seed=0)).items()) == list(expected.items())


@pytest.mark.parametrize(
    ("version", "size", "chain"),
    [
        ("1.0", 227, [111, 55, 27, 13]),
        ("1.0", 224, [109, 54, 27, 13]),  # what the paper says, and its 111 contradicts
        ("1.1", 224, [111, 55, 27, 13]),
        ("cifar", 32, [32, 16, 8, 4]),
    ],
)
def test_the_sizes_of_the_images(version, size, chain):
    layers = nps.squeezenet(version, seed=0).features.layers
    prefixes = [Sequential(dict(list(layers.items())[: i + 1])) for i in range(len(layers))]
    heights = [prefix.output_shape((2, 3, size, size))[2] for prefix in prefixes]
    assert sorted(set(heights), reverse=True) == chain
    assert sum(isinstance(layer, MaxPool2d) for layer in layers.values()) == 3


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"batch_norm": True}, {"0_norm", "squeeze_norm", "expand_norm"}),
        ({"bypass": "simple"}, set()),
        ({"bypass": "complex"}, {"bypass"}),
        ({"expand": {1: 0.5, 3: 0.25, 5: 0.25}}, {"expand5x5"}),
        ({"final_relu": False}, set()),
        ({"dropout": 0.0}, set()),
    ],
)
def test_what_is_added_shifts_no_index(options, added):
    plain = {name for name in shapes(nps.squeezenet("1.1", seed=0)) if name.endswith("weight")}
    names = set(shapes(nps.squeezenet("1.1", seed=0, **options)))
    assert plain <= names
    new = {name.removesuffix(".weight") for name in names - plain if name.endswith("weight")}
    assert {part for name in new for part in name.split(".")[1:] if not part.isdigit()} == added


def test_complex_bypasses_stand_where_channels_change():
    bypasses = {
        int(name.split(".")[1])
        for name in shapes(nps.squeezenet("1.1", seed=0, bypass="complex"))
        if name.endswith("bypass.weight")
    }
    assert bypasses == {3, 6, 9, 11}
    layers = nps.squeezenet("1.1", seed=0, bypass="simple").features.layers
    kinds = [layer.bypass for layer in layers.values() if isinstance(layer, Fire)]
    assert kinds == ["none", "simple"] * 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"batch_norm": True, "bypass": "simple"}, 0.1),
        ({}, 0.5),  # nothing but the draw of 26 layers decides the scale of the features
    ],
)
def test_the_first_loss_is_that_of_guessing(seed, options, tolerance):
    pictures = embedded_pictures(20, size=32)
    model = nps.squeezenet("cifar", num_classes=10, seed=seed, **options)
    logits = model.forward(normalize(pictures.images))
    loss, _ = F.softmax_cross_entropy_forward(logits, pictures.labels)
    assert abs(loss - math.log(10)) < tolerance


def test_initial_weights():
    model = nps.squeezenet("cifar", num_classes=100, seed=0, batch_norm=True)
    state = model.state_dict()
    stem, last = state["features.0.weight"], state["classifier.1.weight"]
    assert stem.std() == pytest.approx(math.sqrt(2 / 27), rel=0.1)  # 3·3·3 inputs
    assert last.std() == pytest.approx(0.01, rel=0.05)
    assert not any(array.any() for name, array in state.items() if name.endswith("bias"))
    assert (state["features.0_norm.weight"] == 1).all()
    xavier = nps.squeezenet("cifar", num_classes=100, seed=0, init="xavier").state_dict()
    assert xavier["features.0.weight"].std() < stem.std()


def test_the_seed_decides_the_weights():
    assert digest(tiny_network(seed=1)) == digest(tiny_network(seed=1))
    assert digest(tiny_network(seed=1)) != digest(tiny_network(seed=2))
    drawn = tiny_network(seed=None)
    assert digest(drawn) != digest(tiny_network(seed=None))
    assert digest(nps.squeezenet(**drawn.config)) == digest(drawn)  # the config keeps the seed


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_norm": True, "bypass": "complex", "stem": [32, 5, 2, 2], "pool_after": [1]},
        {"head": "linear", "expand": {1: 0.5, 3: 0.25, 5: 0.25}, "dropout": 0.2},
        {"base_e": 96, "incr_e": 32, "freq": 3, "squeeze_ratio": 0.25, "init": "xavier"},
    ],
)
def test_a_config_builds_the_same_network(options):
    model = tiny_network(**options)
    again = nps.squeezenet(**model.config)
    assert again.config == model.config
    assert digest(again) == digest(model)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 3, 8, 8)), TypeError, "x: expected an array of float32, .* got float64"),
        (np.zeros((1, 3, 8, 8), np.uint8), TypeError, "x: .* got uint8"),
        ([[0.0]], TypeError, "x: .* got list"),
        (np.zeros((3, 8, 8), np.float32), ValueError, r"x: .* \(N, 3, H, W\) .* \(3, 8, 8\)"),
        (np.zeros((1, 4, 8, 8), np.float32), ValueError, r"x: .* got \(1, 4, 8, 8\)"),
        (np.zeros((0, 3, 8, 8), np.float32), ValueError, r"x: .* N of at least 1, got \(0, 3"),
        (np.zeros((1, 3, 0, 8), np.float32), ValueError, "x: 0x8 pixels are too few"),
        (np.full((1, 3, 8, 8), np.nan, np.float32), ValueError, "x: .* finite .* got 192 others"),
        (np.full((1, 3, 8, 8), -np.inf, np.float32), ValueError, "x: .* finite .* got 192 others"),
    ],
)
def test_wrong_input(x, error, message):
    with pytest.raises(error, match=message):
        tiny_network().forward(x)


def test_the_smallest_picture():
    model = nps.squeezenet("1.0", num_classes=3, seed=0, width=0.1)
    with pytest.raises(ValueError, match="x: 20x40 pixels are too few for this network"):
        model.output_shape((1, 3, 20, 40))
    assert model.forward(random_array(0, (1, 3, 21, 40), np.float32)).shape == (1, 3)


def test_no_backward_before_a_forward():
    with pytest.raises(RuntimeError, match=r"^GlobalAvgPool2d: backward needs a forward pass"):
        tiny_network().backward(np.zeros((1, 10), np.float32))


def test_modes_return_the_network():
    model = tiny_network()
    assert model.eval().config is model.config
    assert model.train() is model.astype(np.float64) is model


def test_width_leaves_the_classes_alone():
    assert shapes(tiny_network())["features.0.weight"] == (4, 3, 3, 3)
    assert shapes(tiny_network())["classifier.1.weight"] == (10, 32, 1, 1)


def test_pools_stand_after_the_units_named():
    layers = tiny_network(pool_after=[2, 9]).features.layers
    assert [name for name, layer in layers.items() if isinstance(layer, MaxPool2d)] == ["3", "11"]


def test_the_linear_head_is_the_convolution_after_the_mean():
    conv = tiny_network(final_relu=False).astype(np.float64).eval()
    linear = tiny_network(head="linear").astype(np.float64).eval()
    state = conv.state_dict()
    state["classifier.1.weight"] = state["classifier.1.weight"][:, :, 0, 0]
    linear.load_state_dict(state)
    x = random_array(0, (3, 3, 16, 16))
    assert_close(linear.forward(x), conv.forward(x), 1e-12)


def test_the_final_relu():
    model = tiny_network(final_relu=True).eval()
    model.load_state_dict(
        model.state_dict() | {"classifier.1.bias": np.linspace(-9, 9, 10, dtype=np.float32)}
    )
    logits = model.forward(random_array(0, (3, 3, 16, 16), np.float32))
    assert (logits[:, :5] == 0).all()
    assert (logits[:, 5:] > 0).all()


def test_dropout_belongs_to_training():
    model = tiny_network(dropout=0.5, width=0.125)
    x = random_array(0, (2, 3, 16, 16), np.float32)
    assert (model.forward(x) != model.forward(x)).any()
    model.eval()
    np.testing.assert_array_equal(model.forward(x), model.forward(x))


configurations = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["1.0", "1.1", "cifar"]),
        "num_classes": st.integers(1, 5),
        "seed": st.integers(0, 1000),
        "batch_norm": st.booleans(),
        "bypass": st.sampled_from(["none", "simple", "complex"]),
        "head": st.sampled_from(["conv", "linear"]),
        "expand": st.sampled_from([{1: 0.5, 3: 0.5}, {1: 0.5, 3: 0.25, 5: 0.25}]),
        "width": st.sampled_from([0.04, 0.0625]),
    }
)


@settings(max_examples=20)
@given(configurations, st.integers(21, 34), st.integers(21, 34), seeds)
def test_gradients_of_the_whole_network(config, height, width, seed):
    model = nps.squeezenet(**config).astype(np.float64)
    for i, parameter in enumerate(model.parameters()):  # at a bias of 0, dead features tie at 0
        parameter.data += 0.1 * random_array((seed, 3, i), parameter.data.shape)
    dropout = next(m for m in model.modules() if isinstance(m, Dropout))
    x = random_array((seed, 0), (2, 3, height, width))
    logits = model.forward(x)
    assert logits.shape == model.output_shape(x.shape) == (2, config["num_classes"])
    dlogits = random_array((seed, 1), logits.shape)
    dx = model.backward(dlogits)
    assert dx.shape == x.shape

    points = [x, *(p.data for p in model.parameters())]
    gradients = [dx, *(p.grad for p in model.parameters())]
    direction = [random_array((seed, 2, i), p.shape) * 1e-3 for i, p in enumerate(points)]

    def quotient(step):
        def value(t):
            for point, start, along in zip(points, starts, direction, strict=True):
                point[...] = start + t * along
            dropout.step = 0  # the same mask again
            return np.sum(dlogits * model.forward(x))

        starts = [point.copy() for point in points]
        difference = value(step) - value(-step)
        for point, start in zip(points, starts, strict=True):
            point[...] = start
        return difference / (2 * step)

    analytic = sum(np.sum(g * u) for g, u in zip(gradients, direction, strict=True))
    # Between the two points of a wide step may lie a kink (of a ReLU, of a maximum), and rounding
    # spoils a narrow one; a wrong gradient agrees with neither.
    numeric = np.array([quotient(step) for step in (1e-4, 1e-5, 1e-6, 1e-7)])
    assert np.min(abs(numeric - analytic)) <= 1e-6 * abs(analytic)
