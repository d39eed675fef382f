"""How many windows fit along one axis."""


def output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the number of windows along one axis of a convolution or a pooling.

        (size + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1

    rounded down, or up in ceil mode; there, a last window that would start beyond the input and
    its left padding is left out. This is PyTorch's rule.

    Derived in tutorials/01_arrays_and_convolution.ipynb.

    Raises
    ------
    ValueError
        If not a single window fits.
    """
    reach = dilation * (kernel_size - 1) + 1
    room = size + 2 * padding - reach
    if ceil_mode:
        count = -(-room // stride) + 1
        if (count - 1) * stride >= size + padding:
            count -= 1
    else:
        count = room // stride + 1
    if count < 1:
        raise ValueError(
            f"kernel_size: expected a window within {size} + 2·{padding} pixels, got {reach}"
        )
    return count
