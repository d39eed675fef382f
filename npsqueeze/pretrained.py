"""Networks that others trained, from whatever file they are kept in."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.checkpoint import HEADER
from npsqueeze.compression.deep_compression import read_deep_compression, stored_counts
from npsqueeze.data import CIFAR10_MEAN, CIFAR10_STD, SOURCES, Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.extra import needs_extra
from npsqueeze.interop.inference import infer_metaparameters
from npsqueeze.interop.names import from_caffe, has_caffe_names
from npsqueeze.interop.safetensors import CLASSES, NETWORK, PREPROCESSING, read_safetensors
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.npz import read_npz
from npsqueeze.runs import load_model
from npsqueeze.state_shapes import check_state

NOTES = (NETWORK, PREPROCESSING, CLASSES)
HEAD_BYTES = 128  # enough to recognise every format
LARGEST_HEADER = 100_000_000  # of a .safetensors file, which says its bytes first


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network with what it takes to show it a picture.

    Attributes
    ----------
    model : SqueezeNet
        In inference mode.
    preprocessing : Preprocessing
        What it makes of a picture, ``preprocessing.read(path)[None]``, the model takes.
    classes : tuple of str, optional
        The name of every label, where the file has them.
    origin : str
        What kind of file it comes from, in words.
    """

    model: SqueezeNet
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None
    origin: str


def load_pretrained(
    path: str | os.PathLike[str], preprocessing: Preprocessing | None = None
) -> Pretrained:
    """Return the network of a file of weights, recognised by its content, whatever its name.

    Known are checkpoints of `train`; .npz and .safetensors files, under torchvision's names or
    Caffe's; ONNX; and the published Deep Compression of SqueezeNet 1.0. Where a file does not hold
    metaparameters, they are inferred from names and shapes. Where neither it nor the caller says
    how a picture becomes the network's input, it is CIFAR-10's way for the version "cifar", Caffe's
    for 1.0 under Caffe's names or in Deep Compression, and torchvision's otherwise.

    Parameters
    ----------
    path : path
    preprocessing : Preprocessing, optional
        Instead of what the file says.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, of another format, or holds no SqueezeNet.
    ImportError
        If the format needs a package that is not installed.
    """
    path = Path(path)
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        arrays = read_npz(path)
        if HEADER in arrays:
            return _of_checkpoint(path, preprocessing)
        texts = {name: str(arrays.pop(name)) for name in NOTES if name in arrays}
        return _of_arrays(path, arrays, texts, preprocessing, ".npz")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_HEADER:
        arrays, texts = read_safetensors(path)
        return _of_arrays(path, arrays, texts, preprocessing, ".safetensors")
    if stored_counts(head) is not None:
        model = _network(read_deep_compression(path), {"version": "1.0", "num_classes": 1000})
        preprocessing = preprocessing or SOURCES["caffe"]
        return Pretrained(model, preprocessing, None, "Deep Compression")
    if head.startswith(b"\x08"):  # the first field of an ONNX model, its format's version
        return _of_onnx(path, preprocessing)
    raise CheckpointError(
        f"{path}: expected weights as .npz, .safetensors, ONNX or Deep Compression, got neither"
    )


def _head(path: Path) -> bytes:
    try:
        if not path.is_file() and path.exists():  # a pipe would be waited for
            raise CheckpointError(f"{path}: cannot be read: expected a file")
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error


def _of_checkpoint(path: Path, preprocessing: Preprocessing | None) -> Pretrained:
    model, metadata = load_model(path)
    if preprocessing is None:
        settings, size = metadata["settings"], metadata["image_size"]
        mean, std = (tuple(np.broadcast_to(settings[name], 3).tolist()) for name in ("mean", "std"))
        preprocessing = Preprocessing(size, size, mean, std)
    return Pretrained(model, preprocessing, tuple(metadata["classes"]), "a training")


def _of_onnx(path: Path, preprocessing: Preprocessing | None) -> Pretrained:
    """ONNX: the one place that knows of its reader."""
    with needs_extra("onnx"):
        from npsqueeze.interop.onnx import (  # type: ignore[import-not-found, unused-ignore]
            load_pretrained as load_onnx,
        )

    pretrained: Pretrained = load_onnx(path)
    return pretrained if preprocessing is None else replace(pretrained, preprocessing=preprocessing)


def _of_arrays(
    path: Path,
    arrays: Mapping[str, Array],
    texts: Mapping[str, str],
    preprocessing: Preprocessing | None,
    kind: str,
) -> Pretrained:
    """Return the network of arrays by name, and of what the file's texts say about it."""
    try:
        notes = {name: json.loads(texts[name]) for name in NOTES if name in texts}
        if preprocessing is None and PREPROCESSING in notes:
            preprocessing = Preprocessing.from_dict(notes[PREPROCESSING])
        caffe = has_caffe_names(arrays)
        state = from_caffe(arrays) if caffe else arrays
        size = None if preprocessing is None else preprocessing.size
        shapes = {name: array.shape for name, array in state.items()}
        config = notes.get(NETWORK) or infer_metaparameters(shapes, size)
        model = _network(state, config)
        classes = _class_names(notes.get(CLASSES), model)
        preprocessing = preprocessing or _usual_preprocessing(model, caffe)
        model.output_shape((1, 3, preprocessing.size, preprocessing.size))
    except Exception as error:  # JSON that is deep, huge or of another kind fails in many ways
        raise CheckpointError(f"{path}: holds no SqueezeNet ({error})") from error
    names = "Caffe's" if caffe else "torchvision's"
    return Pretrained(model, preprocessing, classes, f"{kind} under {names} names")


def _network(state: Mapping[str, Array], config: Mapping[str, Any]) -> SqueezeNet:
    """Build the network of `config` with the weights `state`, in inference mode."""
    check_state(state, config)
    model = squeezenet(**config)
    with np.errstate(over="ignore"):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers of float32, got others")
    return model.eval()


def _class_names(names: Any, model: SqueezeNet) -> tuple[str, ...] | None:
    if names is None:
        return None
    count = model.config["num_classes"]
    if not isinstance(names, list) or len(names) != count:
        raise ValueError(f"{CLASSES}: expected a list of {count} names")
    return tuple(map(str, names))


def _usual_preprocessing(model: SqueezeNet, caffe: bool) -> Preprocessing:
    version = model.config["version"]
    if version == "cifar":
        return Preprocessing(32, 32, CIFAR10_MEAN, CIFAR10_STD)
    return SOURCES["caffe" if caffe and version == "1.0" else "torchvision"]
