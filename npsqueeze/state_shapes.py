"""The state of a network before there is one: its names and shapes, at no cost of memory."""

from collections.abc import Mapping
from typing import Any

from npsqueeze.arrays import Array, check_shape
from npsqueeze.functional.fire import NORMALISATION_PARTS
from npsqueeze.metaparameters import FIRE_MODULES, complete, fire_channels, fire_index, scaled
from npsqueeze.module import Shape, check_names


def state_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the name and the shape of every array in the state of ``squeezenet(**config)``.

    Raises
    ------
    ValueError
        If a metaparameter is not as `squeezenet` states.
    """
    config = complete(dict(config))
    shapes: dict[str, Shape] = {}

    def convolution(name: str, filters: int, channels: int, size: int, bias: bool) -> None:
        shapes[f"{name}.weight"] = (filters, channels, size, size)
        if bias:
            shapes[f"{name}.bias"] = (filters,)

    def normalisation(name: str, channels: int) -> None:
        if batch_norm:
            shapes.update({f"{name}.{part}": (channels,) for part in NORMALISATION_PARTS})

    batch_norm, bias = config["batch_norm"], not config["batch_norm"]
    channels, kernel_size = scaled(config["stem"][0], config), config["stem"][1]
    convolution("features.0", channels, 3, kernel_size, bias)
    normalisation("features.0_norm", channels)
    for i in range(FIRE_MODULES):
        fire = f"features.{fire_index(i, config['pool_after'])}"
        squeeze, expand = fire_channels(config, i)
        filters = sum(expand.values())
        convolution(f"{fire}.squeeze", squeeze, channels, 1, bias)
        normalisation(f"{fire}.squeeze_norm", squeeze)
        for size, count in expand.items():
            convolution(f"{fire}.expand{size}x{size}", count, squeeze, size, bias)
        normalisation(f"{fire}.expand_norm", filters)
        if config["bypass"] == "complex" and channels != filters:
            convolution(f"{fire}.bypass", filters, channels, 1, True)
        channels = filters
    convolution("classifier.1", config["num_classes"], channels, 1, True)
    if config["head"] == "linear":
        shapes["classifier.1.weight"] = (config["num_classes"], channels)
    return shapes


def check_state(state: Mapping[str, Array], config: Mapping[str, Any]) -> None:
    """Raise ValueError unless `state` has the names and shapes of ``squeezenet(**config)``.

    A file can describe a network that fills the memory; what passes here is as large as its file.
    """
    shapes = state_shapes(config)
    check_names(shapes.keys(), state.keys())
    for name, shape in shapes.items():
        check_shape(f"state[{name!r}]", state[name], shape)
