"""Weights in .safetensors files, under torchvision's names."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from npsqueeze.arrays import Array
from npsqueeze.data import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.files import write_whole
from npsqueeze.interop.extra import needs_extra
from npsqueeze.models import SqueezeNet

NETWORK, PREPROCESSING, CLASSES = "squeezenet", "preprocessing", "classes"
"""Keys of the metadata, each with a JSON text; an .npz file may hold such texts as arrays."""


def save_safetensors(
    path: str | os.PathLike[str],
    model: SqueezeNet,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """Write the state of `model`, with all that `nps.load_pretrained` needs to name pictures.

    Other programs read the arrays under torchvision's names. The metadata hold, as JSON, the
    metaparameters ("squeezenet") and, where given, "preprocessing" and "classes".

    Raises
    ------
    ImportError
        If safetensors is not installed.
    ValueError
        If there are not as many `classes` as the model has.
    CheckpointError
        If the file cannot be written.
    """
    with needs_extra("safetensors"):
        from safetensors.numpy import save

    metadata = {NETWORK: json.dumps(model.config)}
    if preprocessing is not None:
        metadata[PREPROCESSING] = json.dumps(preprocessing.as_dict())
    if classes is not None:
        if len(classes) != model.config["num_classes"]:
            raise ValueError(
                f"classes: expected {model.config['num_classes']} names, got {len(classes)}"
            )
        metadata[CLASSES] = json.dumps(list(classes))
    write_whole(path, save(model.state_dict(), metadata))


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a file by name, and its metadata.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    CheckpointError
        If the file cannot be read, is damaged, or holds numbers that NumPy has no type for.
    """
    with needs_extra("safetensors"):
        from safetensors import safe_open

    try:
        with safe_open(Path(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # its own errors, and NumPy's for types such as bfloat16
        raise CheckpointError(f"{path}: damaged, or no .safetensors file ({error})") from error
