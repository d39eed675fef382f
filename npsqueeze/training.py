"""The training loop, written so that stopping and resuming leaves no trace in the result.

Every random choice is a function of (seed, purpose, step), so the state of a training is no more
than the step, the arrays of model and optimiser, and the metrics so far.
"""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.data import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    Channels,
    Dataset,
    batches_per_epoch,
    normalize,
    training_batch,
)
from npsqueeze.engine import Plan, compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.errors import TrainingError
from npsqueeze.evaluation import ENGINES, Evaluation, check_dataset, evaluate
from npsqueeze.layers import Dropout
from npsqueeze.models import SqueezeNet
from npsqueeze.optim import SGD, AdamW, Optimizer
from npsqueeze.runs import Run
from npsqueeze.schedules import learning_rate

if TYPE_CHECKING:
    from tqdm import tqdm

DEFAULT_LR = {"sgd": 0.1, "adamw": 0.002}


@dataclass(frozen=True)
class Settings:
    """How to train; `train` takes each field as a keyword.

    The defaults are the recipe of the README: SGD with Nesterov momentum and weight decay, the
    learning rate in one cycle, flips and shifted crops.

    Raises
    ------
    ValueError
        If a setting is out of its range.
    """

    epochs: int = 15
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float | None = None  # 0.1 for SGD, 0.002 for AdamW
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    warmup: float | None = None
    label_smoothing: float = 0.0
    augment: bool = True
    mean: Channels = CIFAR10_MEAN
    std: Channels = CIFAR10_STD
    seed: int = 0
    engine: str = "compiled"

    def __post_init__(self) -> None:
        if self.optimizer not in DEFAULT_LR:
            raise ValueError(f"optimizer: expected sgd or adamw, got {self.optimizer!r}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine: expected {' or '.join(ENGINES)}, got {self.engine!r}")
        if self.lr is None:
            self._set("lr", DEFAULT_LR[self.optimizer])
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name}: expected an int of at least {least}, got {value!r}")
            self._set(name, int(value))
        for name, below in (("lr", np.inf), ("momentum", 1), ("weight_decay", np.inf)):
            self._check_number(name, below)
        self._check_number("label_smoothing", 1)
        if self.warmup is not None:
            self._check_number("warmup", 1)
        learning_rate(self.schedule, 0.0, 0, 1)  # knows the names
        normalize(np.zeros((3, 1, 1), np.uint8), self.mean, self.std)
        for name in ("mean", "std"):  # as plain numbers, which a checkpoint keeps as JSON
            self._set(name, np.asarray(getattr(self, name), float).tolist())

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else

    def _check_number(self, name: str, below: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, Real) or not 0 <= float(value) < below:
            raise ValueError(f"{name}: expected a number in [0, {below}), got {value!r}")
        self._set(name, float(value))

    @property
    def highest_lr(self) -> float:
        """The learning rate at the top of the schedule."""
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    def build_optimizer(self, model: SqueezeNet) -> Optimizer:
        """Return the optimiser for the model's parameters."""
        lr, decay = self.highest_lr, self.weight_decay
        if self.optimizer == "adamw":
            return AdamW(model.parameters(), lr, weight_decay=decay)
        nesterov = self.nesterov and self.momentum > 0
        return SGD(model.parameters(), lr, self.momentum, nesterov, decay)


@dataclass
class Progress:
    """Where a training stands: all that is not in the arrays of model and optimiser."""

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def train_loss(self) -> float:
        """Mean loss of the pictures seen in the present epoch."""
        return self.loss_sum / max(self.seen, 1)

    @property
    def train_accuracy(self) -> float:
        """Share of right answers among the pictures seen in the present epoch."""
        return self.correct / max(self.seen, 1)


@dataclass
class History:
    """What `train` returns: a row of metrics an epoch, and the evaluation after the last one.

    `evaluation` is None where the training was stopped before its end.
    """

    rows: list[dict[str, Any]]
    evaluation: Evaluation | None


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
        pictures. With it, Ctrl-C saves after the running step and returns.
    resume : bool
        Go on from `last.npz` of the run, bit for bit as if it had never stopped.
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
        If the run cannot be written, exists already, or (to resume) belongs to another training.
    TrainingError
        If the loss is no longer a number.
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
    if resume:
        trainer.restore(*folder.load())
    else:
        folder.create()
    return trainer.fit(folder)


