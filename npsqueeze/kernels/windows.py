"""Which pixels the windows see: one table for all planes, with a place for what lies outside.

The pixels of a plane are numbered h·W + w. Number H·W, one past the last, stands for all that lies
outside of the image; so a loop over windows needs no case for the border.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel


@kernel(makes_arrays=True)
def window_pixels(
    size: tuple[int, int], kernel_size: tuple[int, int], out_size: tuple[int, int],
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int],
) -> Array:  # fmt: skip
    """Return the number of the pixel at (i, j) of window (p, q), as (kh·kw, oh·ow).

    Unsigned, because for an index that may be negative each access asks whether it is.
    """
    height, width = size
    pixels = np.empty((*kernel_size, *out_size), np.uint32)
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            for p in range(out_size[0]):
                h = p * stride[0] + i * dilation[0] - padding[0]
                for q in range(out_size[1]):
                    w = q * stride[1] + j * dilation[1] - padding[1]
                    inside = 0 <= h < height and 0 <= w < width
                    pixels[i, j, p, q] = h * width + w if inside else height * width
    return pixels.reshape(kernel_size[0] * kernel_size[1], out_size[0] * out_size[1])


@kernel(makes_arrays=True)
def with_outside(image: Array, value: float) -> Array:
    """Return a copy of the flat image, and after it the value of all that lies outside."""
    result = np.empty(image.size + 1, image.dtype)
    result[:-1] = image
    result[-1] = value
    return result
