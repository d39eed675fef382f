"""SqueezeNet: one constructor for a design space in which the published nets are points."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.generators import INITIALIZATION, generator
from npsqueeze.init import SCHEMES, normal
from npsqueeze.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Fire,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from npsqueeze.metaparameters import FIRE_MODULES, VERSIONS, complete, fire_channels, scaled
from npsqueeze.module import Shape

__all__ = ["VERSIONS", "SqueezeNet", "squeezenet"]

HEAD_STD = 0.01  # of the last convolution's weights: the first loss is then close to ln(classes)


def squeezenet(
    version: str = "1.1",
    *,
    num_classes: int = 1000,
    seed: int | None = None,
    batch_norm: bool | None = None,
    bypass: str | None = None,
    head: str | None = None,
    final_relu: bool | None = None,
    dropout: float | None = None,
    stem: Sequence[int] | None = None,
    pool_after: Sequence[int] | None = None,
    base_e: int | None = None,
    incr_e: int | None = None,
    freq: int | None = None,
    squeeze_ratio: float | None = None,
    expand: Mapping[int, float] | None = None,
    width: float | None = None,
    init: str | None = None,
) -> "SqueezeNet":
    """Build a SqueezeNet; what is not given is as in the named version.

    Parameters
    ----------
    version : "1.0", "1.1" or "cifar"
        The network of the paper; its cheaper successor; the latter for pictures of 32x32 pixels.
    num_classes : int
    seed : int, optional
        Of the initial weights and of dropout; drawn anew if not given.
    batch_norm : bool
        Normalise before each ReLU but the last (none in the paper).
    bypass : "none", "simple" or "complex"
        Add the input of a Fire module to its output: where the channels agree, or (complex)
        everywhere, through a 1x1 convolution where they do not.
    head : "conv" or "linear"
        A 1x1 convolution and a global average, or the average and a linear layer.
    final_relu : bool
        Whether a ReLU follows the last convolution.
    dropout : float
        Probability, before the last layer.
    stem : (channels, kernel_size, stride, padding)
        The first convolution.
    pool_after : sequence of int
        The units that a 3x3 max pooling with stride 2 (ceil mode) follows: 1 is the stem,
        2 to 9 are the Fire modules.
    base_e, incr_e, freq : int
        Fire module i = 0 … 7 has base_e + incr_e·floor(i/freq) expand filters.
    squeeze_ratio : float
        Its squeeze filters, as a share of the expand filters.
    expand : mapping of odd kernel size to share
        How the expand filters are shared out; the paper's pct_3x3 is ``expand[3]``.
    width : float
        Factor of all channels but the classes.
    init : "he", "he-uniform" or "xavier"
        Scheme of the initial weights; those of the last layer are N(0, 0.01²) always.

    Returns
    -------
    SqueezeNet
        In float32; ``.config`` holds every metaparameter, in plain Python types.

    Raises
    ------
    ValueError
        If a metaparameter is not as stated; the message names it.

    References
    ----------
    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
    size", 2016: table 1 (version 1.0), section 5.1 (metaparameters), section 6 (bypass).
    """
    given = {name: value for name, value in locals().items() if value is not None}
    return SqueezeNet(complete(given))


class SqueezeNet(Module):
    """The network: `features` (stem, pools, Fire modules) and `classifier`, as in torchvision.

    Parameters
    ----------
    config : mapping
        Every metaparameter of `squeezenet`, which is the way to build one.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.features = Sequential(_features(config))
        self.classifier = Sequential(_classifier(config))
        self._initialize()

    def forward(self, x: Array) -> Array:
        """Return the logits (N, classes) of the images x (N, 3, H, W).

        Raises
        ------
        TypeError, ValueError
            As `check_input`.
        """
        self.check_input(x)
        return self.classifier.forward(self.features.forward(x))

    def backward(self, dy: Array) -> Array:
        """Return dx for the gradient of the loss with respect to the logits."""
        return self.features.backward(self.classifier.backward(dy))

    def output_shape(self, shape: Shape) -> Shape:
        """Return (N, classes).

        Raises
        ------
        ValueError
            If `shape` is not (N, 3, H, W) with at least one image, or too small to be pooled.
        """
        if len(shape) != 4 or shape[1] != 3 or shape[0] < 1:
            raise ValueError(f"x: expected shape (N, 3, H, W) with N of at least 1, got {shape}")
        try:
            return self.classifier.output_shape(self.features.output_shape(shape))
        except ValueError as error:
            raise ValueError(
                f"x: {shape[2]}x{shape[3]} pixels are too few for this network: nothing would be "
                "left after its pooling layers"
            ) from error

    def check_input(self, x: Array) -> None:
        """Raise unless x are images that the network can take.

        Raises
        ------
        TypeError
            If x is not of the parameters' type.
        ValueError
            If x has another shape, is too small for the pooling chain, or holds a NaN or infinity.
        """
        dtype = self.parameters()[0].data.dtype
        if not isinstance(x, np.ndarray) or x.dtype != dtype:
            found = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(f"x: expected an array of {dtype}, the model's type, got {found}")
        self.output_shape(x.shape)
        if not np.isfinite(x).all():
            raise ValueError(f"x: expected finite numbers, got {(~np.isfinite(x)).sum()} others")

    def named_layers(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers from the first to the last, with their names in the `state_dict`."""
        for part in ("features", "classifier"):
            for name, layer in getattr(self, part).layers.items():
                yield f"{part}.{name}", layer

    def twin(self) -> "SqueezeNet":
        """Return a network in inference mode that computes the same and shares no array with it.

        Its passes leave this one's gradients, running statistics and caches as they are.
        """
        twin = SqueezeNet(self.config).astype(self.parameters()[0].data.dtype)
        twin.load_state_dict(self.state_dict())
        return twin.eval()

    def _initialize(self) -> None:
        """Draw the weights by the scheme, those of the last layer smaller; biases stay zero.

        With He's scale for the last layer too, logits would start out large, and the first steps
        would be spent on shrinking them.
        """
        scheme = SCHEMES[self.config["init"]]
        draw = generator((self.config["seed"], INITIALIZATION, 0))
        for name, parameter in self.named_parameters():
            shape = parameter.data.shape
            if name.startswith("classifier.") and len(shape) > 1:
                parameter.data[...] = normal(shape, draw, HEAD_STD)
            elif len(shape) > 1:
                parameter.data[...] = scheme(shape, draw)


def _features(config: Mapping[str, Any]) -> dict[str, Module]:
    """Return the layers up to the last Fire module, numbered as torchvision's.

    What torchvision has no layer for gets a name instead of a number, and shifts none.
    """
    batch_norm = config["batch_norm"]
    channels, kernel_size, stride, padding = config["stem"]
    channels = scaled(channels, config)
    stem = Conv2d(3, channels, kernel_size, stride, padding, bias=not batch_norm)
    layers: dict[str, Module] = {"0": stem}
    if batch_norm:
        layers["0_norm"] = BatchNorm2d(channels)
    index = 1

    def append(layer: Module) -> None:
        nonlocal index
        layers[str(index)] = layer
        index += 1

    append(ReLU())
    for unit in range(1, FIRE_MODULES + 2):
        if unit > 1:
            squeeze, expand = fire_channels(config, unit - 2)
            filters = sum(expand.values())
            bypass = config["bypass"]
            if bypass == "complex" and channels == filters:
                bypass = "simple"  # x itself fits
            elif bypass == "simple" and channels != filters:
                bypass = "none"
            append(Fire(channels, squeeze, expand, bypass, batch_norm))
            channels = filters
        if unit in config["pool_after"]:
            append(MaxPool2d(3, stride=2, ceil_mode=True))
    return layers


def _classifier(config: Mapping[str, Any]) -> dict[str, Module]:
    _, expand = fire_channels(config, FIRE_MODULES - 1)
    channels = sum(expand.values())
    dropout = Dropout(config["dropout"], seed=config["seed"])
    if config["head"] == "linear":
        linear = Linear(channels, config["num_classes"])
        return {"pool": GlobalAvgPool2d(), "0": dropout, "1": linear}
    layers: dict[str, Module] = {"0": dropout, "1": Conv2d(channels, config["num_classes"], 1)}
    if config["final_relu"]:
        layers["2"] = ReLU()
    return layers | {"3": GlobalAvgPool2d()}
