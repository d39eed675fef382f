"""A run's folder: configuration, metrics, checkpoints, pictures; and models from checkpoints."""

import contextlib
import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze import plots
from npsqueeze.arrays import Array
from npsqueeze.checkpoint import load_checkpoint, save_checkpoint
from npsqueeze.data import Dataset, normalize
from npsqueeze.errors import CheckpointError
from npsqueeze.files import in_checkout, remove_unfinished, write_whole
from npsqueeze.locks import folder_lock
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.state_shapes import check_state

TRAINED = "data/cifar-10-squeezenet.npz"
"""The network that comes with a checkout: recipe "full"."""


class Run:
    """The folder of one training.

    `last.npz` is the truth, and enough to go on. The other files follow from it: `best.npz`, the
    network with the best test accuracy so far, `metrics.csv` and `config.json`. A process that
    is killed may leave them one save behind; to resume writes them again.
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

    @contextlib.contextmanager
    def held(self, create: bool) -> Iterator[None]:
        """Hold the folder, which is made to `create` a run, against every other training.

        What a killed one has left half written is removed.

        Raises
        ------
        CheckpointError
            If another training holds it, it cannot be written, or (to create) has a run already.
        """
        with contextlib.ExitStack() as stack:
            try:
                if create:
                    self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(folder_lock(self.folder))
                remove_unfinished(self.folder)
            except BlockingIOError as error:
                raise CheckpointError(
                    f"{self.folder}: another training is at work there; let it end, or name "
                    "another folder"
                ) from error
            except OSError as error:
                raise CheckpointError(
                    f"{self.folder}: expected a folder that can be written ({error.strerror})"
                ) from error
            if create:
                if (self.folder / "last.npz").exists():
                    raise CheckpointError(
                        f"{self.folder}: holds a training already; resume it, or name another "
                        "folder"
                    )
                self._write_configuration(self.identity)
            yield

    def save(self, arrays: Mapping[str, Array], progress: Mapping[str, Any]) -> None:
        """Write the checkpoints and the metrics for the present state.

        Raises
        ------
        CheckpointError
            If a file cannot be written; those that were there before are whole.
        """
        metadata = self.identity | {"progress": dict(progress)}
        save_checkpoint(self.folder / "last.npz", arrays, metadata)
        self._follow(arrays, metadata)

    def load(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the metadata of `last.npz`, and let the other files follow it.

        The learning rate alone may be another one than this run's: a training that has exploded
        goes on with a smaller one.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, or it belongs to another model, data or settings.
        """
        path = self.folder / "last.npz"
        arrays, metadata = load_checkpoint(path)
        for part, mine in json.loads(json.dumps(self.identity)).items():  # as a checkpoint keeps it
            theirs = metadata.get(part)
            if part.endswith("_set") and theirs != mine:
                raise CheckpointError(
                    f"{path}: the pictures of the {part} are not those of this run: name the data "
                    "(and the subset) that it began with"
                )
            if isinstance(mine, dict) and isinstance(theirs, dict):
                names = (n for n in mine | theirs if (part, n) != ("settings", "lr"))
                name = next((n for n in names if mine.get(n) != theirs.get(n)), None)
                if name is None:
                    continue
                part, mine, theirs = f"{part}, {name}", mine.get(name), theirs.get(name)
            if theirs != mine:
                raise CheckpointError(
                    f"{path}: another training: {part}: expected {mine}, got {theirs}"
                )
        try:
            self._follow(arrays, metadata)
        except (KeyError, TypeError, IndexError) as error:
            raise CheckpointError(f"{path}: holds no training ({error!r})") from error
        return arrays, metadata

    def _follow(self, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
        """Write what follows from the content of `last.npz`."""
        identity = {part: metadata[part] for part in self.identity}
        rows, seen = metadata["progress"]["rows"], metadata["progress"]["seen"]
        accuracies = [row["test_accuracy"] for row in rows]
        if rows and seen == 0 and accuracies[-1] >= max(accuracies):
            best = identity | {"epoch": len(rows)}
            save_checkpoint(self.folder / "best.npz", _of_model(arrays), best)
        if rows:
            table = io.StringIO()
            writer = csv.DictWriter(table, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_whole(self.folder / "metrics.csv", table.getvalue().encode())
        self._write_configuration(identity)

    def _write_configuration(self, identity: Mapping[str, Any]) -> None:
        configuration = json.dumps(identity, indent=2) + "\n"
        write_whole(self.folder / "config.json", configuration.encode())

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
    """Return the file that a command takes its network from.

    `weights` itself if given; else the last checkpoint of the newest run in `runs`; else the
    network that the checkout around the current folder brings along.

    Raises
    ------
    CheckpointError
        If none of these is there.
    """
    if weights is not None:
        return Path(weights)
    found = sorted(Path("runs").glob("*/last.npz"), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    if trained := in_checkout(TRAINED):
        return trained
    raise CheckpointError(
        "no trained network in runs/: run `npsqueeze train`, or name one with --weights FILE"
    )


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
        weights = {name.removeprefix("model."): array for name, array in _of_model(arrays).items()}
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


def write_network(source: Path, target: Path) -> None:
    """Write the network of a checkpoint anew, without what only its training needs.

    Raises
    ------
    CheckpointError
        If the source holds no network, or the target cannot be written.
    """
    load_model(source)
    arrays, metadata = load_checkpoint(source)
    metadata.pop("progress", None)
    save_checkpoint(target, _of_model(arrays), metadata)


def _of_model(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if name.startswith("model.")}


def _fingerprint(dataset: Dataset) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images).data)
    digest.update(np.ascontiguousarray(dataset.labels).data)
    return digest.hexdigest()
