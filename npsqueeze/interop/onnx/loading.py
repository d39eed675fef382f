"""Networks from ONNX files."""

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from npsqueeze.data import CIFAR10_MEAN, CIFAR10_STD, Preprocessing
from npsqueeze.data.preprocessing import TORCHVISION
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.inference import LARGEST_CIFAR_PICTURE
from npsqueeze.interop.onnx.graph import Graph, Node
from npsqueeze.interop.onnx.layers import Reshape, Softmax
from npsqueeze.interop.onnx.matching import find_squeezenet
from npsqueeze.interop.onnx.reading import Contents, read
from npsqueeze.interop.safetensors import CLASSES, NETWORK, PREPROCESSING

if TYPE_CHECKING:
    from npsqueeze.pretrained import Pretrained


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
    ImportError
        If onnx is not installed.
    """
    return read(path).graph


def load_pretrained(path: str | os.PathLike[str]) -> "Pretrained":
    """Return the classifier of an ONNX file, with how it sees pictures and its classes' names.

    Where the graph is a SqueezeNet that `squeezenet` can build, the model is that one, which the
    engine compiles and training takes. Where it is not, the model is the `Graph` of `load`. Either
    returns logits: a softmax at the end is left out.

    A file of others does not say how pictures become its input. It is then taken to be
    torchvision's way or, for pictures of at most 64 pixels, CIFAR-10's.

    Raises
    ------
    CheckpointError
        As `load` does, and if the input is no square picture, or a remark in the file does not suit
        the network.
    ImportError
        If onnx is not installed.
    """
    from npsqueeze.pretrained import Pretrained

    contents = read(path)
    try:
        preprocessing = _preprocessing(contents)
        model = _model(contents, preprocessing.size)
        (outputs,) = model.output_shape((1, 3, preprocessing.size, preprocessing.size))[1:]
        classes = _classes(contents, outputs)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: holds no classifier of pictures ({error})") from error
    return Pretrained(model, preprocessing, classes, "ONNX")


def _model(contents: Contents, size: int) -> Any:
    """Return the SqueezeNet in the file or, if there is none, its graph."""
    # A batch that may have any size is one of two: images that got mixed up would show.
    batch = (contents.input_shape or (None,))[0] or 2
    found = find_squeezenet(contents.graph, (batch, 3, size, size), _remark(contents, NETWORK))
    return found or _as_classifier(contents.graph)


def _as_classifier(graph: Graph) -> Graph:
    """Return the graph without the softmax and changes of shape at its end, for (N, classes)."""
    nodes = list(graph.nodes)
    while nodes and isinstance(nodes[-1].layer, Reshape | Softmax):
        nodes.pop()
    last = nodes[-1].output if nodes else graph.source
    nodes.append(Node(Reshape((0, -1)), (last,), graph.output))
    return Graph(nodes, graph.learned, graph.source, graph.output).eval()


def _preprocessing(contents: Contents) -> Preprocessing:
    attributes, shape = _remark(contents, PREPROCESSING), contents.input_shape
    expected = (shape or (None,) * 4)[1:]
    if attributes is not None:
        preprocessing = Preprocessing.from_dict(attributes)
    elif len(expected) < 3 or expected[1] is None:
        preprocessing = TORCHVISION
    elif expected[1] <= LARGEST_CIFAR_PICTURE:
        preprocessing = Preprocessing(expected[1], expected[1], CIFAR10_MEAN, CIFAR10_STD)
    else:
        resize = round(expected[1] * TORCHVISION.resize / TORCHVISION.size)
        preprocessing = replace(TORCHVISION, size=expected[1], resize=resize)
    picture = (3, preprocessing.size, preprocessing.size)
    suits = [n in (None, m) for n, m in zip(expected, picture, strict=False)]
    if len(expected) != 3 or not all(suits):
        raise ValueError(f"input: expected pictures of shape {picture}, got {expected}")
    return preprocessing


def _classes(contents: Contents, outputs: int) -> tuple[str, ...] | None:
    names = _remark(contents, CLASSES)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{CLASSES}: expected a list of names")
    if len(names) != outputs:
        raise ValueError(f"{CLASSES}: expected {outputs} names, got {len(names)}")
    return tuple(names)


def _remark(contents: Contents, key: str) -> Any:
    """Return what the file says about something, or None."""
    text = contents.metadata.get(key)
    return None if text is None else json.loads(text)
