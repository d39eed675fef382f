import numpy as np
import pytest
from hypothesis import given

from npsqueeze import reference
from npsqueeze.functional import conv2d_backward, conv2d_forward
from npsqueeze.functional.conv import COLUMN_BYTES
from tests.functional_checks import (
    assert_all_close,
    check_layouts,
    torch_results,
    without_cancellation,
)
from tests.strategies import assert_close, conv_cases, dtypes, random_array


def conv(x, w, b, dy, **options):
    y, cache = conv2d_forward(x, w, b, **options)
    gradients = conv2d_backward(dy, cache)
    return [y, *(gradients if b is not None else gradients[:2])]


def loops(x, w, b, dy, **options):
    y = reference.conv2d(x, w, b, **options)
    gradients = reference.conv2d_backward(dy, x, w, **options)
    return [y, *(gradients if b is not None else gradients[:2])]


def torchs(x, w, b, dy, **options):
    return torch_results(lambda F, *arrays: F.conv2d(*arrays, **options), (x, w, b), dy)


def inputs(case, dtype):
    """Return x, w, b and a random dy for a case."""
    arrays = [None if a is None else without_cancellation(a) for a in case.arrays(dtype)]
    y, _ = conv2d_forward(*arrays, **case.options)
    return *arrays, without_cancellation(random_array((case.seed, 3), y.shape, dtype))


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(case=conv_cases(max_kernel=4), dtype=dtypes)
def test_conv2d_is_that_of_the_oracle(oracle, case, dtype):
    arrays = inputs(case, dtype)
    assert_all_close(conv(*arrays, **case.options), oracle(*arrays, **case.options), dtype)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((1, 3, 227, 227), (8, 3, 7, 7), {"stride": 2}),  # the stem
        ((2, 128, 29, 29), (16, 128, 1, 1), {}),  # squeeze
        ((3, 16, 27, 27), (64, 16, 3, 3), {"padding": 1}),  # expand
        ((2, 512, 13, 13), (10, 512, 1, 1), {}),  # the classifier
        ((2, 48, 9, 7), (96, 12, 3, 5), {"padding": (1, 2), "groups": 4}),
    ],
)
def test_layers_of_real_size_in_float32(x_shape, w_shape, options):
    x, w, b = (random_array(i, s) for i, s in enumerate((x_shape, w_shape, w_shape[:1])))
    y, _ = conv2d_forward(x, w, b, **options)
    dy = random_array(3, y.shape)
    single = [array.astype(np.float32) for array in (x, w, b, dy)]
    assert_all_close(conv(*single, **options), torchs(x, w, b, dy, **options), np.float32)


def test_a_batch_of_several_blocks_is_its_images_one_by_one():
    x, w = random_array(0, (5, 3, 54, 54)), random_array(1, (4, 3, 5, 5))
    image_bytes = 3 * 5 * 5 * 50 * 50 * x.itemsize  # of one column matrix
    assert 2 * image_bytes <= COLUMN_BYTES < 3 * image_bytes
    b, dy = random_array(2, (4,)), random_array(3, (5, 4, 50, 50))
    y, dx, dw, db = conv(x, w, b, dy)
    single = [conv(x[n : n + 1], w, b, dy[n : n + 1]) for n in range(5)]
    np.testing.assert_array_equal(y, np.concatenate([s[0] for s in single]))
    np.testing.assert_array_equal(dx, np.concatenate([s[1] for s in single]))
    assert_close(dw, sum(s[2] for s in single), 1e-12)
    assert_close(db, sum(s[3] for s in single), 1e-12)


