"""The fire module, composed of the other operations."""

from collections.abc import Mapping

import numpy as np

from npsqueeze.arrays import Array, check_shape
from npsqueeze.reference.batchnorm import batch_norm2d, batch_norm2d_backward
from npsqueeze.reference.concat import concat, concat_backward
from npsqueeze.reference.conv import conv2d, conv2d_backward
from npsqueeze.reference.relu import relu, relu_backward


def fire(
    x: Array, parameters: Mapping[str, Array], bypass: str = "none", training: bool = True
) -> Array:
    """Return y (N, F, H, W) for x (N, C, H, W).

        s = relu(squeeze_norm(squeeze(x)))         1x1 convolution to few channels
        y = relu(expand_norm(concat(expand1x1(s), expand3x3(s), ...)))
        y = y + x                                  with the simple bypass
        y = y + conv1x1(x)                         with the complex bypass

    Derived in tutorials/07_fire.ipynb.

    Parameters
    ----------
    x
        The input.
    parameters
        "squeeze.weight", "expand1x1.weight" and so on for each kernel size (odd; the branches are
        concatenated from the smallest to the largest), and "bypass.weight" for the complex bypass;
        to each of them an optional ".bias". Batch normalisation is left out where there is no
        "squeeze_norm.weight" or "expand_norm.weight"; it also has a ".bias", a ".running_mean" and
        a ".running_var", which are updated in training.
    bypass
        "none", "simple" or "complex".
    training
        Whether batch normalisation takes the statistics of the batch, or the running ones.

    Source: Iandola et al. (2016), sections 3.2 and 6.

    Raises
    ------
    ValueError
        If bypass is none of the three, or the shapes do not fit together.
    """
    if bypass not in ("none", "simple", "complex"):
        raise ValueError(f"bypass: expected none, simple or complex, got {bypass!r}")
    squeezed = relu(_norm(_conv(x, parameters, "squeeze"), parameters, "squeeze_norm", training))
    joined = concat([_conv(squeezed, parameters, name) for name in _branches(parameters)])
    y = relu(_norm(joined, parameters, "expand_norm", training))
    if bypass == "simple":
        check_shape("x", x, y.shape)
        y = y + x
    elif bypass == "complex":
        y = y + _conv(x, parameters, "bypass")
    return y


def fire_backward(
    dy: Array,
    x: Array,
    parameters: Mapping[str, Array],
    bypass: str = "none",
    training: bool = True,
) -> tuple[Array, dict[str, Array]]:
    """Return dx (N, C, H, W), and the gradients under the names of the parameters.

    Derived in tutorials/07_fire.ipynb.
    """
    gradients: dict[str, Array] = {}
    # Copies, so that the forward steps done again do not update the running statistics again.
    parameters = {name: array.copy() for name, array in parameters.items()}
    squeeze_output = _conv(x, parameters, "squeeze")
    squeeze_normed = _norm(squeeze_output, parameters, "squeeze_norm", training)
    squeezed = relu(squeeze_normed)
    branches = _branches(parameters)
    expanded = [_conv(squeezed, parameters, name) for name in branches]
    joined = concat(expanded)
    expand_normed = _norm(joined, parameters, "expand_norm", training)

    # y = relu(expand_norm(concat(expanded)))
    d_normed = relu_backward(dy, expand_normed)
    d_joined = _norm_backward(d_normed, joined, parameters, "expand_norm", training, gradients)
    d_expanded = concat_backward(d_joined, expanded)
    # expanded[k] = conv(squeezed), and squeezed collects from every branch
    d_squeezed = np.zeros_like(squeezed)
    for name, d_branch in zip(branches, d_expanded, strict=True):
        d_squeezed += _conv_backward(d_branch, squeezed, parameters, name, gradients)
    # squeezed = relu(squeeze_norm(squeeze(x)))
    d_normed = relu_backward(d_squeezed, squeeze_normed)
    d_squeeze_output = _norm_backward(
        d_normed, squeeze_output, parameters, "squeeze_norm", training, gradients
    )
    dx = _conv_backward(d_squeeze_output, x, parameters, "squeeze", gradients)
    # y = y + x, or y = y + conv1x1(x)
    if bypass == "simple":
        dx = dx + dy
    elif bypass == "complex":
        dx = dx + _conv_backward(dy, x, parameters, "bypass", gradients)
    return dx, gradients


def _branches(parameters: Mapping[str, Array]) -> list[str]:
    """Return "expand1x1", "expand3x3", ...: the names of the branches by kernel size."""
    weights = [
        name for name, array in parameters.items() if name.startswith("expand") and array.ndim == 4
    ]
    weights.sort(key=lambda name: parameters[name].shape[-1])
    return [name.removesuffix(".weight") for name in weights]


def _conv(x: Array, parameters: Mapping[str, Array], name: str) -> Array:
    """Return the convolution called `name`, padded such that the size of x stays."""
    w, b = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
    return conv2d(x, w, b, padding=w.shape[-1] // 2)


def _conv_backward(
    dy: Array, x: Array, parameters: Mapping[str, Array], name: str, gradients: dict[str, Array]
) -> Array:
    """Return dx, and store the gradients of the convolution called `name`."""
    w = parameters[f"{name}.weight"]
    dx, gradients[f"{name}.weight"], db = conv2d_backward(dy, x, w, padding=w.shape[-1] // 2)
    if f"{name}.bias" in parameters:
        gradients[f"{name}.bias"] = db
    return dx


def _norm(x: Array, parameters: Mapping[str, Array], name: str, training: bool) -> Array:
    """Return the batch normalisation called `name`, or x where there is none."""
    if f"{name}.weight" not in parameters:
        return x
    w, b, mean, var = (
        parameters[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return batch_norm2d(x, w, b, mean, var, training)


def _norm_backward(
    dy: Array,
    x: Array,
    parameters: Mapping[str, Array],
    name: str,
    training: bool,
    gradients: dict[str, Array],
) -> Array:
    """Return dx, and store the gradients of the batch normalisation called `name`."""
    if f"{name}.weight" not in parameters:
        return dy
    w, mean, var = (
        parameters[f"{name}.{part}"] for part in ("weight", "running_mean", "running_var")
    )
    dx, dw, db = batch_norm2d_backward(dy, x, w, mean, var, training)
    gradients[f"{name}.weight"], gradients[f"{name}.bias"] = dw, db
    return dx
