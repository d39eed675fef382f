import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import conv2d_forward, max_pool2d_forward, output_size
from npsqueeze.functional.windows import Windows

geometry = {
    "size": st.integers(1, 20),
    "kernel_size": st.integers(1, 6),
    "stride": st.integers(1, 8),
    "dilation": st.integers(1, 3),
    "ceil_mode": st.booleans(),
}


@given(**geometry, padding=st.integers(0, 6))
def test_output_size_is_that_of_the_loops(size, kernel_size, stride, padding, dilation, ceil_mode):
    arguments = (size, kernel_size, stride, padding, dilation, ceil_mode)
    try:
        expected = reference.output_size(*arguments)
    except ValueError:
        with pytest.raises(ValueError, match=r"^kernel_size: expected a window within"):
            output_size(*arguments)
    else:
        assert output_size(*arguments) == expected


@given(**geometry, data=st.data())
def test_output_size_is_that_of_torch(size, kernel_size, stride, dilation, ceil_mode, data):
    torch = pytest.importorskip("torch")
    padding = data.draw(st.integers(0, kernel_size // 2))
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    try:
        expected = torch.nn.functional.max_pool1d(torch.zeros(1, 1, size), *arguments).shape[2]
    except RuntimeError:
        with pytest.raises(ValueError, match=r"^kernel_size: expected a window within"):
            output_size(size, *arguments)
    else:
        assert output_size(size, *arguments) == expected


@given(**geometry, data=st.data())
def test_output_size_counts_the_windows(size, kernel_size, stride, dilation, ceil_mode, data):
    # In ceil mode the first window that reaches the end, or hangs over it, still counts.
    padding = data.draw(st.integers(0, kernel_size // 2))
    end, reach = size + 2 * padding, dilation * (kernel_size - 1) + 1
    starts = range(0, end, stride)
    inside = [s for s in starts if s + reach <= end]
    if ceil_mode:
        inside = [s for s in starts if s < size + padding and s - stride + reach < end]
    arguments = (size, kernel_size, stride, padding, dilation, ceil_mode)
    if inside:
        assert output_size(*arguments) == len(inside)
    else:
        with pytest.raises(ValueError, match=r"^kernel_size: expected a window within"):
            output_size(*arguments)


def test_stride_padding_and_dilation_have_the_defaults_of_the_pairs():
    assert output_size(5, 3) == reference.output_size(5, 3) == 3


def test_the_chain_of_squeezenet_1_0():
    x = np.random.default_rng(0).random((1, 1, 227, 227), np.float32)
    y, _ = conv2d_forward(x, np.ones((1, 1, 7, 7), np.float32), stride=2)
    sides = [y.shape[2:]]
    for _ in range(3):
        y, _ = max_pool2d_forward(y, 3, stride=2, ceil_mode=True)
        sides.append(y.shape[2:])
    assert sides == [(side, side) for side in (111, 55, 27, 13)]


def test_the_224_pixels_of_the_paper_give_109():
    assert output_size(224, 7, 2, 0) == 109


def test_each_axis_has_its_own_numbers():
    windows = Windows((3, 1), (2, 1), (1, 0), (2, 1))
    assert windows.output_size(8, 6) == (3, 6)


@pytest.mark.parametrize("size", [(2, 9), (9, 2)])
def test_a_window_that_does_not_fit_is_refused(size):
    with pytest.raises(
        ValueError, match=r"^x: .* window of \(3, 3\) .* got {}x{} pix".format(*size)
    ):
        Windows((3, 3), (1, 1), (0, 0)).output_size(*size)
