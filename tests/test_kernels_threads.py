"""Threads: the same bits under every layer, and no hang or abort after a fork or beside others.

Most of this needs fresh processes: each runs one of the functions at the end of this file.
"""

import ast
import ctypes.util
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze import functional, kernels
from npsqueeze.kernels import threads
from tests.test_kernels_jit import compiled_only
from tests.tiny import digest, tiny_network

ROOT = Path(__file__).parents[1]
SECONDS = 120  # of a process that hangs

can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def run(what: str, layer: str = "default", thread_count: int = 4, before: str = "") -> str:
    """Run `what`, a call of a function of this file, in a new process; return what it prints."""
    finished = subprocess.run(
        [sys.executable, "-c", f"{before}\nfrom tests import test_kernels_threads as t; t.{what}"],
        env={
            **os.environ,
            "NUMBA_THREADING_LAYER": layer,
            "NUMBA_NUM_THREADS": str(thread_count),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def is_installed(layer: str) -> bool:
    if layer == "tbb" and ctypes.util.find_library("tbb") is None:
        return False
    try:
        __import__(f"numba.np.ufunc.{'workqueue' if layer == 'workqueue' else layer + 'pool'}")
    except ImportError:
        return False
    return True


every_layer = pytest.mark.parametrize(
    "layer",
    [
        pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason="not there"))
        for name in ("tbb", "omp", "workqueue")
    ],
)


# The number of threads


def test_the_number_of_threads_is_what_was_set():
    before = nps.get_num_threads()
    nps.set_num_threads(1)
    assert nps.get_num_threads() == 1
    nps.set_num_threads(before)
    assert nps.get_num_threads() == before


@pytest.mark.parametrize("count", [0, -1, numba.config.NUMBA_NUM_THREADS + 1, float("nan")])
def test_an_impossible_number_of_threads_is_refused(count):
    before = nps.get_num_threads()
    largest = numba.config.NUMBA_NUM_THREADS
    with pytest.raises(ValueError, match=f"count: expected 1 to {largest} threads, got {count}"):
        nps.set_num_threads(count)
    assert nps.get_num_threads() == before


# The layer

WITHOUT_OMP = "import sys; sys.modules['numba.np.ufunc.omppool'] = None"
WITHOUT_BOTH = f"{WITHOUT_OMP}; sys.modules['numba.np.ufunc.tbbpool'] = None"


@compiled_only
@every_layer
def test_the_users_choice_of_a_layer_is_respected(layer):
    assert run("print_layer()", layer) == f"None {layer}"


@compiled_only
def test_the_first_layer_that_is_installed_is_taken():
    first = next(name for name in ("tbb", "omp", "workqueue") if is_installed(name))
    assert run("print_layer()") == f"None {first}"


@compiled_only
def test_without_openmp_another_layer_takes_over():
    other = "tbb" if is_installed("tbb") else "workqueue"
    assert run("print_layer()", before=WITHOUT_OMP) == f"None {other}"
    assert run("print_layer()", before=WITHOUT_BOTH) == "None workqueue"


@compiled_only
def test_a_training_step_has_the_same_bits_under_every_layer_for_any_number_of_threads():
    layers = [name for name in ("tbb", "omp", "workqueue") if is_installed(name)]
    found = {layer: run("print_steps()", layer).split() for layer in layers}
    assert len(layers) >= 1
    assert all(len(digests) == 4 for digests in found.values())  # for 1 to 4 threads
    assert len({digest for digests in found.values() for digest in digests}) == 1


# Forks and Python's threads


@compiled_only
@can_fork
@every_layer
def test_after_a_fork_kernels_run_or_say_why_not(layer):
    lost = layer == "omp" and sys.platform.startswith("linux")
    answer = run("fork(t.use_kernels)", layer)
    assert answer == (f"RuntimeError: {threads.FORKED}" if lost else "the child is well")


@compiled_only
@can_fork
@every_layer
def test_a_fork_before_the_first_kernel_is_harmless(layer):
    assert run("fork()", layer) == "the child is well"


