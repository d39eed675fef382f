"""Names of weights: Caffe's, under which SqueezeNet was published, and ours, torchvision's."""

from collections.abc import Iterable, Mapping

from npsqueeze.arrays import Array
from npsqueeze.metaparameters import FIRE_MODULES, VERSIONS, fire_index

PARTS = ("squeeze", "expand1x1", "expand3x3")


def has_caffe_names(names: Iterable[str]) -> bool:
    """Return whether `names` are Caffe's: its first layer is ``conv1``."""
    return "conv1.weight" in names


def from_caffe(state: Mapping[str, Array]) -> dict[str, Array]:
    """Return `state` with our names for Caffe's.

    Which version it is, 1.0 or 1.1, tells the first convolution: 7x7 or 3x3.

    Raises
    ------
    ValueError
        If a name is not one of SqueezeNet's.
    """
    return _renamed(state, caffe_names(_version(state, "conv1.weight")))


def to_caffe(state: Mapping[str, Array]) -> dict[str, Array]:
    """Return `state` with Caffe's names for ours, in which only 1.0 and 1.1 can be said.

    Raises
    ------
    ValueError
        If a name has no counterpart, such as a batch normalisation's.
    """
    names = caffe_names(_version(state, "features.0.weight"))
    return _renamed(state, {ours: theirs for theirs, ours in names.items()})


def caffe_names(version: str) -> dict[str, str]:
    """Return our name for each of Caffe's, such as features.0.bias for conv1.bias."""
    pool_after = VERSIONS[version]["pool_after"]
    layers = {"conv1": "features.0"}
    for i in range(FIRE_MODULES):
        for part in PARTS:
            theirs = "squeeze1x1" if part == "squeeze" else part
            layers[f"fire{i + 2}/{theirs}"] = f"features.{fire_index(i, pool_after)}.{part}"
    layers["conv10"] = "classifier.1"
    return {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in layers.items()
        for kind in ("weight", "bias")
    }


def _version(state: Mapping[str, Array], stem: str) -> str:
    if stem not in state:
        raise ValueError(f"{stem}: expected the first convolution under this name, got none")
    return "1.0" if state[stem].shape[-2:] == (7, 7) else "1.1"


def _renamed(state: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    unknown = sorted(state.keys() - names.keys())
    if unknown:
        raise ValueError(f"{unknown[0]}: expected a name of SqueezeNet 1.0 or 1.1, got this one")
    return {names[name]: array for name, array in state.items()}
