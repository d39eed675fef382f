"""The geometry that convolution and pooling share: how many windows fit into an image."""

from typing import NamedTuple


class Windows(NamedTuple):
    """A grid of windows over an image; each field is (vertical, horizontal)."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (oh, ow) for an image of `height` by `width` pixels.

        Raises
        ------
        ValueError
            If not even one window fits.
        """
        along_axes = zip((height, width), *self[:4], strict=True)
        rows, columns = (output_size(*along, self.ceil_mode) for along in along_axes)
        if min(rows, columns) < 1:
            raise ValueError(
                f"x: expected an image that holds a window of {self.kernel_size} "
                f"(padding {self.padding}, dilation {self.dilation}), got {height}x{width} pixels"
            )
        return rows, columns


def output_size(
    size: int,
    kernel_size: int,
    stride: int,
    padding: int,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the number of windows along one axis, floor((size + 2·padding - reach)/stride) + 1.

    The reach of a window is dilation·(kernel_size - 1) + 1 pixels. With `ceil_mode` the quotient is
    rounded up, so that the last window may hang over the border; but it must start inside the
    image or its left padding (PyTorch's rule).
    """
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    starts_inside = (count - 1) * stride < size + padding
    return count if starts_inside else count - 1
