"""What is inside a network: its weights, the outputs of its ReLUs, the units that are dead."""

from collections.abc import Iterator, Mapping

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.layers import Conv2d, Fire, Linear, ReLU
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Module
from npsqueeze.tables import table
from npsqueeze.units import named_units

BATCH_SIZE = 100


def weights(model: SqueezeNet) -> dict[str, Array]:
    """Return the weights of every convolution and linear layer, by the paper's names.

    Such as "conv1", "fire2/squeeze", "fire2/expand1x1", "fire2/expand3x3", …, "conv10".
    """
    return {
        name: layer.weight.data.copy()
        for _, unit, whole in named_units(model)
        for name, layer in _branches(unit, whole)
    }


def activations(model: SqueezeNet, x: Array) -> dict[str, Array]:
    """Return what the ReLUs put out for the pictures x (N, 3, H, W), in inference mode.

    Each array (N, C, H, W) has the name that `weights` gives to the filters it comes from; a Fire
    module's are those before a bypass is added.

    Raises
    ------
    TypeError, ValueError
        If x does not suit the model.
    """
    twin = model.twin()
    twin.forward(x)
    outputs: dict[str, Array] = {}
    for _, unit, layer in named_units(twin):
        if isinstance(layer, ReLU):
            outputs[unit.replace("relu", "conv")] = layer.cache  # which is the output itself
        elif isinstance(layer, Fire):
            steps = layer.cache.steps
            outputs[f"{unit}/squeeze"] = steps["squeeze_relu"]
            filters = {name: len(branch.weight.data) for name, branch in _branches(unit, layer)}
            start = 0
            for name in (f"{unit}/{branch}" for branch in layer.cache.branches):
                outputs[name] = steps["expand_relu"][:, start : start + filters[name]]
                start += filters[name]
    return outputs


def dead_units(model: SqueezeNet, x: Array) -> dict[str, Array]:
    """Return, by the names of `activations`, which channels are zero all over all pictures.

    Such a unit is dead for these pictures: the layers behind it see nothing, and its filter gets no
    gradient. The more pictures there are, the more that says.

    Returns
    -------
    mapping of names to arrays of bool, shape (C,)

    Raises
    ------
    TypeError, ValueError
        If x does not suit the model.
    """
    model.check_input(x)
    dead: dict[str, Array] = {}
    for start in range(0, len(x), BATCH_SIZE):
        for name, y in activations(model, x[start : start + BATCH_SIZE]).items():
            silent = ~(y > 0).any(axis=(0, 2, 3))
            dead[name] = np.logical_and(silent, dead.get(name, True))
    return dead


def inspection_table(model: SqueezeNet, dead: Mapping[str, Array]) -> str:
    """Return a table of all weights: shape, mean, standard deviation, and the `dead_units`."""
    rows = []
    for name, w in weights(model).items():
        silent = f"{dead[name].sum()} of {len(w)}" if name in dead else ""  # no ReLU follows
        rows.append(
            (name, "x".join(map(str, w.shape)), f"{w.mean():.4f}", f"{w.std():.4f}", silent)
        )
    return table(("layer", "weights", "mean", "std", "dead units"), rows)


def _branches(unit: str, layer: Module) -> Iterator[tuple[str, Conv2d | Linear]]:
    """Yield the convolutions of a layer (or the linear one) with their names."""
    if isinstance(layer, Conv2d | Linear):
        yield unit, layer
    elif isinstance(layer, Fire):
        for name, member in layer.members().items():
            if isinstance(member, Conv2d):
                yield f"{unit}/{name}", member
