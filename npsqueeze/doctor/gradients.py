"""Checks that the gradients are right, that they arrive, and that every layer is updated."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.difference_quotients import InputReport, Point, compare
from npsqueeze.doctor.patient import Batch, Patient, change
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding
from npsqueeze.doctor.watching import Passage
from npsqueeze.functional import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from npsqueeze.gradient_check import DIRECTION_STEPS
from npsqueeze.layers import Dropout
from npsqueeze.module import Module, first_names

TOLERANCE = 1e-4
"""A right gradient agrees to 1e-7 or so; a mistake seldom stays below a percent."""

ROADS_APART = 0.05
"""Relative distance of the gradients by the plan and by the layers: float32 rounding, through
ReLUs that switch because of it, stays below a percent."""


def check_backward(model: Module, passages: Sequence[Passage]) -> list[Finding]:
    """Compare each layer's backward pass with difference quotients of its forward pass.

    Layer by layer and in float64, along a random direction of the input and of each parameter, so
    that a mistake is named with its place (the method: `npsqueeze.difference_quotients`). Each
    layer gets what it had as input in the network, for two pictures, plus some noise, because zeros
    of a ReLU are ties to a pooling layer; and biases other than zero, which is the ReLU's kink.
    """
    check = "backward passes"
    generator = np.random.default_rng(0)
    model.astype(np.float64)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.training = False  # it draws another mask each time
    for parameter in model.parameters():
        if parameter.data.ndim < 2:
            parameter.data += 0.1 * generator.standard_normal(parameter.data.shape)
    findings, points = [], 0
    for passage in passages:
        try:
            reports = list(_compare_layer(passage, generator))
        except (TypeError, ValueError, RuntimeError) as error:
            text = f"{passage.name} cannot be checked in float64: {error}"
            findings.append(
                Finding(WARNING, check, text, "nps.gradcheck(forward, backward, inputs)")
            )
            continue
        findings += [_mistake(passage, report) for report in reports if report.wrong]
        points += len(reports)
    text = f"{points} gradients in {len(passages)} layers agree with difference quotients"
    return findings or [Finding(OK, check, text)]


def _compare_layer(passage: Passage, generator: np.random.Generator) -> Iterator[InputReport]:
    """Yield a report for the input of a layer, and one for each of its parameters."""
    layer = passage.layer
    x = passage.x[:2].astype(np.float64)
    x += 0.1 * x.std() * generator.standard_normal(x.shape)
    y = layer.forward(x).copy()
    if y.dtype != np.float64:
        raise TypeError(f"expected float64 for float64, got {y.dtype}")
    if not np.array_equal(layer.forward(x), y):
        raise ValueError("the same input gives two results")
    dy = generator.standard_normal(y.shape)
    layer.zero_grad()
    dx = layer.backward(dy.copy())
    claims = [("input", x, dx)]
    claims += [(name, p.data, p.grad.copy()) for name, p in layer.named_parameters()]

    def output(array: Array, moved: Array) -> Array:
        before = array.copy()
        array[...] = moved
        try:
            return layer.forward(x).copy()
        finally:
            array[...] = before

    for name, array, claim in claims:
        points = [_point(number, array, claim, output, generator) for number in range(2)]
        yield compare(name, points, y, dy, DIRECTION_STEPS, TOLERANCE)


def _point(
    number: int,
    array: Array,
    claim: Array,
    output: Callable[[Array, Array], Array],
    generator: np.random.Generator,
) -> Point:
    """Return the derivative along a direction, with the size of the array."""
    direction = generator.standard_normal(array.shape) * (np.sqrt(np.mean(array**2)) or 1)
    slope = float(np.sum(claim * direction))
    return Point((number,), lambda t: output(array, array + t * direction), slope)


def _mistake(passage: Passage, report: InputReport) -> Finding:
    """Return what a wrong gradient means."""
    place, ratio = f"{passage.name} ({type(passage.layer).__name__})", report.ratio
    of = "dx" if report.name == "input" else f"the gradient of {report.name}"
    cure = f"mend {type(passage.layer).__name__}.backward; try it with nps.gradcheck"
    if ratio == 0:
        text = f"{place}: {of} is zero, though the loss depends on it"
        if report.name != "input":
            text = f"{place} never updates: {of} is zero, though the loss depends on it"
        return Finding(WRONG, "backward passes", text, f"{cure}: it must add to .grad")
    text = f"{place}: {of} is {ratio:.4g} times what the difference quotient says"
    return Finding(WRONG, "backward passes", text, cure)


def check_roads(patient: Patient, batch: Batch) -> list[Finding]:
    """Compare the gradients of the compiled plan with those of the layers.

    They differ where a layer was given a method that computes something else than its class: the
    plan knows it by the class.
    """
    check = "engine"
    if patient.settings.engine == "layers":
        return [Finding(OK, check, "the layers themselves")]
    gradients = []
    for network in (patient.model, patient.network(len(batch[0]))):
        with patient.untouched():
            _backward(network, *batch)
            named = patient.model.named_parameters()
            gradients.append({name: p.grad.copy() for name, p in named})
    taught, fast = gradients
    floor = 1e-6 * max(float(np.linalg.norm(gradient)) for gradient in taught.values())
    apart = [
        name
        for name, gradient in taught.items()
        if np.linalg.norm(fast[name] - gradient) > ROADS_APART * np.linalg.norm(gradient) + floor
    ]
    if apart:
        text = f"the compiled plan and the layers have different gradients: {first_names(apart)}"
        cure = "--engine layers, or make a class of your own instead of changing a layer's method"
        return [Finding(WRONG, check, text, cure)]
    return [Finding(OK, check, "the compiled plan has the gradients of the layers")]


def check_updates(patient: Patient, batch: Batch) -> list[Finding]:
    """Take a step of training, and see that it moves every layer."""
    check = "updates"
    hidden = list(_hidden_layers(patient.model))
    if hidden:
        text = f"never updates: layers in a list or dict have no parameters: {first_names(hidden)}"
        cure = "keep layers in nps.layers.Sequential, or return them from members()"
        return [Finding(WRONG, check, text, cure)]
    parameters = dict(patient.model.named_parameters())
    held = {id(parameter) for parameter in patient.optimizer.parameters}
    missing = [name for name, parameter in parameters.items() if id(parameter) not in held]
    if missing:
        text = f"never updates: the optimiser does not hold {first_names(missing)}"
        return [Finding(WRONG, check, text, "build it of all of model.parameters()")]
    before = {name: parameter.data.copy() for name, parameter in parameters.items()}
    network = patient.network(len(batch[0]))
    _backward(network, *batch)
    silent = [name for name, parameter in parameters.items() if not parameter.grad.any()]
    if silent:
        text = f"never updates: the gradient is zero for {first_names(silent)}"
        cure = "mend its backward, which must add to .grad; or revive dead units with --batch-norm"
        return [Finding(WRONG, check, text, cure)]
    patient.optimizer.step()
    still = [name for name, p in parameters.items() if change(p.data, before[name]) == 0]
    still = [name for name in still if np.array_equal(parameters[name].data, before[name])]
    if still:
        text = f"never updates: a step leaves {first_names(still)} as it was"
        cure = f"--lr {patient.optimizer.lr:g} is not above zero, or too small for float32"
        return [Finding(WRONG, check, text, cure)]
    return [Finding(OK, check, f"a step moves all {len(parameters)} parameters")]


def _backward(network: Any, x: Array, labels: Array) -> None:
    _, cache = softmax_cross_entropy_forward(network.forward(x), labels)
    network.backward(softmax_cross_entropy_backward(1.0, cache))


def _hidden_layers(model: Module) -> Iterator[str]:
    """Yield where layers are kept that a model does not count among its members."""
    known = {id(module) for module in model.modules()}
    for module in model.modules():
        for name, value in vars(module).items():
            members = value.values() if isinstance(value, dict) else value
            if isinstance(value, list | tuple | dict):
                for member in members:
                    if isinstance(member, Module) and id(member) not in known:
                        yield f"{type(module).__name__}.{name} ({type(member).__name__})"
