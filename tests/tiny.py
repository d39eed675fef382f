"""What the tests of whole networks share: networks and data small enough to train in a blink."""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import npsqueeze as nps
from npsqueeze.data import Dataset, load_cifar10
from npsqueeze.models import SqueezeNet
from npsqueeze.trainer import Trainer

EMBEDDED = Path(__file__).parents[1] / "data" / "cifar-10-subset"
WIDTH = 1 / 16


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Run a module's tests on one thread: waiting for a second one costs tiny networks more."""
    before = nps.get_num_threads()
    nps.set_num_threads(1)
    yield
    nps.set_num_threads(before)


def tiny_network(**options: Any) -> SqueezeNet:
    """Return a network for pictures of 8x8 pixels or more, with about 4,000 parameters."""
    return nps.squeezenet("cifar", **({"num_classes": 10, "seed": 0, "width": WIDTH} | options))


def embedded_pictures(count: int, size: int = 16) -> Dataset:
    """Return `count` embedded pictures, equally many of each class, halved to `size` pixels."""
    train_set, _ = load_cifar10(EMBEDDED)
    chosen = train_set.subset(count, seed=0)
    step = chosen.images.shape[2] // size
    return Dataset(chosen.images[:, :, ::step, ::step].copy(), chosen.labels)


def digest(model: SqueezeNet) -> str:
    """Return the SHA-256 of the state, names included."""
    state = hashlib.sha256()
    for name, array in model.state_dict().items():
        state.update(name.encode() + array.tobytes())
    return state.hexdigest()


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[Trainer], None]) -> None:
    """Let something happen to a training just before this step, the first being 1."""
    take_step = Trainer.take_step

    def acted_upon(self: Trainer) -> int:
        if self.progress.step + 1 == step:
            act(self)
        return take_step(self)

    monkeypatch.setattr(Trainer, "take_step", acted_upon)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Press Ctrl-C during this step."""
    at_step(monkeypatch, step, lambda trainer: os.kill(os.getpid(), signal.SIGINT))
