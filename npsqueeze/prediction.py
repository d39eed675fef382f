"""The command `npsqueeze predict`: what is on a picture, by any network that can be loaded."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.data import SOURCES
from npsqueeze.engine import Plan, compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.errors import DataError
from npsqueeze.looking import draw_explanations
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Module
from npsqueeze.pretrained import Pretrained, load_pretrained
from npsqueeze.published import PUBLISHED, fetched_weights
from npsqueeze.runs import find_weights

BAR = 40  # characters of 100 %
BESIDE_NAME = len("    100.0 %  ") + BAR
NARROWEST_NAME, WIDE_TERMINAL = 12, 120


def predict(
    pictures: list[str],
    weights: str | None = None,
    top: int = 5,
    classes: str | None = None,
    preprocessing: str | None = None,
    explain: str | None = None,
) -> None:
    """Print the most probable classes of each picture as bars, and draw what speaks for the first.

    `explain` is the file of that drawing.
    """
    if top < 1:
        raise ValueError(f"--top: expected at least 1, got {top}")
    if explain is not None and not Path(explain).parent.is_dir():
        raise ValueError(f"--explain: expected a file in a folder that is there, got {explain}")
    path, pretrained = pretrained_network(weights, preprocessing)
    way, model = pretrained.preprocessing, pretrained.model
    if explain is not None and not isinstance(model, SqueezeNet):
        raise ValueError(f"--explain: expected a SqueezeNet, and {path} holds another network")
    shape = (1, 3, way.size, way.size)
    _, count = model.output_shape(shape)
    names = pretrained.classes or tuple(map(str, range(count)))
    if classes is not None:
        names = read_class_names(classes, count)
    pixels = [way.pixels(picture) for picture in pictures]
    kind: str = "network"
    network: Module | Plan = model
    if isinstance(model, SqueezeNet):
        kind = f"SqueezeNet {model.config['version']}"
        network = compile(model, shape, training=False)
        network.freeze()
    print(f"{kind} with {count:,} classes ({pretrained.origin}); pictures: {way}")
    answers = [F.softmax(network.forward(way.apply(seen)[None]))[0] for seen in pixels]
    for picture, probabilities in zip(pictures, answers, strict=True):
        print(picture)
        print_bars(probabilities, names, top)
    if explain is not None and isinstance(model, SqueezeNet):
        images = np.stack(pixels)
        labels = np.argmax(answers, axis=1)
        titles = [
            f"{names[label].split(',')[0]} {100 * probabilities[label]:.1f} %"
            for label, probabilities in zip(labels, answers, strict=True)
        ]
        draw_explanations(model, way.apply(images), images, labels, titles, explain)
        print(f"where the network looks for it: {explain}")


def pretrained_network(
    weights: str | None, preprocessing: str | None = None
) -> tuple[Path, Pretrained]:
    """Return the network that ``--weights`` names, and its file (see `find_weights`).

    Parameters
    ----------
    weights : str, optional
        A file, or the name of published weights.
    preprocessing : str, optional
        One of `data.SOURCES`, instead of the file's own.

    Raises
    ------
    CheckpointError
        If there is no such file, or no SqueezeNet in it.
    """
    if weights in PUBLISHED and not Path(weights).exists():
        path = fetched_weights(weights)
    else:
        path = find_weights(weights)
    return path, load_pretrained(path, SOURCES[preprocessing] if preprocessing else None)


def read_class_names(path: str | Path, count: int) -> tuple[str, ...]:
    """Return the lines of a file, one for each class; ImageNet's without their WordNet number.

    Raises
    ------
    DataError
        If the file cannot be read as text, or has another number of lines.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text in UTF-8 ({error.reason})") from error
    if len(lines) != count:
        raise DataError(f"{path}: expected {count:,} lines, one a class, got {len(lines):,}")
    return tuple(re.sub(r"^n\d{8}\s+", "", line) for line in lines)


def print_bars(probabilities: Array, names: Sequence[str], top: int) -> None:
    """Print the `top` most probable classes, one a line, as wide as the terminal."""
    columns = shutil.get_terminal_size((WIDE_TERMINAL, 24)).columns
    space = max(columns - BESIDE_NAME, NARROWEST_NAME)
    labels = np.argsort(-probabilities, kind="stable")[:top]
    shown = [shortened(names[label], space) for label in labels]
    width = max(map(len, shown))
    for label, name in zip(labels, shown, strict=True):
        share = float(probabilities[label])
        print(f"  {name:{width}}  {100 * share:5.1f} %  {'█' * round(BAR * share)}")


def shortened(name: str, width: int) -> str:
    """Return a name of at most `width` characters: without its last synonyms, or else cut off."""
    while len(name) > width and ", " in name:
        name = name.rpartition(", ")[0]
    return name if len(name) <= width else name[: width - 1] + "…"
