"""Dropout, with the mask drawn from an explicit key."""

import math

import numpy as np

from npsqueeze.arrays import ANY_RANK, Array, as_float_array, as_gradient
from npsqueeze.generators import generator


def dropout_forward(
    x: Array, p: float, key: tuple[int, ...], training: bool = True
) -> tuple[Array, Array]:
    """Set each element to zero with probability p, and multiply the others by 1/(1 - p).

    So the mean stays what it was, and inference (``training=False``) has nothing to do: y = x·1.
    An element is kept if 16 random bits, read as a number below 65,536, are not below p·65,536.

    Derived in tutorials/11_training_on_cifar10.ipynb.

    Parameters
    ----------
    x : any shape of one to four dimensions
    p : float
        0 <= p < 1
    key : tuple of int
        Numbers that name this draw, such as (seed, purpose, step): the same key, the same mask.

    Returns
    -------
    y : the shape of x
    cache : for `dropout_backward`: the factor of each element, 0 or 1/(1 - p), or 1 in inference

    Raises
    ------
    TypeError, ValueError
        If x is not as stated, p is out of range, or the key is none of `generators.generator`.

    References
    ----------
    Srivastava et al., "Dropout", 2014, section 10 (the scaled, "inverted" form); p is there the
    probability of keeping an element.
    """
    x = as_float_array("x", x, ANY_RANK)
    if not 0 <= p < 1:
        raise ValueError(f"p: expected a probability in [0, 1), got {p}")
    if training and p > 0:
        factor = kept(x.shape, p, key) * x.dtype.type(1 / (1 - p))
    else:
        factor = np.broadcast_to(x.dtype.type(1), x.shape)
    return x * factor, factor


def kept(shape: tuple[int, ...], p: float, key: tuple[int, ...]) -> Array:
    """Draw, for each element of an array of this shape, whether dropout keeps it (bool)."""
    count = math.prod(shape)
    words = generator(key).bit_generator.random_raw(-(-count // 4))  # of 64 bits
    bits = words.astype("<u8", copy=False).view("<u2")[:count]
    return (bits >= round(p * 2**16)).reshape(shape)


def dropout_backward(dy: Array, cache: Array) -> Array:
    """Return dx = dy·factor: what was not passed on receives nothing.

    Derived in tutorials/11_training_on_cifar10.ipynb.
    """
    # forward: y = x * factor
    return as_gradient(dy, cache.shape, cache.dtype) * cache
