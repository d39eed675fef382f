"""The paper's names for the layers of a network: conv1, maxpool1, fire2 … fire9, conv10."""

from collections.abc import Iterator

from npsqueeze.layers import Conv2d, Fire, GlobalAvgPool2d, Linear, Module
from npsqueeze.models import SqueezeNet

KINDS = {
    "Conv2d": "conv",
    "Linear": "linear",
    "Fire": "fire",
    "BatchNorm2d": "norm",
    "ReLU": "relu",
    "MaxPool2d": "maxpool",
    "GlobalAvgPool2d": "avgpool",
    "Dropout": "dropout",
}


def named_units(model: SqueezeNet) -> Iterator[tuple[str, str, Module]]:
    """Yield every layer from the first to the last: its name in the state, the paper's, itself.

    The stem, the eight Fire modules and the head are the units 1, 2 to 9 and 10 of the paper's
    table 1. Whatever follows a convolution or a Fire module has its number: maxpool4 is the pooling
    after fire4. As in the table, the average at the end counts with the head.
    """
    number = 0
    for name, layer in model.named_layers():
        if isinstance(layer, Conv2d | Fire | Linear):
            number += 1
        last = isinstance(layer, GlobalAvgPool2d)
        yield name, KINDS[type(layer).__name__] + ("10" if last else str(number)), layer
