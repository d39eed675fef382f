"""The geometry that convolution and pooling share: how many windows fit into an image."""

from typing import NamedTuple

from npsqueeze.arrays import pair


class Windows(NamedTuple):
    """A grid of windows over an image; each pair is (vertical, horizontal)."""

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
        along_axes = zip(
            (height, width), self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        )
        try:
            rows, columns = (output_size(*along, self.ceil_mode) for along in along_axes)
        except ValueError as error:
            raise ValueError(
                f"x: expected an image that holds a window of {self.kernel_size} "
                f"(padding {self.padding}, dilation {self.dilation}), got {height}x{width} pixels"
            ) from error
        return rows, columns


def conv_windows(
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    dilation: int | tuple[int, int],
) -> Windows:
    """Return the windows of a convolution, after checking its arguments."""
    return Windows(
        pair("kernel_size", kernel_size, 1),
        pair("stride", stride, 1),
        pair("padding", padding, 0),
        pair("dilation", dilation, 1),
    )


def pool_windows(
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: int | tuple[int, int],
    ceil_mode: bool,
) -> Windows:
    """Return the windows of a pooling, after checking its arguments.

    Padding of at most half the kernel size means that every window holds a pixel of the image.
    """
    size = pair("kernel_size", kernel_size, 1)
    windows = Windows(
        size,
        size if stride is None else pair("stride", stride, 1),
        pair("padding", padding, 0),
        ceil_mode=ceil_mode,
    )
    if any(2 * a > k for a, k in zip(windows.padding, size, strict=True)):
        raise ValueError(f"padding: expected at most half of kernel_size {size}, got {padding!r}")
    return windows


def output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the number of windows along one axis, floor((size + 2·padding - reach)/stride) + 1.

    The reach of a window is dilation·(kernel_size - 1) + 1 pixels. With `ceil_mode` the quotient is
    rounded up, so that the last window may hang over the border; but it must start inside the
    image or its left padding (PyTorch's rule).

    Derived in tutorials/01_arrays_and_convolution.ipynb.

    Raises
    ------
    ValueError
        If not even one window fits.
    """
    reach = dilation * (kernel_size - 1) + 1
    room = size + 2 * padding - reach
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if count < 1:
        raise ValueError(
            f"kernel_size: expected a window within {size} + 2·{padding} pixels, got {reach}"
        )
    return count
