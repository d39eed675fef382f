"""Compiling: telling what is compiled, and compiling ahead of the first training."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze import kernels
from npsqueeze.engine import compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.models import squeezenet
from npsqueeze.optim import SGD, AdamW

NETWORKS: tuple[dict[str, Any], ...] = (
    {"batch_norm": True, "bypass": "simple", "dropout": 0.0},
    {"batch_norm": False, "bypass": "complex", "dropout": 0.5},
    {"batch_norm": True, "bypass": "none", "dropout": 0.5, "head": "linear"},
)
"""Networks that need every kernel of training and prediction between them."""


@contextmanager
def telling_compilation() -> Iterator[None]:
    """Name each kernel that has to be compiled, on stderr; on a terminal, in one line."""
    on_terminal = sys.stderr.isatty()
    told = False

    def tell(name: str) -> None:
        nonlocal told
        text = f"compiling {name} …"
        print(f"\r{text}\x1b[K" if on_terminal else text, end="", file=sys.stderr)
        print(end="" if on_terminal else "\n", file=sys.stderr, flush=True)
        told = True

    try:
        with kernels.listening(tell):
            yield
    finally:
        if told and on_terminal:
            print(end="\r\x1b[K", file=sys.stderr, flush=True)


def compile_all(dtype: npt.DTypeLike = np.float32) -> tuple[list[str], float]:
    """Train and test tiny networks, so that every kernel is compiled.

    Returns
    -------
    names : list of str
        The kernels that were not in the cache.
    seconds : float
        How long it took.
    """
    names: list[str] = []
    start = time.perf_counter()
    with kernels.listening(names.append):
        for options in NETWORKS:
            _use(dtype, options)
    return names, time.perf_counter() - start


def _use(dtype: npt.DTypeLike, options: dict[str, Any]) -> None:
    """Take a step of training by each road and optimiser, and predict."""
    model = squeezenet("cifar", num_classes=10, seed=0, width=1 / 16, **options).astype(dtype)
    x, labels = np.ones((2, 3, 16, 16), dtype), np.zeros(2, int)
    for network in (compile(model, x.shape), model):
        model.train()
        _, cache = F.softmax_cross_entropy_forward(network.forward(x), labels)
        network.backward(F.softmax_cross_entropy_backward(1.0, cache))
        model.eval()
        network.forward(x)
    for optimizer in (SGD(model.parameters(), 0.1), AdamW(model.parameters())):
        optimizer.step()
