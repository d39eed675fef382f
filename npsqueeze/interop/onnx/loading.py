"""Networks from ONNX files."""

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from npsqueeze.data.preprocessing import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx.graph import Graph
from npsqueeze.interop.onnx.matching import find_squeezenet
from npsqueeze.interop.onnx.reading import Contents, read
from npsqueeze.module import Module

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
        model = _model(contents)
        preprocessing = _remark(contents, PREPROCESSING)
        classes = _remark(contents, CLASSES)
        return Pretrained(
            model,
            None if preprocessing is None else Preprocessing.from_dict(preprocessing),
            None if classes is None else _class_names(classes, contents),
            f"ONNX file {os.fspath(path)}",
        )
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _model(contents: Contents) -> Module:
    """Return the SqueezeNet in the file or, if there is none, its graph."""
    shape = contents.input_shape
    if shape is None or len(shape) != 4 or None in shape[1:]:
        return contents.graph
    batch, *size = (2 if side is None else side for side in shape)  # of two, none is got by chance
    found = find_squeezenet(contents.graph, (batch, *size), _remark(contents, CONFIG))
    return contents.graph if found is None else found


def _remark(contents: Contents, key: str) -> Any:
    """Return what the file says about something, or None."""
    text = contents.metadata.get(key)
    return None if text is None else json.loads(text)


def _class_names(names: Any, contents: Contents) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("classes: expected a list of names")
    return tuple(names)
