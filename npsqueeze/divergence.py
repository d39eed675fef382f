"""Where a training leaves the finite numbers: what was the first to be NaN or infinite.

A loss that is NaN tells nothing about its origin, for a NaN spreads to all that is computed from
it. The first one in the order of the computation does.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.engine import Plan
from npsqueeze.models import SqueezeNet


def first_cause(network: SqueezeNet | Plan, x: Array) -> str:
    """Say what is not finite, after a forward pass over x whose loss is not.

    The weights come first, then the activations layer by layer.
    """
    model = network.model if isinstance(network, Plan) else network
    for name, parameter in model.named_parameters():
        if not np.isfinite(parameter.data).all():
            return f"the weights {name} are not finite"
    for name, activations in _activations(network, x):
        if not np.isfinite(activations).all():
            return f"the first activations that are not finite are those of {name}"
    return "all weights and activations are finite"


def first_bad_gradient(model: SqueezeNet) -> str | None:
    """Return the name of the parameter whose gradient is not finite, the first to be computed.

    That is the last one in the network, since the backward pass goes from the last to the first.
    """
    for name, parameter in reversed(list(model.named_parameters())):
        if not np.isfinite(parameter.grad).all():
            return name
    return None


def first_bad_array(arrays: Mapping[str, Array]) -> str | None:
    """Return the name of the first array that holds a NaN or an infinity."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _activations(network: SqueezeNet | Plan, x: Array) -> Iterator[tuple[str, Array]]:
    """Yield what each layer returns for x: a plan remembers it, the layers compute it again."""
    if isinstance(network, Plan):
        for tensor in network.tensors:
            yield tensor.name, tensor.read(tensor.data, len(x))
        return
    for name, layer in network.named_layers():
        x = layer.forward(x)
        yield name, x
