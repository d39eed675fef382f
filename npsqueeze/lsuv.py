"""Layer-sequential unit variance: initial weights that a look at some pictures has scaled.

From the first layer to the last, each one's weights become orthonormal directions and are divided
by the standard deviation of what the layer then answers to a batch, until that is 1 (Mishkin and
Matas, "All you need is a good init", 2016, algorithm 1).
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.generators import INITIALIZATION, generator
from npsqueeze.layers import Conv2d, Fire, Linear
from npsqueeze.models import SqueezeNet

TOLERANCE = 0.05
MOST_ROUNDS = 10


def lsuv(model: SqueezeNet, x: Array, seed: int = 0) -> None:
    """Initialise every convolution and linear layer of a network, in place, by its answers to x.

    Biases stay as they are.

    Parameters
    ----------
    model : SqueezeNet
        Without batch normalisation, which would undo whatever scale the weights have.
    x : array (N, 3, H, W)
        Some normalised pictures.
    seed : int
        Of the directions.

    Raises
    ------
    ValueError
        If the model normalises batches, or a layer answers the same everywhere, so that no factor
        gives it unit variance.
    """
    if model.config["batch_norm"]:
        raise ValueError("model: expected one without batch normalisation")
    draw = generator((seed, INITIALIZATION, 0))
    for _, layer in model.named_layers():
        if isinstance(layer, Fire):
            squeezed = x
            for name, member in layer.layers.items():
                if isinstance(member, Conv2d):
                    member_x = squeezed if name.startswith("expand") else x
                    _initialise(member, member_x, draw)
                if name == "squeeze":
                    squeezed = np.maximum(member.forward(x), 0)
        elif isinstance(layer, Conv2d | Linear):
            _initialise(layer, x, draw)
        x = layer.forward(x)


def _initialise(layer: Conv2d | Linear, x: Array, draw: np.random.Generator) -> None:
    """Give one layer orthonormal weights, scaled until what it answers has variance 1."""
    layer.weight.data[...] = orthonormal(layer.weight.data.shape, draw)
    for _ in range(MOST_ROUNDS):
        std = float(layer.forward(x).std())
        if not 0 < std < np.inf:
            raise ValueError(f"x: expected answers that differ, got a standard deviation of {std}")
        if abs(std - 1) < TOLERANCE:
            return
        layer.weight.data /= std


def orthonormal(shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    """Return weights whose rows (one for each filter), or else whose columns, are orthonormal."""
    rows, columns = shape[0], int(np.prod(shape[1:]))
    matrix = draw.normal(size=(max(rows, columns), min(rows, columns)))
    directions, triangle = np.linalg.qr(matrix)
    directions *= np.sign(np.diag(triangle))  # so that all directions are equally probable
    return (directions if rows >= columns else directions.T).reshape(shape)
