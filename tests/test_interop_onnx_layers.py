"""The layers of ONNX graphs: gradients against differences; ONNX's own tests see to the values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze.interop.onnx.graph import Combination
from npsqueeze.interop.onnx.layers import (
    Add,
    Concat,
    Flatten,
    Gemm,
    GlobalAveragePool,
    Reshape,
    Softmax,
)
from npsqueeze.interop.onnx.windows import Geometry, Padding, Pooling
from tests.strategies import assert_close, random_array
from tests.tiny import one_thread  # noqa: F401


def check_gradients(layer, *shapes):
    """Compare the gradient of every input with differences, and the shape with that promised."""
    inputs = tuple(random_array(seed, shape) for seed, shape in enumerate(shapes))
    assert layer.output_shape(*shapes) == layer.forward(*inputs).shape
    nps.gradcheck(lambda *xs: (layer.forward(*xs), None), lambda dy, _: layer.backward(dy), inputs)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (Add(), [(2, 3), (2, 3)]),
        (Add(), [(2, 3, 4), (3, 1), (4,)]),
        (Add(), [(3, 1), (2, 3, 4)]),
        (Add(), [(2, 3), ()]),
        (Add(1), [(2, 3, 4, 5), (3,)]),
        (Add(1), [(2, 3, 4, 5), (3, 4)]),
        (Concat(1), [(2, 3, 4), (2, 1, 4)]),
        (Concat(-3), [(2, 3, 4), (1, 3, 4), (3, 3, 4)]),
        (Gemm(), [(2, 3), (3, 4)]),
        (Gemm(0.5, 2.0, True, True), [(3, 2), (4, 3), (4,)]),
        (Gemm(2.0, 3.0), [(2, 3), (3, 4), (2, 1)]),
        (Gemm(2.0, 3.0, False, True), [(2, 3), (4, 3), ()]),
        (Reshape((0, -1)), [(2, 3, 4)]),
        (Reshape((4, 1, 6)), [(2, 3, 4)]),
        (Flatten(2), [(2, 3, 4, 5)]),
        (Flatten(-1), [(2, 3, 4)]),
        (Flatten(0), [(2, 3)]),
        (Softmax(1), [(2, 3, 4)]),
        (Softmax(-1), [(2, 3)]),
        (Softmax(1, joined=True), [(2, 3, 2, 2)]),
        (GlobalAveragePool(), [(2, 3, 4, 5)]),
    ],
)
def test_gradients(layer, shapes):
    check_gradients(layer, *shapes)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Add(), [(2, 3), (2,)], "could not be broadcast|broadcast"),
        (Concat(1), [(2, 3), (3, 3)], "differ along axis 1 alone"),
        (Gemm(), [(2, 3), (4, 3)], "matrices that can be multiplied"),
        (Gemm(), [(2, 3), (3, 4), (5,)], "broadcast"),
        (Gemm(), [(2, 3), (3, 4), (1, 1, 1)], "a bias for"),
        (Reshape((5, -1)), [(2, 3)], "as many elements as"),
        (Reshape((0, 0, 0)), [(2, 3)], "index"),
        (Reshape((0, 3), True), [(2, 3)], "as many elements as"),
        (Flatten(3), [(2, 3)], "an axis of"),
        (Softmax(2), [(2, 3)], "an axis of"),
    ],
)
def test_shapes_that_do_not_fit(layer, shapes, message):
    with pytest.raises((ValueError, IndexError), match=message):
        layer.output_shape(*shapes)  # which a graph asks first of all


def test_combinations_take_any_number():
    x = random_array(0, (2, 3))
    assert_close(Add().forward(x), x, 1e-12)
    assert_close(Add().forward(x, x, x), 3 * x, 1e-12)
    assert issubclass(Add, Combination)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def geometries(draw):
    """Return windows of every sort, and an image that holds one."""
    size, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    same = draw(st.sampled_from([None, None, "UPPER", "LOWER"]))
    pads = tuple(draw(st.integers(0, size[i % 2] - 1)) for i in range(4))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    shape = (2, 2, *(draw(st.integers(side, side + 4)) for side in reach))
    if same:
        return Geometry(size, stride, (1, 1), (0, 0, 0, 0), same), shape
    return Geometry(size, stride, dilation, pads, None, draw(st.booleans())), shape


@given(geometries(), st.sampled_from(["max", "average"]), st.booleans())
def test_gradients_of_windows(case, kind, include_padding):
    geometry, shape = case
    check_gradients(Padding(geometry), shape)
    check_gradients(Pooling(geometry, kind, include_padding), shape)


@given(geometries(), st.sampled_from(["max", "average"]), st.booleans())
def test_pooling_against_loops(case, kind, include_padding):
    """Each window by itself, from the definition."""
    geometry, shape = case
    x = random_array(0, shape)
    y = Pooling(geometry, kind, include_padding).forward(x)
    (top, left), size = (axis.before for axis in geometry.axes(*shape[2:])), shape[2:]
    bottom, right = geometry.pads[2:]
    if geometry.same:
        bottom, right = (axis.after for axis in geometry.axes(*shape[2:]))
    for p, q in np.ndindex(y.shape[2:]):
        values, counted = [], 0
        for i, j in np.ndindex(geometry.kernel_size):
            row = p * geometry.stride[0] + i * geometry.dilation[0] - top
            column = q * geometry.stride[1] + j * geometry.dilation[1] - left
            if 0 <= row < size[0] and 0 <= column < size[1]:
                values.append(x[:, :, row, column])
                counted += not include_padding
            counted += include_padding and row < size[0] + bottom and column < size[1] + right
        if not values:
            expected = np.full(shape[:2], -np.inf if kind == "max" else 0.0)
        elif kind == "max":
            expected = np.max(values, axis=0)
        else:
            expected = np.sum(values, axis=0) / counted
        assert_close(y[:, :, p, q], expected, 1e-12)
