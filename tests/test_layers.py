"""Every layer is its functional pair; shapes and counts are right without computing anything."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.generators import DROPOUT
from npsqueeze.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Fire,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
)
from tests import tiny
from tests.strategies import ConvCase, PoolCase, conv_cases, pool_cases, random_array, seeds

one_thread = tiny.one_thread


class Twins(NamedTuple):
    """A layer, and its pair: forward(x, state) and backward, which returns dx and gradients."""

    layer: Callable[[], Module]
    x_shape: tuple[int, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]


def named(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a backward that gives dx and its further gradients by name."""

    def with_names(dy, cache):
        dx, dw, db = backward(dy, cache)
        return dx, {"weight": dw} if db is None else {"weight": dw, "bias": db}

    return with_names


def nameless(backward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dy, cache: (backward(dy, cache), {})


IMAGES = (2, 4, 7, 8)
TWINS = {
    "Conv2d": Twins(
        lambda: Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2),
        IMAGES,
        lambda x, p: F.conv2d_forward(x, p["weight"], p["bias"], 2, (1, 0), (1, 2), 2),
        named(F.conv2d_backward),
    ),
    "Conv2d without a bias": Twins(
        lambda: Conv2d(4, 3, 3, bias=False),
        IMAGES,
        lambda x, p: F.conv2d_forward(x, p["weight"]),
        named(F.conv2d_backward),
    ),
    "Linear": Twins(
        lambda: Linear(5, 3),
        (4, 5),
        lambda x, p: F.linear_forward(x, p["weight"], p["bias"]),
        named(F.linear_backward),
    ),
    "BatchNorm2d": Twins(
        lambda: BatchNorm2d(4, momentum=0.3, eps=1e-3),
        IMAGES,
        lambda x, p: F.batch_norm2d_forward(x, *p.values(), momentum=0.3, eps=1e-3),
        named(F.batch_norm2d_backward),
    ),
    "BatchNorm2d in inference": Twins(
        lambda: BatchNorm2d(4).eval(),
        IMAGES,
        lambda x, p: F.batch_norm2d_forward(x, *p.values(), training=False),
        named(F.batch_norm2d_backward),
    ),
    "ReLU": Twins(ReLU, IMAGES, lambda x, p: F.relu_forward(x), nameless(F.relu_backward)),
    "Dropout": Twins(
        lambda: Dropout(0.3, seed=5),
        IMAGES,
        lambda x, p: F.dropout_forward(x, 0.3, (5, DROPOUT, 0)),
        nameless(F.dropout_backward),
    ),
    "MaxPool2d": Twins(
        lambda: MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        IMAGES,
        lambda x, p: F.max_pool2d_forward(x, 3, 2, 1, True),
        nameless(F.max_pool2d_backward),
    ),
    "AvgPool2d": Twins(
        lambda: AvgPool2d((2, 3), padding=1, ceil_mode=True, count_include_pad=False),
        IMAGES,
        lambda x, p: F.avg_pool2d_forward(x, (2, 3), None, 1, True, False),
        nameless(F.avg_pool2d_backward),
    ),
    "GlobalAvgPool2d": Twins(
        GlobalAvgPool2d,
        IMAGES,
        lambda x, p: F.global_avg_pool2d_forward(x),
        nameless(F.global_avg_pool2d_backward),
    ),
    "Fire": Twins(
        lambda: Fire(4, 3, {1: 2, 3: 2}, bypass="simple"),
        IMAGES,
        lambda x, p: F.fire_forward(x, p, "simple"),
        F.fire_backward,
    ),
    "Fire with everything": Twins(
        lambda: Fire(4, 2, {5: 1, 1: 2, 3: 3}, bypass="complex", batch_norm=True),
        IMAGES,
        lambda x, p: F.fire_forward(x, p, "complex"),
        F.fire_backward,
    ),
    "Fire in inference": Twins(
        lambda: Fire(4, 2, {1: 2, 3: 3}, batch_norm=True).eval(),
        IMAGES,
        lambda x, p: F.fire_forward(x, p, training=False),
        F.fire_backward,
    ),
}


def with_random_state(layer: Module, dtype: Any = np.float32) -> Module:
    layer.astype(dtype)
    for i, (name, buffer) in enumerate(layer.named_state()):
        values = random_array((7, i), buffer.data.shape, dtype)
        buffer.data[...] = abs(values) + 0.1 if name.endswith("var") else values
    return layer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
