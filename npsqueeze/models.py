"""SqueezeNet: one constructor for a design space in which the published nets are points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.functional.fire import BYPASSES
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
from npsqueeze.module import Shape

FIRE_MODULES = 8
HEAD_STD = 0.01  # of the last convolution's weights: the first loss is then close to ln(classes)

_PAPER: dict[str, Any] = {
    "batch_norm": False,
    "bypass": "none",
    "head": "conv",
    "final_relu": True,
    "dropout": 0.5,
    "stem": (96, 7, 2, 0),
    "pool_after": (1, 4, 8),
    "base_e": 128,
    "incr_e": 128,
    "freq": 2,
    "squeeze_ratio": 0.125,
    "expand": {1: 0.5, 3: 0.5},
    "width": 1.0,
    "init": "he",
}
VERSIONS: dict[str, dict[str, Any]] = {
    "1.0": _PAPER,
    "1.1": _PAPER | {"stem": (64, 3, 2, 0), "pool_after": (1, 3, 5)},
    "cifar": _PAPER | {"stem": (64, 3, 1, 1), "pool_after": (1, 3, 5), "final_relu": False},
}


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
    init : "he" or "xavier"
        Scheme of the initial weights; those of the last layer are N(0, 0.01²) always.

    Returns
    -------
    SqueezeNet
        In float32; ``.config`` holds every metaparameter.

    Raises
    ------
    ValueError
        If a metaparameter is not as stated.

    References
    ----------
    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
    size", 2016: table 1 (version 1.0), section 5.1 (metaparameters), section 6 (bypass).
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if version not in VERSIONS:
        raise ValueError(f"version: expected one of {', '.join(VERSIONS)}, got {version!r}")
    config = VERSIONS[version] | given
    if config["head"] == "linear" and final_relu is None:
        config["final_relu"] = False
    if seed is None:
        config["seed"] = int(np.random.SeedSequence().generate_state(1)[0])
    config["num_classes"] = num_classes
    config["stem"] = tuple(config["stem"])
    config["pool_after"] = tuple(config["pool_after"])
    config["expand"] = {int(size): share for size, share in config["expand"].items()}
    _check(config)
    return SqueezeNet(config)


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
        self.classifier = Sequential(_classifier(config, self.feature_channels))
        self._initialize()

    @property
    def feature_channels(self) -> int:
        """The channels that enter the classifier."""
        fires = [layer for layer in self.features.layers.values() if isinstance(layer, Fire)]
        return fires[-1].output_shape((1, 0, 1, 1))[1]

    def forward(self, x: Array) -> Array:
        """Return the logits (N, classes) of the images x (N, 3, H, W).

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
    channels = _scaled(config["stem"][0], config)
    _, kernel_size, stride, padding = config["stem"]
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
            bypass = config["bypass"]
            if bypass != "none":
                same = channels == sum(expand.values())
                bypass = "simple" if same else "none" if bypass == "simple" else "complex"
            append(Fire(channels, squeeze, expand, bypass, batch_norm))
            channels = sum(expand.values())
        if unit in config["pool_after"]:
            append(MaxPool2d(3, stride=2, ceil_mode=True))
    return layers


def _classifier(config: Mapping[str, Any], channels: int) -> dict[str, Module]:
    dropout = Dropout(config["dropout"], config["seed"])
    if config["head"] == "linear":
        linear = Linear(channels, config["num_classes"])
        return {"pool": GlobalAvgPool2d(), "0": dropout, "1": linear}
    layers: dict[str, Module] = {"0": dropout, "1": Conv2d(channels, config["num_classes"], 1)}
    if config["final_relu"]:
        layers["2"] = ReLU()
    return layers | {"3": GlobalAvgPool2d()}


def fire_channels(config: Mapping[str, Any], i: int) -> tuple[int, dict[int, int]]:
    """Return the squeeze filters, and the expand filters by kernel size, of Fire module i.

    e_i = base_e + incr_e·floor(i/freq), s_i = squeeze_ratio·e_i (section 5.1 of the paper). The
    last kernel size takes what rounding leaves, so that the branches always add up to e_i.
    """
    total = _scaled(config["base_e"] + config["incr_e"] * (i // config["freq"]), config)
    sizes = sorted(size for size, share in config["expand"].items() if share > 0)
    counts = [round(config["expand"][size] * total) for size in sizes[:-1]]
    expand = dict(zip(sizes, [*counts, total - sum(counts)], strict=True))
    return max(1, round(config["squeeze_ratio"] * total)), expand


def _scaled(channels: int, config: Mapping[str, Any]) -> int:
    return max(1, round(channels * config["width"]))


def _check(config: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the metaparameter, unless all are as `squeezenet` states."""
    whole = {"num_classes": 1, "base_e": 1, "incr_e": 0, "freq": 1, "seed": 0}
    requirements: list[tuple[str, bool, str]] = [
        (
            name,
            isinstance(config[name], int) and config[name] >= least,
            f"an int of at least {least}",
        )
        for name, least in whole.items()
    ]
    stem, shares = config["stem"], config["expand"]
    requirements += [
        ("bypass", config["bypass"] in BYPASSES, f"one of {', '.join(BYPASSES)}"),
        ("init", config["init"] in SCHEMES, f"one of {', '.join(SCHEMES)}"),
        ("head", config["head"] in ("conv", "linear"), "conv or linear"),
        ("final_relu", config["head"] == "conv" or not config["final_relu"], "False for this head"),
        ("dropout", 0 <= config["dropout"] < 1, "a probability in [0, 1)"),
        (
            "stem",
            len(stem) == 4
            and all(isinstance(v, int) for v in stem)
            and min(stem[:3]) > 0
            and stem[3] >= 0,
            "four ints (channels, kernel_size, stride, padding)",
        ),
        (
            "pool_after",
            all(unit in range(1, FIRE_MODULES + 2) for unit in config["pool_after"]),
            f"units from 1 to {FIRE_MODULES + 1}",
        ),
        ("squeeze_ratio", 0 < config["squeeze_ratio"] <= 1, "a share in (0, 1]"),
        (
            "expand",
            all(size > 0 and size % 2 == 1 and share >= 0 for size, share in shares.items())
            and abs(sum(shares.values()) - 1) < 1e-9,
            "shares for odd kernel sizes that add up to 1",
        ),
        ("width", 0 < config["width"] < np.inf, "a finite factor above 0"),
    ]
    for name, holds, expected in requirements:
        if not holds:
            raise ValueError(f"{name}: expected {expected}, got {config[name]!r}")
    for i in range(FIRE_MODULES):
        _, expand = fire_channels(config, i)
        if min(expand.values()) < 1:
            raise ValueError(
                "expand: expected at least one filter of each kernel size, got none of one in Fire "
                f"module {i} with {sum(expand.values())} filters: larger shares, or a larger width"
            )
