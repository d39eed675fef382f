"""From a network and pictures to the files that show what is inside it, and where it looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npsqueeze import plots
from npsqueeze.arrays import Array
from npsqueeze.explaining import class_activation_map, grad_cam, saliency
from npsqueeze.inspection import activations, dead_units, weights
from npsqueeze.models import SqueezeNet

FIGURES = ("filters.png", "activations.png", "weights.png", "dead.png")
MAPS = {"class activation map": class_activation_map, "Grad-CAM": grad_cam, "saliency": saliency}


def draw_explanations(
    model: SqueezeNet,
    x: Array,
    images: Array,
    labels: Array,
    titles: Sequence[str],
    path: str | Path,
) -> None:
    """Write one figure with the three maps of `npsqueeze.explaining` over each picture.

    Parameters
    ----------
    model : SqueezeNet
    x : (N, 3, H, W)
        The pictures as the network's input, and
    images : (N, 3, H, W) of uint8
        as one sees them.
    labels : (N,) integers
        The class that each picture is asked about.
    titles : sequence of str
        What stands above each picture.
    path : path
        Of the PNG.

    Raises
    ------
    FileNotFoundError
        If there is no folder to write it to.
    """
    pictures = [slice(i, i + 1) for i in range(len(x))]  # by itself: the caches are large
    maps = {
        name: np.concatenate([explain(model, x[i], labels[i]) for i in pictures])
        for name, explain in MAPS.items()
    }
    plots.explanations(images, maps, titles, path)


def draw_inspection(
    model: SqueezeNet, x: Array, images: Array, folder: str | Path
) -> dict[str, Array]:
    """Write the figures of what is inside a network, and return its `dead_units` on x.

    They are `FIGURES`; the activations are those of the first picture.

    Parameters
    ----------
    model : SqueezeNet
    x : (N, 3, H, W)
        The pictures as the network's input, and
    images : (N, 3, H, W) of uint8
        as one sees them.
    folder : path
        Is made if it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    branches: dict[str, list[Array]] = {}
    for name, y in activations(model, x[:1]).items():
        unit, _, branch = name.partition("/")
        if branch.startswith("expand"):
            branches.setdefault(unit, []).append(y[0])
    maps = {unit: np.concatenate(parts) for unit, parts in branches.items()}
    all_weights, dead = weights(model), dead_units(model, x)
    filters, activation, weight, units = (folder / name for name in FIGURES)
    plots.first_layer_filters(all_weights["conv1"], filters)
    plots.activation_maps(images[0], maps, activation)
    plots.weight_histograms(all_weights, weight)
    plots.dead_units(dead, len(x), units)
    return dead
