"""The fire module, composed of the other operations."""

from collections.abc import Mapping

import numpy as np

from npsqueeze.arrays import Array, check_shape
from npsqueeze.reference.concat import concat, concat_backward
from npsqueeze.reference.conv import conv2d, conv2d_backward
from npsqueeze.reference.relu import relu, relu_backward


def fire(x: Array, parameters: Mapping[str, Array], bypass: str = "none") -> Array:
    """Return y (N, F, H, W) for x (N, C, H, W).

        s = relu(squeeze(x))                       1x1 convolution to few channels
        y = relu(concat(expand1x1(s), expand3x3(s), ...))
        y = y + x                                  with the simple bypass
        y = y + conv1x1(x)                         with the complex bypass

    Parameters
    ----------
    x
        The input.
    parameters
        "squeeze.weight", "squeeze.bias", "expand1x1.weight", "expand1x1.bias" and so on for each
        kernel size (odd; the branches are concatenated from the smallest to the largest), and
        "bypass.weight", "bypass.bias" for the complex bypass.
    bypass
        "none", "simple" or "complex".

    Source: Iandola et al. (2016), sections 3.2 and 6.

    Raises
    ------
    ValueError
        If bypass is none of the three, or the shapes do not fit together.
    """
    if bypass not in ("none", "simple", "complex"):
        raise ValueError(f"bypass: expected none, simple or complex, got {bypass!r}")
    squeezed = relu(_conv(x, parameters, "squeeze"))
    y = relu(concat([_conv(squeezed, parameters, name) for name in _branches(parameters)]))
    if bypass == "simple":
        check_shape("x", x, y.shape)
        y = y + x
    elif bypass == "complex":
        y = y + _conv(x, parameters, "bypass")
    return y


def fire_backward(
    dy: Array, x: Array, parameters: Mapping[str, Array], bypass: str = "none"
) -> tuple[Array, dict[str, Array]]:
    """Return dx (N, C, H, W), and the gradients under the names of the parameters."""
    gradients: dict[str, Array] = {}
    squeeze_output = _conv(x, parameters, "squeeze")
    squeezed = relu(squeeze_output)
    branches = _branches(parameters)
    expanded = [_conv(squeezed, parameters, name) for name in branches]

    # y = relu(concat(expanded))
    d_expanded = concat_backward(relu_backward(dy, concat(expanded)), expanded)
    # expanded[k] = conv(squeezed), and squeezed collects from every branch
    d_squeezed = np.zeros_like(squeezed)
    for name, d_branch in zip(branches, d_expanded, strict=True):
        d_squeezed += _conv_backward(d_branch, squeezed, parameters, name, gradients)
    # squeezed = relu(squeeze(x))
    d_squeeze_output = relu_backward(d_squeezed, squeeze_output)
    dx = _conv_backward(d_squeeze_output, x, parameters, "squeeze", gradients)
    # y = y + x, or y = y + conv1x1(x)
    if bypass == "simple":
        dx = dx + dy
    elif bypass == "complex":
        dx = dx + _conv_backward(dy, x, parameters, "bypass", gradients)
    return dx, gradients


def _branches(parameters: Mapping[str, Array]) -> list[str]:
    """Return "expand1x1", "expand3x3", ...: the names of the branches by kernel size."""
    weights = [name for name in parameters if name.startswith("expand") and name.endswith("weight")]
    weights.sort(key=lambda name: parameters[name].shape[-1])
    return [name.removesuffix(".weight") for name in weights]


def _conv(x: Array, parameters: Mapping[str, Array], name: str) -> Array:
    """Return the convolution called `name`, padded such that the size of x stays."""
    w, b = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    return conv2d(x, w, b, padding=w.shape[-1] // 2)


def _conv_backward(
    dy: Array, x: Array, parameters: Mapping[str, Array], name: str, gradients: dict[str, Array]
) -> Array:
    """Return dx, and store the gradients of the convolution called `name`."""
    w = parameters[f"{name}.weight"]
    dx, dw, db = conv2d_backward(dy, x, w, padding=w.shape[-1] // 2)
    gradients[f"{name}.weight"], gradients[f"{name}.bias"] = dw, db
    return dx
