"""3x3 convolutions by Winograd's transforms, against plain loops and against the direct sum."""

from typing import Any

import numpy as np
import pytest

from npsqueeze import kernels, reference
from npsqueeze.engine.winograd import Winograd, WinogradGradient
from npsqueeze.kernels.winograd import GRADIENT_SQUARES, PLACES
from tests.test_kernels_conv import made

GEOMETRY = ((3, 3), (1, 1), (1, 1), (1, 1))  # kernel, stride, padding, dilation

# x (N, C, H, W) and filters: even and odd sizes, one pixel, channels in part of a vector
CASES = [
    ((1, 1, 1, 1), 1),
    ((2, 3, 2, 2), 5),
    ((1, 17, 3, 5), 2),
    ((3, 2, 4, 6), 18),
    ((2, 5, 7, 6), 9),
    ((7, 4, 5, 5), 3),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "filters"), CASES)
def test_forward_and_all_gradients_are_those_of_the_loops(
    shape: Any, filters: int, dtype: Any
) -> None:
    step, x, w, b = made(shape, filters, *GEOMETRY, dtype)
    assert [type(road) for road in step.forwards + step.backwards] == [Winograd, Winograd]
    n, tolerance = len(x), 2e-5 if dtype == np.float32 else 1e-12
    step.forward(n, training=True)
    y = step.y.read(step.y.data, n)
    np.testing.assert_allclose(y, reference.conv2d(x, w, b, padding=1), atol=tolerance)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    step.y.write(step.y.grad, dy)
    step.backward(n)
    dx, dw, db = reference.conv2d_backward(dy, x, w, padding=1)
    np.testing.assert_allclose(step.x.read(step.x.grad, n), dx, atol=tolerance)
    assert type(step.gradients[0]) is WinogradGradient
    np.testing.assert_allclose(step.branches[0].weight.grad, dw, atol=3 * tolerance)
    np.testing.assert_allclose(step.branches[0].bias.grad, db, atol=tolerance)


def test_fewer_images_leave_no_trace_of_the_others() -> None:
    step, x, w, b = made((4, 2, 3, 4), 3, *GEOMETRY, np.float64)
    x[3] = np.nan
    step.x.write(step.x.data, x)
    step.forward(2, training=True)
    came = step.y.read(step.y.data, 2)
    np.testing.assert_allclose(came, reference.conv2d(x[:2], w, b, padding=1), atol=1e-12)


def test_the_gradient_is_the_sum_of_all_shares_of_the_squares() -> None:
    """So many squares that there are several shares, and the last part of each is a short one."""
    step, x, w, _ = made((40, 2, 7, 9), 67, *GEOMETRY, np.float64)
    shares = len(step.gradients[0].sums)
    assert shares > 1
    assert 40 * 20 / shares % GRADIENT_SQUARES
    dy = np.random.default_rng(1).normal(size=(40, 67, 7, 9))
    step.x.write(step.x.data, x)
    expected_w, expected_b = np.zeros_like(w), np.zeros(67)
    for n in (40, 3):  # the second sum adds to the gradient, and leaves out 37 images
        step.y.write(step.y.grad, dy)
        step.forward(n, training=True)
        step.backward(n)
        _, dw, db = reference.conv2d_backward(dy[:n], x[:n], w, padding=1)
        expected_w, expected_b = expected_w + dw, expected_b + db
    np.testing.assert_allclose(step.branches[0].weight.grad, expected_w, atol=1e-11)
    np.testing.assert_allclose(step.branches[0].bias.grad, expected_b, atol=1e-11)


def test_a_nan_reaches_every_output_that_sees_it() -> None:
    step, x, w, b = made((1, 1, 6, 6), 1, *GEOMETRY, np.float64)
    x[0, 0, 2, 3] = np.nan
    step.x.write(step.x.data, x)
    step.forward(1, training=True)
    came = step.y.read(step.y.data, 1)
    assert np.isnan(came[np.isnan(reference.conv2d(x, w, b, padding=1))]).all()


@pytest.mark.parametrize("turned", [False, True])
def test_transformed_filters_are_g_g_gt(turned: bool) -> None:
    draw = np.random.default_rng(0)
    terms, columns, width = np.arange(3), np.arange(10), 8
    filter_at = np.append(columns, np.full(6, -1))
    filters = draw.normal(size=(3, 10, 3, 3) if turned else (10, 3, 3, 3))
    result = np.zeros(PLACES * 2 * 4 * width)
    flat = filters.reshape(*filters.shape[:2], 9)
    kernels.transform_filters(flat, terms, filter_at, 4, turned, result)
    came = result.reshape(4, 4, 2, 4, width)  # places, panels, terms, lanes
    g_matrix = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    for f in columns:
        for t in terms:
            g = filters[t, f, ::-1, ::-1] if turned else filters[f, t]
            place = came[:, :, f // width, t, f % width]
            np.testing.assert_allclose(place, g_matrix @ g @ g_matrix.T, atol=1e-15)
    assert not came[:, :, :, 3].any()
    assert not came[:, :, 1, :, 2:].any()


def test_in_float32_it_rounds_about_as_much_as_the_sum() -> None:
    """The direct sum of 9·64 products errs by about 1e-6 of the largest output; so may this."""
    step, x, w, b = made((2, 64, 8, 8), 16, *GEOMETRY, np.float32)
    step.forward(2, training=True)
    exact = reference.conv2d(*(a.astype(np.float64) for a in (x, w, b)), padding=1)
    error = np.abs(step.y.read(step.y.data, 2) - exact).max() / np.abs(exact).max()
    assert error < 2e-6
