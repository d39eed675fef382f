"""Plans: the same results as the layers, on every kind of network of the family."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze import layers
from npsqueeze.arrays import Array
from npsqueeze.engine import Plan
from npsqueeze.functional import softmax_cross_entropy_backward, softmax_cross_entropy_forward

FAMILY: list[tuple[str, int, int, dict[str, Any]]] = [
    ("cifar", 3, 32, {}),
    ("cifar", 2, 33, {"batch_norm": True, "bypass": "simple"}),
    ("cifar", 3, 32, {"batch_norm": True, "bypass": "complex", "dropout": 0.3}),
    ("cifar", 2, 32, {"head": "linear", "expand": {1: 0.5, 3: 0.25, 5: 0.25}, "width": 0.37}),
    ("cifar", 1, 47, {"bypass": "complex", "width": 0.5, "expand": {3: 1.0}}),
    ("cifar", 2, 32, {"bypass": "complex", "width": 0.1, "batch_norm": True, "dropout": 0.0}),
    ("1.0", 1, 61, {"width": 0.25}),
    ("1.1", 2, 47, {"batch_norm": True, "width": 0.25}),
    ("1.1", 1, 64, {"stem": (8, 5, 2, 2), "pool_after": (2,), "width": 0.25, "final_relu": True}),
]


def pair(version: str, dtype: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return the same network twice."""
    first, second = (
        nps.squeezenet(version, num_classes=7, seed=3, **options).astype(dtype) for _ in range(2)
    )
    return first, second


