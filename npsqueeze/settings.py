"""How a training is set: the recipe, checked before anything begins."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    Channels,
    Dataset,
    normalize,
    training_batch,
)
from npsqueeze.evaluation import ENGINES
from npsqueeze.models import SqueezeNet
from npsqueeze.optim import SGD, AdamW, Optimizer
from npsqueeze.schedules import learning_rate

DEFAULT_LR = {"sgd": 0.05, "adamw": 0.002}


@dataclass(frozen=True)
class Settings:
    """How to train; `train` takes each field as a keyword.

    The defaults are the recipe of the README: SGD with Nesterov momentum and weight decay, the
    learning rate in one cycle, flips and shifted crops.

    Attributes
    ----------
    cutout : int
        Size of the square that each training picture loses; 0 for none.
    ema : float
        Decay of the average of the weights that is tested and kept; 0 for the weights themselves.
    flips : bool
        Whether a test picture's logits are the mean of its own and its mirror image's.

    Raises
    ------
    ValueError
        If a setting is out of its range.
    """

    epochs: int = 15
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float | None = None  # 0.05 for SGD, 0.002 for AdamW
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    warmup: float | None = None
    label_smoothing: float = 0.0
    augment: bool = True
    cutout: int = 0
    ema: float = 0.0
    flips: bool = False
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
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("cutout", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name}: expected an int of at least {least}, got {value!r}")
            self._set(name, int(value))
        for name, below in (("lr", np.inf), ("momentum", 1), ("weight_decay", np.inf)):
            self._check_number(name, below)
        for name in ("label_smoothing", "ema"):
            self._check_number(name, 1)
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

    def batch(self, train_set: Dataset, step: int) -> tuple[Array, Array]:
        """Return the pictures and labels of a training step (see `data.training_batch`)."""
        return training_batch(
            train_set,
            step,
            batch_size=self.batch_size,
            seed=self.seed,
            augmented=self.augment,
            cutout=self.cutout,
            mean=self.mean,
            std=self.std,
        )

    def build_optimizer(self, model: SqueezeNet) -> Optimizer:
        """Return the optimiser for the model's parameters."""
        lr, decay = self.highest_lr, self.weight_decay
        if self.optimizer == "adamw":
            return AdamW(model.parameters(), lr, weight_decay=decay)
        nesterov = self.nesterov and self.momentum > 0
        return SGD(model.parameters(), lr, self.momentum, nesterov, decay)
