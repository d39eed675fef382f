"""A run's folder: configuration, metrics, checkpoints, pictures; and models from checkpoints."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze import plots
from npsqueeze.arrays import Array
from npsqueeze.checkpoint import load_checkpoint, save_checkpoint
from npsqueeze.data import Dataset, normalize
from npsqueeze.errors import CheckpointError
from npsqueeze.files import atomic_write
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.state_shapes import check_state


class Run:
    """The folder of one training.

    `last.npz` is enough to go on, `best.npz` is the network with the best test accuracy so far.
    Every file is written aside and renamed: a reader never meets half of one.
    """

    def __init__(
        self,
        folder: Path,
        model: SqueezeNet,
        settings: Mapping[str, Any],
        train_set: Dataset,
        test_set: Dataset,
    ) -> None:
        self.folder = folder
        self.model = model
        self.identity = {
            "model": model.config,
            "settings": dict(settings),
            "classes": list(train_set.classes),
            "image_size": train_set.images.shape[2],
            "train_set": _fingerprint(train_set),
            "test_set": _fingerprint(test_set),
        }

    def create(self) -> None:
        """Make the folder, with its configuration.

        Raises
        ------
        CheckpointError
            If it holds a run already, or cannot be written.
        """
        if (self.folder / "last.npz").exists():
            raise CheckpointError(
                f"{self.folder}: holds a training already; resume it, or name another folder"
            )
        configuration = json.dumps(self.identity, indent=2) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: expected a folder that can be written ({error.strerror})"
            ) from error
        self._write("config.json", configuration)

    def save(self, arrays: Mapping[str, Array], progress: Mapping[str, Any]) -> None:
        """Write the checkpoints and the metrics for the present state."""
        rows = progress["rows"]
        accuracies = [row["test_accuracy"] for row in rows]
        if rows and progress["seen"] == 0 and accuracies[-1] >= max(accuracies):
            weights = {name: a for name, a in arrays.items() if name.startswith("model.")}
            save_checkpoint(self.folder / "best.npz", weights, self.identity | {"epoch": len(rows)})
        if rows:
            table = io.StringIO()
            writer = csv.DictWriter(table, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            self._write("metrics.csv", table.getvalue())
        # Last of all: a run that breaks off before repeats the epoch, with its other files.
        metadata = self.identity | {"progress": dict(progress)}
        save_checkpoint(self.folder / "last.npz", arrays, metadata)

    def load(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the progress of `last.npz`.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, or it belongs to another model, data or settings.
        """
        arrays, metadata = load_checkpoint(self.folder / "last.npz")
        expected = json.loads(json.dumps(self.identity))  # as a checkpoint keeps it
        for part, mine in expected.items():
            theirs = metadata.get(part)
            if theirs == mine:
                continue
            if part.endswith("_set"):
                raise CheckpointError(
                    f"{self.folder / 'last.npz'}: the pictures of the {part} are not those of this "
                    "run: name the data (and the subset) that it began with"
                )
            if isinstance(mine, dict) and isinstance(theirs, dict):
                name = next(n for n in mine | theirs if mine.get(n) != theirs.get(n))
                part, mine, theirs = f"{part}, {name}", mine.get(name), theirs.get(name)
            raise CheckpointError(
                f"{self.folder / 'last.npz'}: another training: {part}: expected {mine}, "
                f"got {theirs}"
            )
        return arrays, metadata["progress"]

    def draw(self, rows: list[dict[str, Any]], probabilities: Array, test_set: Dataset) -> None:
        """Write the pictures: curves, confusion matrix, worst mistakes, first filters."""
        labels, classes = test_set.labels, test_set.classes
        predictions = probabilities.argmax(axis=1)
        stem = self.model.state_dict()["features.0.weight"]
        plots.training_curves(rows, self.folder / "curves.png")
        plots.confusion_matrix(labels, predictions, classes, self.folder / "confusion.png")
        plots.worst_mistakes(
            test_set.images, labels, probabilities, classes, self.folder / "mistakes.png"
        )
        plots.first_layer_filters(stem, self.folder / "filters.png")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        try:
            with atomic_write(path) as file:
                file.write(text.encode())
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written: {error.strerror}") from error


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metaparameters of a run's network, and its settings.

    Raises
    ------
    CheckpointError
        If the run has no readable `last.npz`.
    """
    _, metadata = load_checkpoint(folder / "last.npz")
    try:
        return dict(metadata["model"]), dict(metadata["settings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / 'last.npz'}: holds no training ({error})") from error


def find_weights(weights: str | None) -> Path:
    """Return the path `weights`, or if it is None, the last checkpoint of the newest run.

    Raises
    ------
    CheckpointError
        If there is no run.
    """
    if weights is not None:
        return Path(weights)
    found = sorted(Path("runs").glob("*/last.npz"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise CheckpointError(
            "no trained network in runs/: run `npsqueeze train`, or name one with --weights FILE"
        )
    return found[-1]


def load_model(path: str | Path) -> tuple[SqueezeNet, dict[str, Any]]:
    """Return the network of a checkpoint, in inference mode, and the checkpoint's metadata.

    The metadata hold ``settings`` (with the ``mean`` and ``std`` of the input), ``classes`` and
    ``image_size``.

    Raises
    ------
    CheckpointError
        If the file is damaged, or holds no network that `squeezenet` can build.
    """
    arrays, metadata = load_checkpoint(path)
    try:
        config = metadata["model"]
        weights = {
            name.removeprefix("model."): array
            for name, array in arrays.items()
            if name.startswith("model.")
        }
        check_state(weights, config)
        model = squeezenet(**config)
        model.load_state_dict(weights)
        if len(metadata["classes"]) != config["num_classes"]:
            raise ValueError("classes: expected one name for each class")
        model.output_shape((1, 3, metadata["image_size"], metadata["image_size"]))
        normalize(
            np.zeros((3, 1, 1), np.uint8), metadata["settings"]["mean"], metadata["settings"]["std"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: holds no network of this package ({error})") from error
    model.eval()
    return model, metadata


def _fingerprint(dataset: Dataset) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images).data)
    digest.update(np.ascontiguousarray(dataset.labels).data)
    return digest.hexdigest()
