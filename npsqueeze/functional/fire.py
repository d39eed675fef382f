"""The Fire module: squeeze to a few channels, expand with several kernel sizes side by side."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array, as_gradient, check_shape
from npsqueeze.functional.batchnorm import batch_norm2d_backward, batch_norm2d_forward
from npsqueeze.functional.concat import concat_backward, concat_forward
from npsqueeze.functional.conv import conv2d_backward, conv2d_forward
from npsqueeze.functional.relu import relu_backward, relu_forward

BYPASSES = ("none", "simple", "complex")
NORMALISATIONS = ("squeeze_norm", "expand_norm")
NORMALISATION_PARTS = ("weight", "bias", "running_mean", "running_var")


class FireCache(NamedTuple):
    """The caches of the steps, by name, in the order of the forward pass."""

    steps: dict[str, Any]
    branches: tuple[str, ...]
    bypass: str


def fire_forward(
    x: Array, parameters: Mapping[str, Array], bypass: str = "none", training: bool = True
) -> tuple[Array, FireCache]:
    """Squeeze with 1x1 filters, expand with 1x1 and 3x3 (or 5x5 …) ones, and join the results.

        s = relu(conv1x1(x))
        y = relu(concat(conv1x1(s), conv3x3(s), …))
        y = y + x                                            with the simple bypass
        y = y + conv1x1(x)                                   with the complex bypass

    The expand convolutions are padded so that all keep the image's size. Where `parameters` hold a
    `squeeze_norm` or an `expand_norm`, batch normalisation comes before that ReLU.

    Derived in tutorials/07_fire.ipynb.

    Parameters
    ----------
    x : (N, C, H, W)
    parameters : mapping of names to arrays
        ``squeeze.weight`` (S, C, 1, 1), ``expand1x1.weight`` (F1, S, 1, 1), ``expand3x3.weight``
        (F3, S, 3, 3) and any other odd ``expandKxK.weight``, ``bypass.weight`` (ΣF, C, 1, 1), each
        with an optional ``….bias``; ``squeeze_norm`` and ``expand_norm`` with ``.weight``,
        ``.bias``, ``.running_mean`` and ``.running_var`` (the last two are updated in training).
    bypass : "none", "simple" or "complex"
    training : bool
        Whether batch normalisation uses the batch's statistics.

    Returns
    -------
    y : (N, ΣF, H, W)
        The expand branches in the order of their kernel sizes.
    cache : for `fire_backward`

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, a parameter is missing or has no use, or a simple bypass
        would have to change the channels.

    References
    ----------
    Iandola et al., "SqueezeNet", 2016, sections 3.2 and 6 (figure 2).
    """
    x = as_float_array("x", x, 4)
    if bypass not in BYPASSES:
        raise ValueError(f"bypass: expected one of {', '.join(BYPASSES)}, got {bypass!r}")
    branches = _branches(parameters)  # names and kernel sizes
    _check_names(parameters, branches, bypass)
    steps: dict[str, Any] = {}

    def run(name: str, forward: Any, *inputs: Any, **options: Any) -> Array:
        y: Array
        try:
            y, steps[name] = forward(*inputs, **options)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
        return y

    def convolution(name: str, inputs: Array, kernel_size: int = 1) -> Array:
        w = as_float_array(f"{name}.weight", parameters[f"{name}.weight"], 4)
        check_shape(f"{name}.weight", w, (*w.shape[:2], kernel_size, kernel_size))
        b = parameters.get(f"{name}.bias")
        return run(name, conv2d_forward, inputs, w, b, padding=kernel_size // 2)

    def normalisation(name: str, inputs: Array) -> Array:
        if f"{name}.weight" not in parameters:
            return inputs
        arrays = (parameters[f"{name}.{part}"] for part in NORMALISATION_PARTS)
        return run(name, batch_norm2d_forward, inputs, *arrays, training=training)

    squeezed = normalisation("squeeze_norm", convolution("squeeze", x))
    squeezed = run("squeeze_relu", relu_forward, squeezed)
    expanded = [convolution(name, squeezed, size) for name, size in branches.items()]
    joined = run("concat", concat_forward, expanded)
    y = run("expand_relu", relu_forward, normalisation("expand_norm", joined))
    if bypass == "simple":
        check_shape("x (for a simple bypass)", x, y.shape)
        y = y + x
    elif bypass == "complex":
        y = y + convolution("bypass", x)
    return y, FireCache(steps, tuple(branches), bypass)


def fire_backward(dy: Array, cache: FireCache) -> tuple[Array, dict[str, Array]]:
    """Return dx and the gradients of all parameters, by name.

    The forward pass read backwards. Where one array went two ways (the squeezed one into every
    branch, x into squeeze and bypass) its gradient is the sum over the ways.

    Derived in tutorials/07_fire.ipynb.
    """
    steps = cache.steps
    dy = as_gradient(dy, steps["expand_relu"].shape, steps["expand_relu"].dtype)
    gradients: dict[str, Array] = {}

    def back(name: str, backward: Any, dy: Array) -> Array:
        if name not in steps:  # a batch normalisation that is not there
            return dy
        dx: Array
        dx, dw, db = backward(dy, steps[name])
        gradients[f"{name}.weight"] = dw
        if db is not None:
            gradients[f"{name}.bias"] = db
        return dx

    # forward: y = relu(expand_norm(joined)) + shortcut
    djoined = relu_backward(dy, steps["expand_relu"])
    djoined = back("expand_norm", batch_norm2d_backward, djoined)
    # forward: joined = concat(conv(squeezed) for every branch)
    dbranches = concat_backward(djoined, steps["concat"])
    dsqueezed = np.zeros_like(steps["squeeze_relu"])
    for branch, dbranch in zip(cache.branches, dbranches, strict=True):
        dsqueezed += back(branch, conv2d_backward, dbranch)
    # forward: squeezed = relu(squeeze_norm(conv(x)))
    dsqueezed = relu_backward(dsqueezed, steps["squeeze_relu"])
    dsqueezed = back("squeeze_norm", batch_norm2d_backward, dsqueezed)
    dx = back("squeeze", conv2d_backward, dsqueezed)
    # forward: shortcut = x, or conv(x)
    if cache.bypass == "simple":
        dx = dx + dy
    elif cache.bypass == "complex":
        dx = dx + back("bypass", conv2d_backward, dy)
    return dx, gradients


def _branches(parameters: Mapping[str, Array]) -> dict[str, int]:
    """Return the names of the expand convolutions and their kernel sizes, in ascending order."""
    sizes = sorted(
        int(match[1])
        for name in parameters
        if (match := re.fullmatch(r"expand(\d+)x\1\.weight", name))
    )
    if not sizes or any(size % 2 == 0 for size in sizes):
        raise ValueError(
            "parameters: expected at least one expandKxK.weight, each K odd, "
            f"got {', '.join(parameters) or 'none'}"
        )
    return {f"expand{size}x{size}": size for size in sizes}


def _check_names(parameters: Mapping[str, Array], branches: Iterable[str], bypass: str) -> None:
    """Raise ValueError unless all that is needed is there, and nothing that has no use."""
    convolutions = ["squeeze", *branches] + ["bypass"] * (bypass == "complex")
    norms = {name.partition(".")[0] for name in parameters} & set(NORMALISATIONS)
    required = {f"{name}.weight" for name in convolutions}
    required |= {f"{name}.{part}" for name in norms for part in NORMALISATION_PARTS}
    missing = required - parameters.keys()
    unused = parameters.keys() - required - {f"{name}.bias" for name in convolutions}
    if missing or unused:
        raise ValueError(
            f"parameters: expected {', '.join(sorted(missing)) or 'no more'}, "
            f"got {', '.join(sorted(unused)) or 'none'} without a use (bypass {bypass!r})"
        )