def test_without_a_bias_there_is_no_gradient_of_it():
    x, w = random_array(0, (1, 2, 4, 4)), random_array(1, (3, 2, 3, 3))
    _, cache = conv2d_forward(x, w)
    assert conv2d_backward(random_array(2, (1, 3, 2, 2)), cache)[2] is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_every_memory_layout_gives_the_same_bits(kernel_size, dtype):
    x = random_array(0, (2, 4, 7, 6), dtype)
    w = random_array(1, (6, 2, kernel_size, kernel_size), dtype)
    b, dy = random_array(2, (6,), dtype), random_array(3, (2, 6, 7, 6), dtype)
    padding = kernel_size // 2
    check_layouts(lambda *a: conv(*a, groups=2, padding=padding), x, w, b, dy)


@pytest.mark.parametrize("oracle", [loops, torchs])
def test_nan_goes_where_its_windows_are(oracle):
    x, w = random_array(0, (2, 2, 5, 5)), random_array(1, (3, 2, 3, 3))
    x[1, 0, 2, 4] = np.nan
    dy = random_array(2, (2, 3, 5, 5))
    y, dx, dw = conv(x, w, None, dy, padding=1)
    assert_all_close([y, dx, dw], oracle(x, w, None, dy, padding=1), np.float64)
    assert np.isnan(y).sum() == 3 * 6
    assert np.isnan(dw).sum() == 3 * 6  # its left column never meets the last one of x


X, W, B = random_array(0, (2, 4, 6, 6)), random_array(1, (6, 2, 3, 3)), random_array(2, (6,))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[0]}, ValueError, "^x: expected 4 dimensions"),
        ({"x": X[:0]}, ValueError, "^x: expected at least one element"),
        ({"x": X[:, :3]}, ValueError, r"^x: expected shape \(2, 4, 6, 6\)"),
        ({"x": X.astype(int)}, TypeError, "^x: expected an array of float32 or float64"),
        ({"x": X.astype(np.float16)}, TypeError, "^x: .* got float16"),
        ({"x": X.tolist()}, TypeError, "^x: .* got list"),
        ({"x": X.astype(np.float32)}, TypeError, "x float32, w float64, b float64"),
        ({"x": X[:, :, :2]}, ValueError, r"^x: .* window of \(3, 3\) .* got 2x6 pixels"),
        ({"w": W[0]}, ValueError, "^w: expected 4 dimensions"),
        ({"w": W[:, :0]}, ValueError, "^w: expected at least one element"),
        ({"w": W.astype(int)}, TypeError, "^w: "),
        ({"b": B[:, None]}, ValueError, "^b: expected 1 dim"),
        ({"b": B[:5]}, ValueError, r"^b: expected shape \(6,\), got \(5,\)"),
        ({"b": B.astype(np.float32)}, TypeError, "b float32"),
        ({"stride": 0}, ValueError, "^stride: "),
        ({"stride": 1.5}, ValueError, "^stride: "),
        ({"padding": -1}, ValueError, "^padding: "),
        ({"padding": (1, 1, 1)}, ValueError, "^padding: "),
        ({"dilation": (1, 0)}, ValueError, "^dilation: "),
        ({"dilation": 3}, ValueError, "^x: .* dilation"),
        ({"groups": 0}, ValueError, "^groups: expected a divisor of 6 filters, got 0"),
        ({"groups": 4}, ValueError, "^groups: "),
        ({"groups": 2.0}, ValueError, "^groups: "),
        ({"groups": 3}, ValueError, "^x: expected shape"),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    with pytest.raises(error, match=message):
        conv2d_forward(**{"x": X, "w": W, "b": B, "groups": 2} | changes)


@pytest.mark.parametrize(
    ("dy", "error"),
    [
        (np.zeros((2, 6, 4, 5)), ValueError),
        (np.zeros((1, 6, 4, 4)), ValueError),
        (np.zeros((2, 6, 4)), ValueError),
        (np.zeros((2, 6, 4, 4), int), TypeError),
        (np.zeros((2, 6, 4, 4), np.float32), TypeError),
    ],
)
def test_a_dy_that_does_not_fit_is_refused(dy, error):
    _, cache = conv2d_forward(X, W, B, groups=2)
    with pytest.raises(error, match=r"^dy: expected"):
        conv2d_backward(dy, cache)
