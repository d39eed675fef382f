"""Pooling, addition and normalisation of NHWC pixels, against plain loops."""

from typing import Any

import numpy as np
import pytest

from npsqueeze import reference
from npsqueeze.arrays import Array
from npsqueeze.engine.steps import Addition, GlobalAverage, MaxPooling, Normalisation
from npsqueeze.engine.tensors import Tensor
from npsqueeze.layers import BatchNorm2d, MaxPool2d


def tensor(shape: Any, border: int = 0, dtype: Any = np.float64) -> Tensor:
    result = Tensor("x", shape, (shape[1],), dtype)
    result.widen(border)
    return result


def allocate(*tensors: Tensor) -> None:
    for each in tensors:
        each.allocate()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("size", "options"),
    [((6, 6), (3, 2, 0, True)), ((7, 5), (3, 2, 0, True)), ((5, 6), (2, 2, 1, False)),
     ((6, 7), (3, 1, 1, False)), ((8, 7), (2, 3, 0, False))],
)  # fmt: skip
def test_max_pooling_agrees_with_the_loops(size: Any, options: Any, ties: bool) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(2, 3, *size))
    if ties:
        values = np.maximum(np.round(values), 0)
    layer = MaxPool2d(*options)
    x, y = tensor(values.shape, border=1), tensor(layer.output_shape(values.shape), border=1)
    step = MaxPooling("pool", x, y, layer)
    allocate(x, y)
    step.prepare()
    x.write(x.data, values)
    step.forward(2, training=True)
    expected = reference.max_pool2d(values, *options)
    np.testing.assert_array_equal(y.read(y.data, 2), expected)
    dy = draw.normal(size=expected.shape)
    y.write(y.grad, dy)
    step.backward(2)
    expected = reference.max_pool2d_backward(dy, values, *options)
    np.testing.assert_allclose(x.read(x.grad, 2), expected, atol=1e-13)
    x.rectified = True
    step.backward(2)
    np.testing.assert_allclose(x.read(x.grad, 2), expected * (values > 0), atol=1e-13)


def test_max_pooling_passes_nan_on() -> None:
    x, y = tensor((1, 1, 4, 4)), tensor((1, 1, 2, 2))
    step = MaxPooling("pool", x, y, MaxPool2d(2))
    allocate(x, y)
    step.prepare()
    values = np.arange(16.0).reshape(1, 1, 4, 4)
    values[0, 0, 0, 1] = np.nan
    x.write(x.data, values)
    step.forward(1, training=True)
    np.testing.assert_array_equal(y.read(y.data, 1)[0, 0], [[np.nan, 7], [13, 15]])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_normalisation_agrees_with_the_loops(training: bool, relu: bool) -> None:
    draw = np.random.default_rng(0)
    values, layer = 3 + draw.normal(size=(3, 5, 4, 3)), BatchNorm2d(5).astype(np.float64)
    for array in (layer.weight.data, layer.bias.data, layer.running_mean.data):
        array[:] = draw.normal(size=5)
    running = layer.running_mean.data.copy(), layer.running_var.data.copy()
    x, y = tensor(values.shape), tensor(values.shape, border=1)
    x.borrow_gradient(y)
    step = Normalisation("norm", x, y, layer, relu)
    allocate(x, y)
    step.prepare()
    x.write(x.data, values)
    step.forward(3, training)
    w, b = layer.weight.data, layer.bias.data
    expected = reference.batch_norm2d(values, w, b, *running, training)
    np.testing.assert_allclose(
        y.read(y.data, 3), np.maximum(expected, 0) if relu else expected, atol=1e-12
    )
    np.testing.assert_allclose(layer.running_mean.data, running[0], atol=1e-12)
    np.testing.assert_allclose(layer.running_var.data, running[1], atol=1e-12)
    dy = draw.normal(size=values.shape)
    y.write(y.grad, dy)
    step.backward(3)
    dx, dw, db = reference.batch_norm2d_backward(dy, values, w, *running, training)
    np.testing.assert_allclose(x.read(x.grad, 3), dx, atol=1e-12)
    np.testing.assert_allclose(layer.weight.grad, dw, atol=1e-12)
    np.testing.assert_allclose(layer.bias.grad, db, atol=1e-12)


def test_an_addition_sends_its_gradient_both_ways() -> None:
    draw = np.random.default_rng(0)
    shape = (2, 3, 2, 3)
    x, other, y = tensor(shape, border=1), tensor(shape), tensor(shape, border=2)
    x.rectified = True
    step = Addition("sum", x, other, y)
    allocate(x, other, y)
    step.prepare()
    values, others, dy = draw.normal(size=(3, *shape))
    x.write(x.data, values)
    other.write(other.data, others)
    step.forward(2, training=True)
    np.testing.assert_array_equal(y.read(y.data, 2), values + others)
    y.write(y.grad, dy)
    step.backward(2)
    np.testing.assert_array_equal(x.read(x.grad, 2), dy * (values > 0))
    np.testing.assert_array_equal(other.read(other.grad, 2), dy)


def test_reading_gives_back_what_was_written() -> None:
    images: Array = np.random.default_rng(0).normal(size=(2, 7, 3, 4)).astype(np.float32)
    x = Tensor("x", (3, 7, 3, 4), (2, 5), np.float32)
    x.widen(2)
    x.has_gradient = False
    x.allocate()
    x.write(x.data, images)
    np.testing.assert_array_equal(x.read(x.data, 2), images)
    assert x.channels == 32  # two parts, each in vectors of 16
    assert x.data.size == 3 * 7 * 8 * 32 + 32
    assert x.grad.size == 0


def test_the_global_average_agrees_with_numpy() -> None:
    draw = np.random.default_rng(0)
    x, y = tensor((3, 10, 4, 5), border=1), tensor((3, 10, 1, 1))
    step = GlobalAverage("average", x, y)
    allocate(x, y)
    step.prepare()
    values = draw.normal(size=x.shape)
    x.write(x.data, values)
    step.forward(2, training=True)
    expected = values[:2].mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(y.read(y.data, 2), expected, atol=1e-15)
    assert not y.read(y.data, 3)[2].any()  # the third image was not asked for
    dy = draw.normal(size=y.shape)
    y.write(y.grad, dy)
    step.backward(3)
    np.testing.assert_allclose(x.read(x.grad, 3), np.broadcast_to(dy / 20, x.shape), atol=1e-15)
