"""Networks from ONNX files."""

import json
import os
from typing import TYPE_CHECKING, Any

from npsqueeze.data.preprocessing import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx.graph import Graph
from npsqueeze.interop.onnx.matching import find_squeezenet
from npsqueeze.interop.onnx.reading import Contents, read
from npsqueeze.module import Module, Shape

if TYPE_CHECKING:
    from npsqueeze.pretrained import Pretrained

CLASSES, CONFIG, PREPROCESSING = "classes", "npsqueeze", "preprocessing"
"""The remarks, JSON each, that our own files carry."""


def load(path: str | os.PathLike[str]) -> Graph:
    """Return the network of an ONNX file, layer by layer, in inference mode.

    Parameters
    ----------
    path : path
        A file of opset 3 or newer, with one input and one output, in float32 or float64, made of
        the operators in `operators.OPERATORS`, Constant, ConstantOfShape and Identity.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, keeps its weights elsewhere, or needs what our layers do
        not have; all operators that are unknown are named at once.
    ModuleNotFoundError
        If the package onnx is missing.
    """
    return read(path).graph


def load_pretrained(path: str | os.PathLike[str]) -> "Pretrained":
    """Return the network of an ONNX file, with its preprocessing and classes if the file has them.

    Where the graph is a SqueezeNet that `squeezenet` can build, the model is that one, which the
    engine compiles and training takes; a softmax at its end is left out, for a SqueezeNet returns
    logits. Where it is not, the model is the `Graph` of `load`.

    Raises
    ------
    CheckpointError
        As `load` does, and if the preprocessing or the classes are not such.
    """
    from npsqueeze.pretrained import Pretrained

    contents = read(path)
    try:
        return Pretrained(
            _model(contents),
            _preprocessing(contents),
            _classes(contents),
            f"ONNX file {os.fspath(path)}",
        )
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _model(contents: Contents) -> Module:
    """Return the SqueezeNet in the file or, if there is none, its graph."""
    shape = _input_shape(contents)
    found = shape and find_squeezenet(contents.graph, shape, _remark(contents, CONFIG))
    return found or contents.graph


def _preprocessing(contents: Contents) -> Preprocessing | None:
    attributes, shape = _remark(contents, PREPROCESSING), _input_shape(contents)
    if attributes is None:
        return None
    preprocessing = Preprocessing.from_dict(attributes)
    if shape is not None and shape[2:] != (preprocessing.size, preprocessing.size):
        raise ValueError(f"preprocessing: expected pictures of {shape[2:]}, got {preprocessing.size}")
    return preprocessing


def _classes(contents: Contents) -> tuple[str, ...] | None:
    names, shape = _remark(contents, CLASSES), _input_shape(contents)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("classes: expected a list of names")
    outputs = len(names) if shape is None else contents.graph.output_shape(shape)[1]
    if len(names) != outputs:
        raise ValueError(f"classes: expected {outputs} names, got {len(names)}")
    return tuple(names)


def _input_shape(contents: Contents) -> Shape | None:
    """Return the shape of a batch of images, or None if the file leaves their size open."""
    shape = contents.input_shape
    if shape is None or len(shape) != 4 or None in shape[1:]:
        return None
    # Where any batch will do it is one of two: images that got mixed up would show.
    return tuple(2 if size is None else size for size in shape)


def _remark(contents: Contents, key: str) -> Any:
    """Return what the file says about something, or None."""
    text = contents.metadata.get(key)
    return None if text is None else json.loads(text)
