"""`npsqueeze.train`: a model learns, and a run's folder keeps what there is to keep."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npsqueeze.data import Dataset
from npsqueeze.errors import CheckpointError
from npsqueeze.models import SqueezeNet
from npsqueeze.runs import Run
from npsqueeze.settings import Settings
from npsqueeze.trainer import History, Trainer


def say(text: str) -> None:
    """Print a line at once, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text)
    sys.stdout.flush()


def train(
    model: SqueezeNet,
    train_set: Dataset,
    test_set: Dataset,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = say,
    **settings: Any,
) -> History:
    """Train a model, and evaluate it after every epoch.

    Parameters
    ----------
    model : SqueezeNet
        Changed in place.
    train_set, test_set : Dataset
    run : path, optional
        A folder that receives `config.json`, `metrics.csv`, `last.npz`, `best.npz` and, at the end,
        pictures. With it, Ctrl-C saves after the running step and returns. It is saved after every
        epoch and every minute: so much is lost, at most, when the process is killed.
    resume : bool
        Go on from `last.npz` of the run, bit for bit as if it had never stopped. All settings must
        be those that it began with; only `lr` may be another one, and is told.
    report : function of a line of text
        Called for what there is to tell; prints by default.
    settings
        The fields of `Settings`.

    Returns
    -------
    History

    Raises
    ------
    CheckpointError
        If the run cannot be written, exists already, is at work elsewhere, or (to resume) is
        damaged or belongs to another training.
    TrainingError
        If the loss, a gradient or a weight is NaN or infinite. The message names step, pictures,
        learning rate and the layer where it began; what the run has saved stays as it is.
    ValueError, TypeError
        If a setting is unknown or out of range, or a data set does not suit the model.

    Examples
    --------
    >>> history = nps.train(model, train_set, test_set, epochs=2, run="runs/try")  # doctest: +SKIP
    """
    chosen = Settings(**settings)
    trainer = Trainer(model, train_set, test_set, chosen, report)
    if run is None:
        return trainer.fit(None)
    folder = Run(Path(run), model, asdict(chosen), train_set, test_set)
    with folder.held(create=not resume):
        if resume:
            arrays, metadata = folder.load()
            try:
                trainer.restore(arrays, metadata["progress"])
            except (TypeError, ValueError) as error:
                raise CheckpointError(f"{run}: last.npz holds no such training: {error}") from error
            before = metadata["settings"]["lr"]
            if before != chosen.lr:
                report(f"{run}: goes on with lr {chosen.lr:g}, which was {before:g}")
        return trainer.fit(folder)