def batch(n: int, side: int, dtype: Any, seed: int = 0) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 3, side, side + side % 3)).astype(dtype)
    return x, draw.normal(size=(n, 7)).astype(dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", FAMILY)
def test_a_plan_and_the_layers_agree_to_rounding(case: Any, training: bool) -> None:
    version, n, side, options = case
    model, planned = pair(version, np.float64, options)
    model.train(training)
    planned.train(training)
    x, dlogits = batch(n, side, np.float64)
    plan = nps.compile(planned, x.shape)
    np.testing.assert_allclose(plan.forward(x), model.forward(x), rtol=0, atol=1e-11)
    model.backward(dlogits)
    plan.backward(dlogits)
    for (name, expected), (_, came) in zip(
        model.named_parameters(), planned.named_parameters(), strict=True
    ):
        scale = np.abs(expected.grad).max()
        np.testing.assert_allclose(came.grad, expected.grad, atol=1e-10 * scale, err_msg=name)
    for name, expected_state in model.state_dict().items():
        came_state = planned.state_dict()[name]
        np.testing.assert_allclose(came_state, expected_state, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("case", FAMILY)
def test_in_float32_within_the_bounds_of_the_design(case: Any) -> None:
    version, n, side, options = case
    model, planned = pair(version, np.float32, options | {"batch_norm": False})
    x, dlogits = batch(n, side, np.float32)
    plan = nps.compile(planned, x.shape)
    expected, came = model.forward(x), plan.forward(x)
    assert came.dtype == np.float32
    np.testing.assert_allclose(came, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    model.backward(dlogits)
    plan.backward(dlogits)
    for a, b in zip(model.parameters(), planned.parameters(), strict=True):
        np.testing.assert_allclose(b.grad, a.grad, atol=1e-4 * np.abs(a.grad).max())


def test_a_plan_passes_the_gradient_check() -> None:
    model = nps.squeezenet(
        "cifar", num_classes=4, seed=0, width=0.1, bypass="complex", batch_norm=True, dropout=0.0
    ).astype(np.float64)
    draw = np.random.default_rng(0)
    x, labels = draw.normal(size=(3, 3, 32, 32)), np.array([0, 3, 1])
    plan, parameters = nps.compile(model, x.shape), model.parameters()

    def loss(*values: Any) -> float:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data[...] = value
        return softmax_cross_entropy_forward(plan.forward(x), labels)[0]

    _, cache = softmax_cross_entropy_forward(plan.forward(x), labels)
    plan.backward(softmax_cross_entropy_backward(1.0, cache))
    gradients = [parameter.grad.copy() for parameter in parameters]
    report = nps.gradcheck_directional(loss, gradients, [p.data.copy() for p in parameters])
    assert report.kinks <= 2


@pytest.fixture
def plan() -> Plan:
    model = nps.squeezenet("cifar", num_classes=7, seed=0, width=0.2, batch_norm=True, dropout=0.0)
    return nps.compile(model, (4, 3, 32, 32))


def test_smaller_batches_need_no_new_plan(plan: Plan) -> None:
    x, dlogits = batch(4, 32, np.float32)
    x = np.ascontiguousarray(x[..., :32])
    plan.forward(x)  # leaves something behind
    model = nps.squeezenet("cifar", num_classes=7, seed=0, width=0.2, batch_norm=True, dropout=0.0)
    plan.model.load_state_dict(model.state_dict())
    np.testing.assert_allclose(plan.forward(x[:3]), model.forward(x[:3]), atol=1e-5)
    plan.backward(dlogits[:3])
    model.backward(dlogits[:3])
    for a, b in zip(model.parameters(), plan.model.parameters(), strict=True):
        np.testing.assert_allclose(b.grad, a.grad, atol=1e-4 * np.abs(a.grad).max())


def test_gradients_add_up_parameters_are_read_anew_and_results_are_the_callers(plan: Plan) -> None:
    x, dlogits = batch(4, 32, np.float32)
    x = np.ascontiguousarray(x[..., :32])
    first = plan.forward(x)
    kept = first.copy()
    plan.backward(dlogits)
    once = [parameter.grad.copy() for parameter in plan.model.parameters()]
    plan.backward(dlogits)
    for parameter, gradient in zip(plan.model.parameters(), once, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * gradient, rtol=1e-5)
    last = plan.model.parameters()[-1]
    last.data += 1
    second = plan.forward(x)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(second, first + 1, rtol=1e-5)


def test_inference_sees_the_weights_of_now_whatever_training_saw_between(plan: Plan) -> None:
    x = np.ascontiguousarray(batch(4, 32, np.float32)[0][..., :32])
    model = plan.model
    before = model.state_dict()
    model.eval()
    expected = plan.forward(x)
    for parameter in model.parameters():
        parameter.data *= 1.5
    model.train()
    plan.forward(x)
    model.eval()
    model.load_state_dict(before)
    np.testing.assert_array_equal(plan.forward(x), expected)


def test_nan_comes_through(plan: Plan) -> None:
    x = np.zeros((2, 3, 32, 32), np.float32)
    x[1, 0, 5, 5] = np.nan
    plan.model.eval()
    logits = plan.forward(x)
    assert np.isfinite(logits[0]).all()
    assert np.isnan(logits[1]).all()


def assert_agree(model: nps.layers.Module, plan: Plan, x: Array, dlogits: Array) -> None:
    """See that a plan of the model's twin has its answers and gradients, in float64."""
    np.testing.assert_allclose(plan.forward(x), model.forward(x), atol=1e-11)
    model.backward(dlogits)
    plan.backward(dlogits)
    for a, b in zip(model.parameters(), plan.model.parameters(), strict=True):
        np.testing.assert_allclose(b.grad, a.grad, atol=1e-11 * max(1, np.abs(a.grad).max()))


def drawn(model: layers.Sequential) -> layers.Sequential:
    """Give the network random parameters, in float64."""
    model.astype(np.float64)
    draw = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data[...] = draw.normal(size=parameter.data.shape)
    return model


def test_an_unknown_layer_is_computed_as_without_the_engine() -> None:
    def network() -> layers.Sequential:
        model = layers.Sequential(
            {
                "conv": layers.Conv2d(3, 4, 3, padding=1),
                "relu": layers.ReLU(),
                "average": layers.AvgPool2d(2),
                "strided": layers.Conv2d(4, 6, 3, stride=2, padding=1),
                "grouped": layers.Conv2d(6, 4, 1, groups=2),
                "mean": layers.GlobalAvgPool2d(),
                "linear": layers.Linear(4, 7),
            }
        )
        return drawn(model)

    model, planned = network(), network()
    x, dlogits = batch(2, 9, np.float64)
    with pytest.warns(UserWarning, match="does not know average, strided, grouped"):
        plan = nps.compile(planned, x.shape)
    np.testing.assert_allclose(plan.forward(x), model.forward(x), atol=1e-12)
    model.backward(dlogits)
    plan.backward(dlogits)
    for a, b in zip(model.parameters(), planned.parameters(), strict=True):
        np.testing.assert_allclose(b.grad, a.grad, atol=1e-12)


def test_windows_over_parts_that_do_not_fill_their_vectors() -> None:
    def network() -> layers.Sequential:
        model = layers.Sequential(
            {
                "conv": layers.Conv2d(3, 5, 1),
                "fire": layers.Fire(5, 3, {1: 9, 3: 11}),
                "wide": layers.Conv2d(20, 4, 3, padding=1),
                "mean": layers.GlobalAvgPool2d(),
                "linear": layers.Linear(4, 7),
            }
        )
        return drawn(model)

    model, planned = network(), network()
    x, dlogits = batch(2, 7, np.float64)
    plan = nps.compile(planned, x.shape)
    assert_agree(model, plan, x, dlogits)


class Doubling(layers.Conv2d):
    """Twice a convolution."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return 2 * super().forward(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(2 * dy)


def test_a_layer_of_ones_own_is_not_taken_for_the_one_that_it_is_made_from() -> None:
    def network() -> layers.Sequential:
        return drawn(
            layers.Sequential(
                {
                    "conv": layers.Conv2d(3, 4, 3, padding=1),
                    "doubled": Doubling(4, 5, 1),
                    "mean": layers.GlobalAvgPool2d(),
                    "linear": layers.Linear(5, 7),
                }
            )
        )

    model, planned = network(), network()
    x, dlogits = batch(2, 9, np.float64)
    with pytest.warns(UserWarning, match="does not know doubled:"):
        plan = nps.compile(planned, x.shape)
    assert_agree(model, plan, x, dlogits)


def test_a_bypass_between_channels_at_different_places_is_computed_as_without_it() -> None:
    options = {"bypass": "simple", "width": 0.3, "stem": (128, 3, 1, 1)}
    model, planned = pair("cifar", np.float64, options)
    x, dlogits = batch(2, 32, np.float64)
    with pytest.warns(UserWarning, match="does not know features.3"):
        plan = nps.compile(planned, x.shape)
    model.eval()
    planned.eval()
    np.testing.assert_allclose(plan.forward(x), model.forward(x), atol=1e-11)
    model.backward(dlogits)
    plan.backward(dlogits)
    for a, b in zip(model.parameters(), planned.parameters(), strict=True):
        np.testing.assert_allclose(b.grad, a.grad, atol=1e-10 * np.abs(a.grad).max())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((5, 3, 32, 32), np.float32), ValueError, r"expected shape \(1 to 4, 3, 32, 32\)"),
        (np.zeros((4, 3, 33, 32), np.float32), ValueError, r"got \(4, 3, 33, 32\)"),
        (np.zeros((0, 3, 32, 32), np.float32), ValueError, "1 to 4"),
        (np.zeros((4, 3, 32, 32)), TypeError, "x: expected an array of float32, got float64"),
        ([1.0], TypeError, "got list"),
    ],
)
def test_a_plan_names_a_wrong_input(plan: Plan, x: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        plan.forward(x)


def test_a_plan_for_prediction_goes_forward_only(plan: Plan) -> None:
    x = np.ascontiguousarray(batch(4, 32, np.float32)[0][..., :32])
    short = nps.compile(plan.model, x.shape, training=False)
    plan.model.eval()
    np.testing.assert_array_equal(short.forward(x), plan.forward(x))
    assert sum(t.bytes for t in short.tensors) < 0.6 * sum(t.bytes for t in plan.tensors)
    with pytest.raises(RuntimeError, match="training=False"):
        short.backward(np.zeros((4, 7), np.float32))


def test_a_frozen_plan_keeps_the_weights_that_it_saw(plan: Plan) -> None:
    model, x = plan.model.eval(), np.ones((4, 3, 32, 32), np.float32)
    short = nps.compile(model, x.shape, training=False)
    before = short.forward(x)
    short.freeze()
    for parameter in model.parameters():
        parameter.data *= 1.1
    np.testing.assert_array_equal(short.forward(x), before)
    fresh = nps.compile(model, x.shape, training=False).forward(x)
    assert np.abs(fresh - before).max() > 0.01
    np.testing.assert_array_equal(plan.forward(x), fresh)
    with pytest.raises(RuntimeError, match="only one that was compiled with training=False"):
        plan.freeze()


def test_backward_wants_a_forward_pass_and_the_logits_shape(plan: Plan) -> None:
    with pytest.raises(RuntimeError, match="forward pass before"):
        plan.backward(np.zeros((4, 7), np.float32))
    plan.forward(np.zeros((2, 3, 32, 32), np.float32))
    with pytest.raises(ValueError, match="dy: expected shape"):
        plan.backward(np.zeros((4, 7), np.float32))
    with pytest.raises(ValueError, match="too few"):
        nps.compile(plan.model, (1, 3, 4, 4))


def test_describe_tells_what_each_step_reads_and_writes(plan: Plan) -> None:
    *lines, total = plan.describe().splitlines()
    assert len(lines) == 1 + len(plan.steps)
    assert lines[1].split()[:6] == [
        "features.0", "Convolution", "input", "features.0", "4x32x32x13", "1,437,696",
    ]  # fmt: skip
    assert sum(step.macs() for step in plan.steps) == sum(
        int(line.split()[-3].replace(",", "")) for line in lines[1:]
    )
    assert total.split()[:2] == ["all", f"{sum(step.macs() for step in plan.steps):,}"]


BITS = """
import hashlib, numpy as np, npsqueeze as nps
model = nps.squeezenet("cifar", num_classes=7, seed=0, batch_norm=True, bypass="simple")
x = np.random.default_rng(0).normal(size=(20, 3, 32, 32)).astype(np.float32)
plan = nps.compile(model, x.shape)
digest = hashlib.sha256(plan.forward(x).tobytes())
plan.backward(np.random.default_rng(1).normal(size=(20, 7)).astype(np.float32))
for parameter in model.parameters():
    digest.update(parameter.grad.tobytes())
print(digest.hexdigest())
"""


def test_the_same_bits_for_any_number_of_threads() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", BITS],
            env={**os.environ, "NUMBA_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 3, 4)
    }
    assert len(digests) == 1
