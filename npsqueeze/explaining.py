"""Where a network looks: three maps over a picture that tell what speaks for a class.

Each works on a twin of the network, whose own gradients, mode and caches stay as they are.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.layers import Conv2d, Fire, Linear, ReLU, Sequential
from npsqueeze.models import SqueezeNet

__all__ = ["class_activation_map", "evidence", "grad_cam", "saliency"]


def evidence(f: Array, w: Array, b: Array, labels: Array) -> Array:
    r"""Return what each pixel p of the features says for the class c, and against it.

    .. math:: M_c(p) = \sum_k w_{ck}\, f_k(p) + b_c

    Derived in tutorials/12_looking_inside.ipynb.

    Parameters
    ----------
    f : (N, K, h, w)
        The features before the global average.
    w : (classes, K)
        The weights of the last layer, and
    b : (classes,)
        its biases.
    labels : (N,) integers
        The class that each picture is asked about.

    Returns
    -------
    array, shape (N, h, w)
    """
    maps: Array = (w[labels, :, None, None] * f).sum(axis=1) + b[labels, None, None]
    return maps


def class_activation_map(model: SqueezeNet, x: Array, labels: Array) -> Array:
    r"""Return the map whose mean over the pixels p is the class's logit.

    .. math:: M_c(p) = \sum_k w_{ck}\, f_k(p) + b_c, \qquad z_c = \frac1P \sum_p M_c(p)

    f are the features before the head, and w, b its linear layer or 1x1 convolution. Where a ReLU
    follows the convolution, the map is what leaves the ReLU. The paper leaves out b, which shifts
    the whole map.

    Derived in tutorials/12_looking_inside.ipynb.

    Parameters
    ----------
    model : SqueezeNet
    x : (N, 3, H, W)
        In the model's type.
    labels : (N,) integers
        The class that each picture is asked about.

    Returns
    -------
    array, shape (N, h, w)
        Evidence for the class (positive) and against it, at the size of the last features.

    Raises
    ------
    TypeError, ValueError
        If x does not suit the model, or a label is no class of it.

    References
    ----------
    Zhou et al., "Learning Deep Features for Discriminative Localization", 2016, section 2.
    """
    _check(model, x, labels)
    twin = model.twin()
    f = twin.features.forward(x)
    head = list(twin.classifier.layers.values())
    last = next(layer for layer in head if isinstance(layer, Conv2d | Linear))
    w, b = last.parameters()
    maps = evidence(f, w.data.reshape(len(w.data), -1), b.data, labels)
    has_relu = any(isinstance(layer, ReLU) for layer in head)
    return np.maximum(maps, 0) if has_relu else maps


def grad_cam(model: SqueezeNet, x: Array, labels: Array) -> Array:
    r"""Return the channels of the last Fire module, weighted by their gradients, where positive.

    .. math:: \alpha_k = \frac1P \sum_p \frac{\partial z_c}{\partial A_k(p)}, \qquad
              L_c(p) = \max\Bigl(\sum_k \alpha_k A_k(p),\, 0\Bigr)

    A is the module's output. Where nothing but a linear head follows (no ReLU, no pooling),
    ∂z_c/∂A_k(p) = w_ck/P at each of the P pixels, and so P·L_c is the positive part of the class
    activation map without its b_c.

    Derived in tutorials/12_looking_inside.ipynb.

    Parameters
    ----------
    model, x, labels
        As for `class_activation_map`.

    Returns
    -------
    array, shape (N, h, w)
        At the size of the last Fire module's output.

    Raises
    ------
    TypeError, ValueError
        As `class_activation_map`.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", 2017, section 3.
    """
    _check(model, x, labels)
    twin = model.twin()
    layers = dict(twin.named_layers())
    *_, last_fire = (name for name, layer in layers.items() if isinstance(layer, Fire))
    split = list(layers).index(last_fire) + 1
    before = Sequential(dict(list(layers.items())[:split]))
    behind = Sequential(dict(list(layers.items())[split:]))

    a = before.forward(x)
    z = behind.forward(a)
    da = behind.backward(_one_hot(labels, z))
    alpha = da.mean(axis=(2, 3))
    return np.maximum((alpha[:, :, None, None] * a).sum(axis=1), 0)


def saliency(model: SqueezeNet, x: Array, labels: Array) -> Array:
    r"""Return how strongly the class's logit reacts to each pixel.

    .. math:: S_c(p) = \max_k \Bigl|\frac{\partial z_c}{\partial x_k(p)}\Bigr|

    k runs over red, green and blue.

    Derived in tutorials/12_looking_inside.ipynb.

    Parameters
    ----------
    model, x, labels
        As for `class_activation_map`.

    Returns
    -------
    array, shape (N, H, W)

    Raises
    ------
    TypeError, ValueError
        As `class_activation_map`.

    References
    ----------
    Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks: Visualising Image
    Classification Models and Saliency Maps", 2014, section 3.
    """
    _check(model, x, labels)
    twin = model.twin()
    z = twin.forward(x)
    dx = twin.backward(_one_hot(labels, z))
    return np.abs(dx).max(axis=1)


def _one_hot(labels: Array, z: Array) -> Array:
    """Return the gradient of the sum of each picture's z_c with respect to z."""
    dz = np.zeros_like(z)
    dz[np.arange(len(z)), labels] = 1
    return dz


def _check(model: SqueezeNet, x: Array, labels: Array) -> None:
    """Raise TypeError or ValueError unless x suits the model and has a class for each picture."""
    model.check_input(x)
    labels = np.asarray(labels)
    classes = model.config["num_classes"]
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if labels.shape != (len(x),) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels: expected {len(x)} numbers from 0 to {classes - 1}, one for each picture, "
            f"got {labels.tolist()}"
        )