class Trainer:
    """One training: its model, data, settings, optimiser and progress."""

    def __init__(
        self,
        model: SqueezeNet,
        train_set: Dataset,
        test_set: Dataset,
        settings: Settings,
        report: Callable[[str], None],
    ) -> None:
        for dataset in (train_set, test_set):
            check_dataset(model, dataset)
        self.model, self.train_set, self.test_set = model, train_set, test_set
        self.settings, self.report = settings, report
        self.optimizer = settings.build_optimizer(model)
        self.network: SqueezeNet | Plan = model
        if settings.engine == "compiled":
            batch = min(settings.batch_size, len(train_set))
            self.network = compile(model, (batch, *train_set.images.shape[1:]))
        self.progress = Progress()
        self.steps_per_epoch = batches_per_epoch(len(train_set), settings.batch_size)
        self.total_steps = settings.epochs * self.steps_per_epoch

    def fit(self, run: Run | None) -> History:
        """Train from where the progress stands to the end."""
        progress = self.progress
        self._forget_earlier_use()
        evaluation = None
        with _stop_request() as stop, self._bar() as bar:
            clock = Clock(progress.seen)
            while progress.step < self.total_steps:
                bar.update(self.take_step())
                percent = 100 * progress.train_accuracy
                bar.set_postfix_str(f"loss {progress.train_loss:.3f}, accuracy {percent:.1f} %")
                if progress.step % self.steps_per_epoch == 0:
                    evaluation = self.close_epoch(clock.rate(progress.seen))
                    clock = Clock(progress.seen)
                    if run:
                        run.save(self.arrays(), asdict(progress))
                if stop.is_set() and progress.step < self.total_steps:
                    if run is None:
                        raise KeyboardInterrupt
                    run.save(self.arrays(), asdict(progress))
                    self.report(f"stopped after step {progress.step}; saved in {run.folder}")
                    return History(progress.rows, None)
        if evaluation is None:  # resumed after its end
            evaluation = self.evaluate()
        if run:
            try:
                run.draw(progress.rows, evaluation.probabilities, self.test_set)
            except OSError as error:  # a full disk does not cost the result
                self.report(f"{run.folder}: no pictures, for they cannot be written ({error})")
        return History(progress.rows, evaluation)

    def take_step(self) -> int:
        """Train on one batch, and return its number of pictures."""
        progress, settings = self.progress, self.settings
        x, labels = training_batch(
            self.train_set,
            progress.step,
            batch_size=settings.batch_size,
            seed=settings.seed,
            augmented=settings.augment,
            mean=settings.mean,
            std=settings.std,
        )
        self.optimizer.lr = learning_rate(
            settings.schedule, settings.highest_lr, progress.step, self.total_steps, settings.warmup
        )
        self.model.train()
        logits = self.network.forward(x)
        loss, cache = F.softmax_cross_entropy_forward(logits, labels, settings.label_smoothing)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {progress.step + 1} of {self.total_steps} (learning "
                f"rate {self.optimizer.lr:.3g}): start again with a smaller lr"
            )
        self.network.backward(F.softmax_cross_entropy_backward(1.0, cache))
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.step += 1
        progress.loss_sum += loss * len(labels)
        progress.correct += int((logits.argmax(axis=1) == labels).sum())
        progress.seen += len(labels)
        return len(labels)

    def close_epoch(self, pictures_per_second: float) -> Evaluation:
        """Evaluate, and turn the sums of the epoch into a row of metrics."""
        progress, settings = self.progress, self.settings
        evaluation = self.evaluate()
        row = {
            "epoch": len(progress.rows) + 1,
            "learning_rate": self.optimizer.lr,
            "train_loss": progress.train_loss,
            "train_accuracy": progress.train_accuracy,
            "test_loss": evaluation.loss,
            "test_accuracy": evaluation.accuracy,
            "pictures_per_second": pictures_per_second,
        }
        progress.rows.append(row)
        progress.loss_sum, progress.correct, progress.seen = 0.0, 0, 0
        self.report(
            f"epoch {row['epoch']:3d}/{settings.epochs}  "
            f"loss {row['train_loss']:.4f}  accuracy {100 * row['train_accuracy']:5.1f} %  |  "
            f"test: loss {row['test_loss']:.4f}  accuracy {100 * row['test_accuracy']:5.1f} %  |  "
            f"{row['pictures_per_second']:.0f} pictures/s"
        )
        return evaluation

    def evaluate(self) -> Evaluation:
        """Return how well the model does on the test pictures."""
        settings = self.settings
        return evaluate(self.model, self.test_set, settings.mean, settings.std, settings.engine)

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of model and optimiser under distinct names."""
        model = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        state = self.optimizer.state_dict().items()
        return model | {f"optimizer.{name}": array for name, array in state}

    def restore(self, arrays: dict[str, Any], progress: dict[str, Any]) -> None:
        """Take over what a run has saved."""
        for owner, prefix in ((self.model, "model."), (self.optimizer, "optimizer.")):
            owner.load_state_dict(
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            )
        self.progress = Progress(**progress)

    def _forget_earlier_use(self) -> None:
        """Leave nothing of what the model did before that a resumed training would not know."""
        self.optimizer.zero_grad()
        for module in self.model.modules():
            if isinstance(module, Dropout):
                module.step = self.progress.step

    def _bar(self) -> "tqdm[Any]":
        """Return the progress bar over all pictures of all epochs; none where no one looks."""
        from tqdm import tqdm

        count = len(self.train_set)
        return tqdm(
            total=self.settings.epochs * count,
            initial=len(self.progress.rows) * count + self.progress.seen,
            unit=" pictures",
            disable=None,
            dynamic_ncols=True,
            leave=False,
        )


class Clock:
    """Measures pictures per second, from the `seen` at its start."""

    def __init__(self, seen: int) -> None:
        self.seen, self.start = seen, time.perf_counter()

    def rate(self, seen: int) -> float:
        """Return the pictures per second since the start."""
        return (seen - self.seen) / (time.perf_counter() - self.start)


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that no step is cut in two; a second one breaks."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    previous = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
