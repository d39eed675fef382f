import numpy as np
import pytest

from npsqueeze.arrays import as_float_array, as_gradient, check_same_dtype, check_shape, pair
from tests.functional_checks import LAYOUTS
from tests.strategies import random_array

X = random_array(0, (2, 3, 4, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_that_is_ready_is_not_copied(dtype):
    x = X.astype(dtype)
    assert np.shares_memory(as_float_array("x", x, 4), x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_layout_becomes_native_contiguous_writable_and_aligned(layout, dtype):
    given = LAYOUTS[layout](X.astype(dtype))
    result = as_float_array("x", given, (3, 4))
    assert result.dtype == dtype
    assert result.flags.c_contiguous
    assert result.flags.writeable
    assert result.flags.aligned
    np.testing.assert_array_equal(result, given)


def test_a_subclass_becomes_a_plain_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    result = as_float_array("x", mapped, 4)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, X)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1.0]], "^x: expected an array, got list$"),
        (1.0, "^x: expected an array, got float$"),
        (None, "^x: expected an array, got NoneType$"),
        (np.zeros((2, 2), int), "^x: expected an array of float32 or float64, got int64$"),
        (np.zeros((2, 2), bool), "got bool$"),
        (np.zeros((2, 2), np.float16), "got float16$"),
        (np.zeros((2, 2), complex), "got complex128$"),
        (np.zeros((2, 2), object), "got object$"),
    ],
)
def test_what_is_no_float_array_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        as_float_array("x", value, 2)


@pytest.mark.parametrize(
    ("shape", "ndim", "message"),
    [
        ((3,), 2, r"^x: expected 2 dimensions, got shape \(3,\)$"),
        ((), (1, 2), r"^x: expected 1 or 2 dimensions, got shape \(\)$"),
        ((0, 3), 2, r"^x: expected at least one element, got shape \(0, 3\)$"),
        ((3, 0), 2, r"^x: expected at least one element, got shape \(3, 0\)$"),
    ],
)
def test_another_rank_or_an_empty_array_is_refused(shape, ndim, message):
    with pytest.raises(ValueError, match=message):
        as_float_array("x", np.zeros(shape), ndim)


def test_as_gradient():
    swapped = LAYOUTS["byte_swapped"](X)
    np.testing.assert_array_equal(as_gradient(swapped, X.shape, X.dtype), X)
    with pytest.raises(TypeError, match=r"^dy: expected float32 as in the forward pass, got float"):
        as_gradient(X, X.shape, np.dtype(np.float32))
    with pytest.raises(ValueError, match=r"^dy: expected shape \(2, 3, 4, 4\), got \(2, 3, 4, 5\)"):
        as_gradient(X, (2, 3, 4, 4), X.dtype)
    with pytest.raises(ValueError, match=r"^dy: expected 2 dimensions"):
        as_gradient(X, (2, 3), X.dtype)


def test_check_shape():
    check_shape("x", X, (2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"^w: expected shape \(2, 3\), got \(2, 3, 4, 5\)$"):
        check_shape("w", X, (2, 3))


def test_check_same_dtype():
    check_same_dtype(x=X, w=X, b=None)
    with pytest.raises(TypeError, match=r"got x float64, w float32$"):
        check_same_dtype(x=X, b=None, w=X.astype(np.float32))


@pytest.mark.parametrize("value", [3, np.int64(3), (3, 3), [3, 3], (np.int32(3), 3)])
def test_pair(value):
    result = pair("stride", value, 1)
    assert result == (3, 3)
    assert [type(v) for v in result] == [int, int]


def test_a_pair_is_vertical_then_horizontal():
    assert pair("padding", (0, 2), 0) == (0, 2)


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, None, "11", (1,), (1, 1, 1), (1, 0), (1, 1.5), (), np.array([1, 1])]
)
def test_what_is_no_pair_is_refused(value):
    with pytest.raises(
        ValueError, match=r"^stride: expected an int or two ints of at least 1, got"
    ):
        pair("stride", value, 1)
