"""Initial weights, drawn so that signals neither fade nor explode from layer to layer.

One output of a layer is y = Σ w·x, a sum over its `fan_in` inputs. For independent weights of
mean 0::

    Var y = fan_in · Var w · E[x²]

The schemes below choose Var w so that the variance stays the same through the network.
"""

import math

import numpy as np

from npsqueeze.arrays import Array


def normal(shape: tuple[int, ...], generator: np.random.Generator, std: float) -> Array:
    """Draw float64 weights from N(0, std²); a float32 parameter rounds what is assigned to it.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Raises
    ------
    TypeError
        If `generator` is no `numpy.random.Generator`.
    """
    _check_generator(generator)
    return generator.normal(0.0, std, shape)


def he_normal(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw weights from N(0, 2 / fan_in), for layers that follow a ReLU.

    The input is x = max(0, y') of a y' symmetric about 0: half of y'² is cut away, hence
    E[x²] = Var y' / 2, and Var y = Var y' asks for fan_in · Var w / 2 = 1.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Parameters
    ----------
    shape : tuple of int
        (F, C, kh, kw) or (out, in).
    generator : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    float64 array of that shape

    Raises
    ------
    ValueError
        If `shape` is no weight's shape.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.
    """
    fan_in, _ = fans(shape)
    return normal(shape, generator, math.sqrt(2 / fan_in))


def he_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw weights of He's variance, evenly from -√(6 / fan_in) to √(6 / fan_in).

    U(-a, a) has the variance a²/3. So torchvision initialises its SqueezeNet. Parameters, result
    and errors are those of `he_normal`.

    Derived in tutorials/03_relu_and_initialisation.ipynb.
    """
    fan_in, _ = fans(shape)
    bound = math.sqrt(6 / fan_in)
    _check_generator(generator)
    return generator.uniform(-bound, bound, shape)


def xavier_normal(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw weights from N(0, 2 / (fan_in + fan_out)), for layers without a ReLU before them.

    Without a ReLU E[x²] = Var x, and Var y = Var x asks for fan_in · Var w = 1. Backwards, dx is a
    sum over the fan_out outputs that x feeds, and asks for fan_out · Var w = 1. Both hold only if
    the fans are equal; the mean of the two is the compromise.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Parameters, result and errors are those of `he_normal`.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 12 (the variance, here of a normal distribution).
    """
    return normal(shape, generator, math.sqrt(2 / sum(fans(shape))))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (fan_in, fan_out): (C·kh·kw, F·kh·kw) for a convolution, (in, out) for a matrix.

    Derived in tutorials/03_relu_and_initialisation.ipynb.

    Raises
    ------
    ValueError
        If `shape` is neither (F, C, kh, kw) nor (out, in), or holds a number below 1.
    """
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ValueError(f"shape: expected (F, C, kh, kw) or (out, in), got {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _check_generator(generator: np.random.Generator) -> None:
    if not isinstance(generator, np.random.Generator):
        raise TypeError(f"generator: expected a numpy.random.Generator, got {generator!r}")


SCHEMES = {"he": he_normal, "he-uniform": he_uniform, "xavier": xavier_normal}
