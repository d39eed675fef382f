"""Recipes: a network and how to train it, under a name.

For example, on data that `nps.data.load_cifar10` has read::

    recipe = nps.RECIPES["subset"]
    model = nps.squeezenet(**recipe.network, num_classes=10, seed=0)
    nps.train(model, train_set, test_set, **recipe.settings)
"""

from dataclasses import dataclass
from typing import Any

NETWORK: dict[str, Any] = {
    "version": "cifar",
    "batch_norm": True,
    "bypass": "simple",
    "dropout": 0.0,
}
"""The SqueezeNet of all recipes: with batch normalisation and a bypass it always learns."""


@dataclass(frozen=True)
class Recipe:
    """How to train what.

    Attributes
    ----------
    purpose : str
        What it is for.
    network : dict
        Metaparameters of `squeezenet`.
    settings : dict
        Fields of `Settings` that differ from its defaults.
    whole : bool
        Whether it is for all of CIFAR-10 rather than for the embedded subset.
    """

    purpose: str
    network: dict[str, Any]
    settings: dict[str, Any]
    whole: bool = False


RECIPES = {
    "quick": Recipe("a good network in two minutes", NETWORK, {}),
    "subset": Recipe(
        "the best from the embedded 5,000 pictures in about ten minutes",
        NETWORK,
        {
            "epochs": 80,
            "lr": 0.1,
            "label_smoothing": 0.1,
            "cutout": 8,
            "ema": 0.998,
            "flips": True,
        },
    ),
    "full": Recipe(
        "all of CIFAR-10, in less than an hour",
        NETWORK,
        {
            "epochs": 36,
            "batch_size": 128,
            "lr": 0.2,
            "warmup": 0.2,
            "label_smoothing": 0.1,
            "ema": 0.999,
            "flips": True,
        },
        whole=True,
    ),
}
"""Every recipe by name; "quick" is what `npsqueeze train` does."""
