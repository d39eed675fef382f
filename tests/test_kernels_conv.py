"""The convolution without a column matrix, on tables that a tensor makes, against plain loops."""

from typing import Any

import numpy as np
import pytest

from npsqueeze import kernels, reference
from npsqueeze.arrays import Array
from npsqueeze.engine.convolution import Branch, Convolution
from npsqueeze.engine.tensors import Tensor, in_tiles, whole_tiles
from npsqueeze.functional.windows import Windows
from npsqueeze.module import Parameter

# x (N, C, H, W), filters, kernel, stride, padding, dilation
CASES = [
    ((2, 3, 5, 4), 5, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 2, 4, 5), 3, (1, 1), (1, 1), (0, 0), (1, 1)),
    ((2, 1, 7, 6), 2, (3, 2), (2, 3), (0, 1), (1, 1)),
    ((1, 3, 6, 6), 2, (5, 5), (1, 1), (2, 2), (1, 1)),
    ((1, 2, 7, 8), 17, (3, 3), (1, 1), (2, 2), (2, 2)),
    ((2, 3, 7, 6), 4, (3, 3), (1, 1), (0, 0), (1, 1)),  # y smaller than x
    ((1, 2, 6, 9), 3, (5, 2), (1, 1), (1, 0), (1, 2)),
    ((2, 2, 4, 5), 3, (3, 3), (1, 1), (3, 2), (1, 1)),  # y larger than x
    ((3, 2, 6, 6), 4, (3, 3), (2, 2), (0, 0), (1, 1)),  # a row and a column that no window sees
]


def made(
    shape: Any, filters: int, kernel: Any, stride: Any, padding: Any, dilation: Any, dtype: Any
) -> tuple[Convolution, Array, Array, Array]:
    """Return a convolution with its memory, and x, w and b."""
    draw = np.random.default_rng(0)
    windows = Windows(kernel, stride, padding, dilation)
    x = Tensor("x", shape, (shape[1],), dtype)
    x.has_gradient = stride == (1, 1)
    y_shape = (shape[0], filters, *windows.output_size(*shape[2:]))
    y = Tensor("y", y_shape, (filters,), dtype)
    weight = Parameter(draw.normal(size=(filters, shape[1], *kernel)).astype(dtype))
    bias = Parameter(draw.normal(size=filters).astype(dtype))
    step = Convolution("step", x, y, [Branch(weight, bias, windows, 0)], relu=False)
    for tensor in (x, y):
        tensor.allocate()
    step.prepare()
    images = draw.normal(size=shape).astype(dtype)
    x.write(x.data, images)
    return step, images, weight.data, bias.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_all_passes_agree_with_the_loops(case: Any, dtype: Any) -> None:
    step, x, w, b = made(*case, dtype)
    n, options = len(x), case[3:]
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    step.forward(n, training=True)
    y = step.y.read(step.y.data, n)
    np.testing.assert_allclose(y, reference.conv2d(x, w, b, *options), atol=tolerance)

    dy = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    step.y.write(step.y.grad, dy)
    step.backward(n)
    dx, dw, db = reference.conv2d_backward(dy, x, w, *options)
    (branch,) = step.branches
    assert branch.bias is not None
    np.testing.assert_allclose(branch.weight.grad, dw, atol=10 * tolerance)
    np.testing.assert_allclose(branch.bias.grad, db, atol=10 * tolerance)
    if step.x.has_gradient:
        np.testing.assert_allclose(step.x.read(step.x.grad, n), dx, atol=tolerance)


def test_gradients_add_up_and_the_gate_is_that_of_a_relu() -> None:
    step, x, w, _ = made(*CASES[0], np.float64)
    dy = np.random.default_rng(2).normal(size=step.y.shape)
    step.y.write(step.y.grad, dy)
    step.x.rectified = True
    step.backward(len(x))
    dx, dw, _ = reference.conv2d_backward(dy, x, w, padding=1)
    np.testing.assert_allclose(step.x.read(step.x.grad, len(x)), dx * (x > 0), atol=1e-12)
    step.x.readers.append(object())  # now another one writes first, and this step adds
    step.backward(len(x))
    np.testing.assert_allclose(step.x.read(step.x.grad, len(x)), 2 * dx * (x > 0), atol=1e-12)
    np.testing.assert_allclose(step.branches[0].weight.grad, 2 * dw, atol=1e-12)


def test_a_nan_is_not_hidden_by_the_relu() -> None:
    step, x, _, _ = made(*CASES[1], np.float64)
    step.relu = True
    x[0, 0, 1, 2] = np.nan
    step.x.write(step.x.data, x)
    step.forward(1, training=True)
    y = step.y.read(step.y.data, 1)
    assert np.isnan(y[0, :, 1, 2]).all()
    assert np.isnan(y).sum() == y.shape[1]
    assert np.nanmin(y) == 0


def test_nothing_is_written_beyond_the_images() -> None:
    """The border and the channels that fill vectors stay zero; the last pixel takes the rest."""
    step, x, _, _ = made(*CASES[0], np.float64)
    step.forward(len(x), training=True)
    y = step.y
    whole = y.data[: -y.channels].reshape(2, 9, 8, 8).copy()
    assert y.border == 2
    whole[:, 2:-2, 2:-2, :5] = 0
    assert not whole.any()


def test_rows_come_in_whole_tiles() -> None:
    assert [whole_tiles(count) for count in (1, 6, 7)] == [6, 6, 12]
    np.testing.assert_array_equal(in_tiles(np.arange(4), 9), [0, 1, 2, 3, 9, 9])
    np.testing.assert_array_equal(in_tiles(np.arange(6), 9), np.arange(6))


def test_gather_takes_what_the_sources_name() -> None:
    result = np.full(4, 9.0)
    kernels.gather(np.array([1.0, 2.0, 3.0]), np.array([2, -1, 0, 0]), result)
    np.testing.assert_array_equal(result, [3, 0, 1, 1])
    kernels.add_gathered(np.array([[1.0, 2.0], [10.0, 20.0]]), np.array([1, 0, 0, 1]), result)
    np.testing.assert_array_equal(result, [25, 11, 12, 23])
