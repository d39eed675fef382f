"""What the doctor examines, and how it is left as it was found."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data import Dataset, batches_per_epoch
from npsqueeze.engine import compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.functional import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from npsqueeze.layers import Dropout
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Module, Sequential
from npsqueeze.optim import Optimizer
from npsqueeze.settings import Settings

PICTURES = 2000
"""How many pictures the checks of the batches look at: enough to tell chance from knowledge."""

Batch = tuple[Array, Array]


class Step(NamedTuple):
    """A step of training: its loss, and ‖change‖ / ‖weight‖, the median over the weights."""

    loss: float
    median: float


@dataclass(frozen=True)
class Patient:
    """A model, its data and how it is to be trained."""

    model: Module
    train_set: Dataset
    test_set: Dataset
    settings: Settings
    optimizer: Optimizer
    batch: Callable[[int], Batch]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.train_set.classes

    @cached_property
    def batches(self) -> list[Batch]:
        """Batches of the first epoch (in which no picture comes twice), evenly spread over it."""
        size = self.settings.batch_size
        epoch = batches_per_epoch(len(self.train_set), size)
        wanted = min(epoch, batches_per_epoch(PICTURES, size))
        return [self.batch(step) for step in range(0, epoch, epoch // wanted)][:wanted]

    @cached_property
    def sample(self) -> Batch:
        """The pictures and labels of all `batches`."""
        x, labels = zip(*self.batches, strict=True)
        return np.concatenate(x), np.concatenate(labels)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Put everything back afterwards: arrays, modes, masks to come, the optimiser's state."""
        state = [
            (member, member.data, member.data.copy()) for _, member in self.model.named_state()
        ]
        gradients = [(p, p.grad, p.grad.copy()) for _, p in self.model.named_parameters()]
        modules = list(self.model.modules())
        modes = [module.training for module in modules]
        masks = [(module, module.step) for module in modules if isinstance(module, Dropout)]
        rate, memory = self.optimizer.lr, self.optimizer.state_dict()
        self.model.train()
        self.model.zero_grad()
        try:
            yield
        finally:
            for member, array, values in state:
                array[...] = values
                member.data = array
            for parameter, array, values in gradients:
                array[...] = values
                parameter.grad = array
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
            for dropout, step in masks:
                dropout.step = step
            self.optimizer.lr = rate
            self.optimizer.load_state_dict(memory)

    def network(self, batch_size: int) -> Any:
        """Return what a training would run: the model, or its plan."""
        if self.settings.engine == "layers":
            return self.model
        with warnings.catch_warnings():  # that it does not know a layer, the training will say
            warnings.simplefilter("ignore", UserWarning)
            return compile(self.model, (batch_size, *self.train_set.images.shape[1:]))

    def steps(
        self, batches: Sequence[Batch], optimizer: Optimizer, rates: Sequence[float]
    ) -> Iterator[Step]:
        """Train, a step for each learning rate; the last step is the one with a loss not finite."""
        network = self.network(max(len(x) for x, _ in batches))
        weights = [p for _, p in self.model.named_parameters() if p.data.ndim > 1]
        for number, rate in enumerate(rates):
            x, labels = batches[number % len(batches)]
            optimizer.lr = rate
            loss, cache = softmax_cross_entropy_forward(network.forward(x), labels)
            if not np.isfinite(loss):
                yield Step(np.inf, np.inf)
                return
            before = [weight.data.copy() for weight in weights]
            network.backward(softmax_cross_entropy_backward(1.0, cache))
            optimizer.step()
            optimizer.zero_grad()
            changes = [change(w.data, old) for w, old in zip(weights, before, strict=True)]
            yield Step(loss, float(np.median(changes)))


def change(after: Array, before: Array) -> float:
    """Return ‖after - before‖ / ‖before‖."""
    norms = (float(np.linalg.norm(array.astype(np.float64))) for array in (after - before, before))
    moved, size = norms
    return moved / size if size else 0.0


def units(model: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield the layers of a network in order; whatever is no plain row of layers is one layer."""
    own_passes = {"forward", "backward"} & vars(model).keys()
    if type(model) not in (Sequential, SqueezeNet) or own_passes:
        yield prefix.rstrip(".") or type(model).__name__, model
        return
    for name, member in model.members().items():
        if isinstance(member, Module):
            yield from units(member, f"{prefix}{name}.")