@compiled_only
@can_fork
def test_a_fork_while_another_thread_runs_a_kernel_is_harmless():
    assert run("fork_during_anothers_turn()") == "the child is well"


@compiled_only
@every_layer
def test_spawned_processes_run_kernels(layer):
    assert run("spawn()", layer) == "the child is well"


@compiled_only
@every_layer
def test_two_python_threads_train_as_one_after_the_other_would(layer):
    assert run("train_two_at_once()", layer) == "the same bits"


def test_matrix_products_are_ours():
    """NumPy's would wake OpenBLAS's threads between our parallel loops."""
    for file in sorted((ROOT / "npsqueeze").rglob("*.py")):
        if file.parent.name in ("reference", "exercises", "benchmark"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
            name = node.attr if isinstance(node, ast.Attribute) else ""
            assert not is_product, f"{file}:{node.lineno}"  # type: ignore[attr-defined]
            assert name not in {"matmul", "dot", "einsum", "tensordot", "inner", "vdot"}, file


# What the processes run


def use_kernels() -> None:
    """Run a parallel kernel, and see that it does what it should."""
    x = np.linspace(-1, 1, 10_000, dtype=np.float32)
    np.testing.assert_array_equal(functional.relu_forward(x)[0], np.maximum(x, 0))


def print_layer() -> None:
    before = kernels.threading_layer()
    use_kernels()
    print(before, kernels.threading_layer())


def print_steps() -> None:
    """Print the digests of a planned training step by 1, 2, 3 and 4 threads."""
    for count in range(1, 5):
        nps.set_num_threads(count)
        model = nps.squeezenet("cifar", num_classes=7, seed=0, batch_norm=True, bypass="complex")
        plan, draw = nps.compile(model, (9, 3, 32, 32)), np.random.default_rng(0)
        optimizer = nps.optim.SGD(model.parameters(), 0.1, 0.9, nesterov=True)
        logits = plan.forward(draw.normal(size=(9, 3, 32, 32)).astype(np.float32))
        plan.backward(logits)
        gradients = [parameter.grad.copy() for parameter in model.parameters()]
        optimizer.step()
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data += gradient  # now the digest of the state is one of the gradients, too
        model.parameters()[0].data += logits.sum()
        print(digest(model))


def fork(first: Callable[[], None] = lambda: None) -> None:
    """Call `first`, then run a kernel in a forked child."""
    first()
    child = multiprocessing.get_context("fork").Process(target=answer)
    finish(child)


def spawn() -> None:
    use_kernels()
    finish(multiprocessing.get_context("spawn").Process(target=answer))


def fork_during_anothers_turn() -> None:
    """Fork while another Python thread is in a kernel."""
    is_held, done = threading.Event(), threading.Event()

    def take_a_turn() -> None:
        with threads._turn:
            is_held.set()
            done.wait(0.2)

    other = threading.Thread(target=take_a_turn)
    other.start()
    is_held.wait()
    fork()
    other.join()


def answer() -> None:
    try:
        use_kernels()
        print("the child is well", flush=True)
    except RuntimeError as error:
        print(f"RuntimeError: {error}", flush=True)


def finish(child: "multiprocessing.process.BaseProcess") -> None:
    child.start()
    child.join(SECONDS / 2)
    assert child.exitcode == 0, child.exitcode


def train_two_at_once() -> None:
    """Train two networks, one after the other and both at once, each by plan and by layers."""

    def train(seed: int) -> str:
        model = tiny_network(seed=seed, batch_norm=True)
        networks = nps.compile(model, (5, 3, 16, 16)), model
        optimizer = nps.optim.SGD(model.parameters(), 0.01, 0.9)
        draw = np.random.default_rng(seed)
        for step in range(20):
            network = networks[step % 2]
            x = draw.normal(size=(5, 3, 16, 16)).astype(np.float32)
            network.backward(network.forward(x))
            optimizer.step()
            optimizer.zero_grad()
        return digest(model)

    expected = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(train, range(4)))
    print("the same bits" if found == expected else f"{found} are not {expected}")
