"""The training loop, written so that stopping and resuming leaves no trace in the result.

Every random choice is a function of (seed, purpose, step), so the state of a training is no more
than the step, the arrays of model and optimiser, and the metrics so far.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.averaging import Average
from npsqueeze.data import Dataset, batch_indices, batches_per_epoch
from npsqueeze.divergence import first_bad_array, first_bad_gradient, first_cause
from npsqueeze.engine import Plan, compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.errors import TrainingError
from npsqueeze.evaluation import Evaluation, check_dataset, evaluate
from npsqueeze.interruption import stop_request
from npsqueeze.layers import Dropout
from npsqueeze.models import SqueezeNet
from npsqueeze.module import first_names
from npsqueeze.optim import Optimizer
from npsqueeze.runs import Run
from npsqueeze.schedules import learning_rate
from npsqueeze.settings import Settings

if TYPE_CHECKING:
    from tqdm import tqdm

SAVE_SECONDS = 60.0
"""A run is saved at every epoch's end, and when so much time has gone by since the last save."""


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
        self.average = Average(model, settings.ema) if settings.ema else None
        self.progress = Progress()
        self.saved_step: int | None = None
        self.steps_per_epoch = batches_per_epoch(len(train_set), settings.batch_size)
        self.total_steps = settings.epochs * self.steps_per_epoch

    def fit(self, run: Run | None) -> History:
        """Train from where the progress stands to the end."""
        progress = self.progress
        self._forget_earlier_use()
        evaluation = None
        # Numbers that are not finite are found and named; NumPy need not warn of them.
        numbers = np.errstate(over="ignore", invalid="ignore")
        with stop_request() as stop, self._bar() as bar, numbers:
            clock, next_save = Clock(progress.seen), time.monotonic() + SAVE_SECONDS
            while progress.step < self.total_steps and not stop.is_set():
                bar.update(self.take_step())
                percent = 100 * progress.train_accuracy
                bar.set_postfix_str(f"loss {progress.train_loss:.3f}, accuracy {percent:.1f} %")
                epoch_ends = progress.step % self.steps_per_epoch == 0
                if epoch_ends:
                    evaluation = self.close_epoch(clock.rate(progress.seen))
                if run and (epoch_ends or time.monotonic() >= next_save):
                    self.save(run)
                    next_save = time.monotonic() + SAVE_SECONDS
                if epoch_ends:
                    self.report(self._epoch_line(progress.rows[-1]))  # and so it is saved
                    clock = Clock(progress.seen)
            if progress.step < self.total_steps:
                if run is None:
                    raise KeyboardInterrupt
                self.save(run)
                self.report(f"stopped after step {progress.step}; saved in {run.folder}")
                return History(progress.rows, None)
        if evaluation is None:  # resumed after its end
            evaluation = self.evaluate()
        if self.average:
            self.model.load_state_dict(self.average.state)
        if run:
            try:
                run.draw(progress.rows, evaluation.probabilities, self.test_set)
            except OSError as error:  # a full disk does not cost the result
                self.report(f"{run.folder}: no pictures, for they cannot be written ({error})")
        return History(progress.rows, evaluation)

    def take_step(self) -> int:
        """Train on one batch, and return its number of pictures."""
        progress, settings = self.progress, self.settings
        x, labels = settings.batch(self.train_set, progress.step)
        self.optimizer.lr = learning_rate(
            settings.schedule, settings.highest_lr, progress.step, self.total_steps, settings.warmup
        )
        self.model.train()
        logits = self.network.forward(x)
        loss, cache = F.softmax_cross_entropy_forward(logits, labels, settings.label_smoothing)
        if not math.isfinite(loss):
            bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
            raise self._divergence(f"the loss is {loss}", first_cause(self.network, x), bad)
        self.network.backward(F.softmax_cross_entropy_backward(1.0, cache))
        if name := first_bad_gradient(self.model):
            raise self._divergence(
                f"the loss is {loss:.4g}, but its gradient is not finite",
                f"the backward pass first failed at {name}",
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(progress.step)
        progress.step += 1
        progress.loss_sum += loss * len(labels)
        progress.correct += int((logits.argmax(axis=1) == labels).sum())
        progress.seen += len(labels)
        return len(labels)

    def close_epoch(self, pictures_per_second: float) -> Evaluation:
        """Evaluate, and turn the sums of the epoch into a row of metrics."""
        progress = self.progress
        evaluation = self.evaluate()
        if not math.isfinite(evaluation.loss):
            self.check_state()
            raise TrainingError(
                f"the test loss is {evaluation.loss} after step {progress.step}; {self._way_on()}"
            )
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
        return evaluation

    def _epoch_line(self, row: dict[str, Any]) -> str:
        return (
            f"epoch {row['epoch']:3d}/{self.settings.epochs}  "
            f"loss {row['train_loss']:.4f}  accuracy {100 * row['train_accuracy']:5.1f} %  |  "
            f"test: loss {row['test_loss']:.4f}  accuracy {100 * row['test_accuracy']:5.1f} %  |  "
            f"{row['pictures_per_second']:.0f} pictures/s"
        )

    def save(self, run: Run) -> None:
        """Save the state, unless it is broken: then what was saved before stays."""
        run.save(self.check_state(), asdict(self.progress))
        self.saved_step = self.progress.step

    def check_state(self) -> dict[str, Any]:
        """Return the arrays of model and optimiser, or raise TrainingError if one is not finite."""
        arrays = self.arrays()
        if name := first_bad_array(arrays):
            raise TrainingError(
                f"{name} is not finite after step {self.progress.step} (learning rate "
                f"{self.optimizer.lr:.3g}); {self._way_on()}"
            )
        return arrays

    def _divergence(self, what: str, cause: str, bad: Array | None = None) -> TrainingError:
        """Return the error for the step at hand; `bad` tells which pictures of the batch."""
        step, settings = self.progress.step, self.settings
        epoch, batch = divmod(step, self.steps_per_epoch)
        pictures = batch_indices(len(self.train_set), step, settings.batch_size, settings.seed)
        if bad is not None and bad.size:
            pictures = pictures[bad]
        few = first_names(list(map(str, pictures)), most=5)
        return TrainingError(
            f"{what} at step {step + 1} of {self.total_steps} (epoch {epoch + 1}, batch "
            f"{batch + 1} of {self.steps_per_epoch}, training pictures {few}, learning rate "
            f"{self.optimizer.lr:.3g}): {cause}; {self._way_on()}"
        )

    def _way_on(self) -> str:
        if self.saved_step is None:
            return "start again with a smaller lr"
        return f"the run is saved as of step {self.saved_step}: resume it with a smaller lr"

    def evaluate(self) -> Evaluation:
        """Return how well the model, or its average, does on the test pictures."""
        settings = self.settings
        with self.average.applied() if self.average else nullcontext():
            return evaluate(
                self.model, self.test_set, settings.mean, settings.std, settings.engine,
                settings.flips,
            )  # fmt: skip

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of model, average and optimiser under distinct names."""
        states = {owner: module.state_dict() for owner, module in self._owners().items()}
        if self.average:
            states["model"] = dict(self.average.state)
        return {
            f"{owner}.{name}": array
            for owner, state in states.items()
            for name, array in state.items()
        }

    def _owners(self) -> dict[str, SqueezeNet | Optimizer]:
        """Whose state is saved, by the name before it: "model" is always what is to be used."""
        return {"live" if self.average else "model": self.model, "optimizer": self.optimizer}

    def restore(self, arrays: dict[str, Any], progress: dict[str, Any]) -> None:
        """Take over what a run has saved.

        Raises
        ------
        TypeError, ValueError
            If the names, shapes or types are not those of this training.
        """
        saved = Progress(**progress)
        epochs = saved.step // self.steps_per_epoch
        if not 0 <= saved.step <= self.total_steps or len(saved.rows) != epochs:
            raise ValueError(
                f"expected one row of metrics for each of {epochs} epochs before step "
                f"{saved.step} of {self.total_steps}, got {len(saved.rows)}"
            )
        states: dict[str, dict[str, Array]] = {}
        for name, array in arrays.items():
            owner, _, rest = name.partition(".")
            states.setdefault(owner, {})[rest] = array
        if self.average:
            self.model.load_state_dict(states.get("model", {}))
            self.average.state = self.model.state_dict()
        for owner, module in self._owners().items():
            module.load_state_dict(states.get(owner, {}))
        self.progress, self.saved_step = saved, saved.step

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