def test_a_layer_is_its_pair(twins, dtype):
    layer = with_random_state(twins.layer(), dtype)
    state = layer.state_dict()
    x = random_array(0, twins.x_shape, dtype)

    y = layer.forward(x)
    expected, cache = twins.forward(x, state)
    np.testing.assert_array_equal(y, expected, strict=True)
    assert layer.output_shape(x.shape) == y.shape
    assert layer.activations(x.shape) >= y.size
    for name, array in layer.state_dict().items():  # running statistics moved in both, or neither
        np.testing.assert_array_equal(array, state[name])

    dy = random_array(1, y.shape, dtype)
    expected_dx, gradients = twins.backward(dy, cache)
    for count in (1, 2):  # gradients add up
        np.testing.assert_array_equal(layer.backward(dy), expected_dx, strict=True)
        found = {name: p.grad for name, p in layer.named_parameters()}
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            np.testing.assert_array_equal(found[name], count * gradient)
    layer.zero_grad()
    assert not any(p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
def test_no_backward_before_a_forward(twins):
    layer = twins.layer()
    dy = random_array(0, layer.output_shape(twins.x_shape), np.float32)
    message = f"^{type(layer).__name__}: backward needs a forward pass before it$"
    with pytest.raises(RuntimeError, match=message):
        layer.backward(dy)
    assert not any(p.grad.any() for p in layer.parameters())


def conv_layer(case: ConvCase) -> Conv2d:
    filters, channels, *kernel_size = case.w_shape
    options = {"bias": case.bias} | case.options
    return Conv2d(case.groups * channels, filters, tuple(kernel_size), **options)


@given(conv_cases())
def test_convolution_shape_and_macs(case):
    layer = conv_layer(case)
    assert layer.weight.data.shape == case.w_shape
    y = layer.forward(case.arrays(np.float32)[0])
    assert layer.output_shape(case.x_shape) == y.shape
    _, channels, kh, kw = case.w_shape
    assert layer.macs(case.x_shape) == y.size * channels * kh * kw
    assert layer.activations(case.x_shape) == y.size


@given(pool_cases(), st.booleans())
def test_pooling_shape(case: PoolCase, maximum):
    layer = (MaxPool2d if maximum else AvgPool2d)(**case.options)
    assert layer.output_shape(case.x_shape) == layer.forward(case.array(np.float32)).shape
    assert layer.macs(case.x_shape) == 0


@given(
    n=st.integers(1, 2),
    channels=st.integers(1, 4),
    squeeze=st.integers(1, 3),
    expand=st.dictionaries(st.sampled_from([1, 3, 5]), st.integers(1, 3), min_size=1),
    height=st.integers(1, 4),
    width=st.integers(2, 5),
    bypass=st.sampled_from(["none", "complex"]),
    batch_norm=st.booleans(),
    seed=seeds,
)
def test_fire_shape(n, channels, squeeze, expand, height, width, bypass, batch_norm, seed):
    layer = Fire(channels, squeeze, expand, bypass, batch_norm)
    x = random_array(seed, (n, channels, height, width), np.float32)
    y = layer.forward(x)
    assert y.shape == layer.output_shape(x.shape) == (n, sum(expand.values()), height, width)
    assert layer.backward(y).shape == x.shape


# 2 images of 3x5 pixels, 6 channels -> 2 -> 4 of size 1x1 and 2 of size 3x3
@pytest.mark.parametrize(
    ("bypass", "batch_norm", "macs", "activations"),
    [
        ("none", False, 12 + 8 + 36, 2 * 2 + 3 * 6),  # convolve, rectify; convolve, join, rectify
        ("none", True, 12 + 8 + 36, 3 * 2 + 4 * 6),
        ("simple", False, 12 + 8 + 36, 2 * 2 + 4 * 6),
        ("complex", False, 12 + 8 + 36 + 36, 2 * 2 + 5 * 6),
    ],
)
def test_fire_counts(bypass, batch_norm, macs, activations):
    layer = Fire(6, 2, {1: 4, 3: 2}, bypass, batch_norm)
    assert layer.macs((2, 6, 3, 5)) == 30 * macs
    assert layer.activations((2, 6, 3, 5)) == 30 * activations


def test_linear_macs():
    assert Linear(5, 3).macs((4, 5)) == 4 * 5 * 3


def test_dropout_counts_its_training_passes():
    layer, x = Dropout(0.5, seed=3), random_array(0, (4, 50), np.float32)
    first, second = layer.forward(x), layer.forward(x)
    assert (first != second).any()
    assert layer.step == 2
    assert (Dropout(0.5, seed=4).forward(x) != first).any()
    layer.eval()
    np.testing.assert_array_equal(layer.forward(x), x)
    assert layer.step == 2  # evaluating between two steps changes no mask
    layer.train()
    layer.step = 1  # as a training that resumes does
    np.testing.assert_array_equal(layer.forward(x), second)


def test_dropout_needs_a_seed():
    with pytest.raises(TypeError, match="seed"):
        Dropout(0.5)


def test_weights_start_at_zero():
    for layer in (Conv2d(2, 3, 3), Linear(2, 3)):
        assert not any(p.data.any() for p in layer.parameters())


def test_fire_names_follow_the_kernel_sizes():
    convolution, norm = ("weight", "bias"), ("weight", "bias", "running_mean", "running_var")
    full = {
        "squeeze": ("weight",), "squeeze_norm": norm, "expand3x3": ("weight",),
        "expand5x5": ("weight",), "expand_norm": norm, "bypass": convolution,
    }  # fmt: skip
    plain = {"squeeze": convolution, "expand1x1": convolution, "expand3x3": convolution}
    for layer, expected in (
        (Fire(2, 1, {5: 1, 3: 1}, bypass="complex", batch_norm=True), full),
        (Fire(2, 1, {3: 1, 1: 2}), plain),
    ):
        names = [f"{step}.{part}" for step, parts in expected.items() for part in parts]
        assert list(layer.state_dict()) == names
        assert list(layer.members()) == list(expected)


@pytest.mark.parametrize("bypass", ["none", "complex"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_fire_is_its_members_one_after_another(bypass, batch_norm):
    fire = with_random_state(Fire(4, 3, {1: 2, 3: 3, 5: 1}, bypass, batch_norm), np.float64).eval()
    steps, relu = fire.members(), ReLU()
    x = random_array(0, IMAGES)
    squeezed = steps["squeeze"](x)
    if batch_norm:
        squeezed = steps["squeeze_norm"](squeezed)
    squeezed = relu(squeezed)
    y = np.concatenate([steps[f"expand{k}x{k}"](squeezed) for k in (1, 3, 5)], axis=1)
    if batch_norm:
        y = steps["expand_norm"](y)
    y = relu(y)
    if bypass == "complex":
        y = y + steps["bypass"](x)
    np.testing.assert_allclose(fire(x), y, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fire(4, 2, {1: 2, 4: 2}), "expand: expected odd kernel sizes, got 1, 4"),
        (lambda: Fire(4, 2, {1: 2}, "some"), "bypass: expected one of none, simple, complex, got"),
        (lambda: Fire(4, 2, {1: 2, 3: 3}, "simple"), "bypass: .* as many channels .* 5 and 4"),
        (lambda: Conv2d(4, 6, 3, groups=0), "groups: expected a divisor of 4 and 6, got 0"),
        (lambda: Conv2d(4, 6, 3, groups=4), "groups: expected a divisor of 4 and 6, got 4"),
        (lambda: Conv2d(3, 6, 3, groups=2), "groups: expected a divisor of 3 and 6, got 2"),
        (lambda: Conv2d(4, 6, 0), "kernel_size: expected .* at least 1, got 0"),
        (lambda: Conv2d(4, 6, 3, stride=(1, 0)), r"stride: .* at least 1, got \(1, 0\)"),
        (lambda: Conv2d(4, 6, 3, padding=-1), "padding: .* at least 0, got -1"),
        (lambda: Conv2d(4, 6, 3, dilation=0), "dilation: .* at least 1, got 0"),
        (lambda: MaxPool2d(2, padding=2), "padding: "),
        (lambda: AvgPool2d(0), "kernel_size: .* at least 1, got 0"),
    ],
)
def test_constructors_refuse_what_cannot_work(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_shape_that_leaves_nothing():
    with pytest.raises(ValueError, match=r"\(3, 3\).* got 2x9 pixels"):
        Conv2d(1, 1, 3).output_shape((1, 1, 2, 9))
