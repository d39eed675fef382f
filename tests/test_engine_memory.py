"""The memory of plans: guard zones around every buffer, and turns taken in the same place."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.arrays import Array
from npsqueeze.engine import convolution, plan, steps, tensors, winograd
from tests.test_engine import FAMILY, batch

GUARD = 4096  # numbers on either side: more than the longest reach, a row of pixels

original = tensors.aligned_zeros


class Guards:
    """Hands out buffers in the middle of larger ones, whose ends are NaN."""

    def __init__(self) -> None:
        self.rooms: list[tuple[Array, int]] = []

    def zeros(self, size: int, dtype: Any) -> Array:
        room = original(size + 2 * GUARD, dtype)
        room[:GUARD] = room[GUARD + size :] = np.nan
        self.rooms.append((room, size))
        return room[GUARD : GUARD + size]

    def broken(self) -> list[int]:
        """Return the sizes of the buffers beside which something was written."""
        return [
            size
            for room, size in self.rooms
            if not np.isnan(room[:GUARD]).all() or not np.isnan(room[GUARD + size :]).all()
        ]


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> Guards:
    result = Guards()
    for module in (convolution, plan, steps, tensors, winograd):
        monkeypatch.setattr(module, "aligned_zeros", result.zeros)
    return result


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", FAMILY)
def test_nothing_is_written_or_read_beside_a_buffer(
    case: Any, training: bool, guards: Guards
) -> None:
    version, n, side, options = case
    model = nps.squeezenet(version, num_classes=7, seed=3, **options)
    x, dlogits = batch(n, side, np.float32)
    compiled = nps.compile(model, x.shape, training=training)
    assert np.isfinite(compiled.forward(x)).all()  # a guard that was read would show as NaN
    if training:
        compiled.backward(dlogits)
        assert all(np.isfinite(p.grad).all() for p in model.parameters())
    assert len(guards.rooms) > len(compiled.steps) / 2
    assert guards.broken() == []


def test_a_guard_that_is_written_is_noticed(guards: Guards) -> None:
    buffer = guards.zeros(10, np.float32)
    room = guards.rooms[0][0]
    assert guards.broken() == []
    room[GUARD + len(buffer)] = 0
    assert guards.broken() == [10]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 16, 1000])
def test_buffers_start_at_a_cache_line(size: int, dtype: Any) -> None:
    buffer = original(size, dtype)
    assert buffer.ctypes.data % 64 == 0
    assert buffer.shape == (size,)
    assert not buffer.any()


@pytest.mark.parametrize("case", FAMILY)
def test_a_plan_for_prediction_takes_turns_in_memory_and_says_the_same(case: Any) -> None:
    version, n, side, options = case
    model = nps.squeezenet(version, num_classes=7, seed=3, **options).eval()
    shape = batch(n, side, np.float32)[0].shape
    long, short = (nps.compile(model, shape, training=training) for training in (True, False))
    for seed in (0, 1, 2):  # what the last batch left behind must not be seen
        x = batch(n, side, np.float32, seed)[0]
        np.testing.assert_array_equal(short.forward(x), long.forward(x))
    places = {id(tensor.data.base) for tensor in short.tensors}
    assert len(places) < len(short.tensors)


def test_a_plan_for_prediction_needs_a_fifth_of_the_memory() -> None:
    model = nps.squeezenet("cifar", num_classes=10, seed=0)
    long, short = (
        nps.compile(model, (8, 3, 32, 32), training=training).describe().splitlines()[-1]
        for training in (True, False)
    )
    assert float(short.split()[-2]) < 0.2 * float(long.split()[-2])


def test_the_memory_of_a_plan_goes_with_it() -> None:
    model = nps.squeezenet("cifar", num_classes=3, seed=0, width=0.125, batch_norm=True)
    a_plan = nps.compile(model, (2, 3, 32, 32))
    tensors_left = [weakref.ref(tensor) for tensor in a_plan.tensors]
    gc.disable()
    try:
        del a_plan
        assert not [left for left in tensors_left if left() is not None]
    finally:
        gc.enable()
