"""The gradient checks of every operation in `npsqueeze.functional`, and of whole networks."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.difference_quotients import Report
from npsqueeze.errors import GradientError
from npsqueeze.gradient_check import gradcheck, gradcheck_model
from npsqueeze.models import squeezenet

Shape = tuple[int, ...]


class Case(NamedTuple):
    """A pair with its options set, and the inputs at which to check it."""

    name: str
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], Any]
    inputs: dict[str, Array]


def check_all_operations(seed: int = 0) -> list[tuple[str, Report | GradientError]]:
    """Check every forward/backward pair in float64, at odd sizes and with all its options.

    Returns
    -------
    list of (name, verdict)
        The name is that of the operation and its options, such as ``conv2d, dilation 2``; the
        verdict the report of a check that passed, or the error of one that failed.
    """
    generator = np.random.default_rng(seed)
    groups = (_convolutions, _pools, _batch_norms, _fires, _others)
    return [(case.name, _check(case, seed)) for cases in groups for case in cases(generator)]


def check_networks(seed: int = 0) -> list[tuple[str, Report | GradientError]]:
    """Check all gradients of small SqueezeNets together, along random directions.

    Returns
    -------
    list of (name, verdict)
        As `check_all_operations` does.
    """
    generator = np.random.default_rng(seed)
    x, labels = generator.standard_normal((4, 3, 19, 18)), generator.integers(0, 10, 4)
    variants: dict[str, dict[str, Any]] = {
        "plain": {},
        "batch norm, simple bypass": {"batch_norm": True, "bypass": "simple"},
        "complex bypass, 5x5": {"bypass": "complex", "expand": {1: 0.5, 3: 0.25, 5: 0.25}},
        "linear head": {"head": "linear"},
    }
    verdicts = []
    for name, options in variants.items():
        model = squeezenet("cifar", num_classes=10, seed=seed, width=0.25, dropout=0, **options)
        model.astype(np.float64)
        for parameter_name, parameter in model.named_parameters():
            # A bias of zero would leave units that see only dead ones exactly at ReLU's kink.
            if parameter_name.endswith("bias"):
                parameter.data += 0.1 * generator.standard_normal(parameter.data.shape)
        check = partial(gradcheck_model, model, x, labels, seed=seed)
        verdicts.append((f"squeezenet, {name}", _verdict(check)))
    return verdicts


def _check(case: Case, seed: int) -> Report | GradientError:
    names, arrays = zip(*case.inputs.items(), strict=True)
    check = partial(gradcheck, case.forward, case.backward, arrays, names=names, seed=seed)
    return _verdict(check)


def _verdict(check: Callable[[], Report]) -> Report | GradientError:
    try:
        return check()
    except GradientError as error:
        return error


def _normal(generator: np.random.Generator, **shapes: Shape) -> dict[str, Array]:
    return {name: generator.standard_normal(shape) for name, shape in shapes.items()}


def _convolutions(generator: np.random.Generator) -> Iterator[Case]:
    variants: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
        "1x1": ((2, 3, 5, 4), (4, 3, 1, 1), {}),
        "padding 1": ((2, 3, 5, 4), (4, 3, 3, 3), {"padding": 1}),
        "stride 2": ((2, 3, 8, 9), (2, 3, 3, 3), {"stride": 2}),
        "7x7 stride 2": ((1, 3, 12, 11), (2, 3, 7, 7), {"stride": 2, "padding": 3}),
        "dilation 2": ((2, 2, 7, 8), (3, 2, 3, 2), {"dilation": 2, "padding": (1, 0)}),
        "groups 2": ((2, 4, 5, 6), (6, 2, 3, 3), {"groups": 2, "stride": (1, 2)}),
    }
    for name, (x, w, options) in variants.items():
        forward = partial(F.conv2d_forward, **options)
        inputs = _normal(generator, x=x, w=w, b=w[:1])
        yield Case(f"conv2d, {name}", forward, F.conv2d_backward, inputs)
    inputs = _normal(generator, x=(3, 2, 4, 5), w=(3, 2, 2, 3))
    yield Case("conv2d, no bias", F.conv2d_forward, F.conv2d_backward, inputs)


def _pools(generator: np.random.Generator) -> Iterator[Case]:
    variants: dict[str, dict[str, Any]] = {
        "2x2": {"kernel_size": 2},
        "3x3 stride 2": {"kernel_size": 3, "stride": 2},
        "padding 1": {"kernel_size": 3, "stride": 2, "padding": 1},
        "ceil mode": {"kernel_size": (3, 2), "stride": (2, 3), "ceil_mode": True},
    }
    for name, options in variants.items():
        inputs = _normal(generator, x=(2, 3, 8, 7))
        forward: Callable[..., tuple[Array, Any]] = partial(F.max_pool2d_forward, **options)
        yield Case(f"max_pool2d, {name}", forward, F.max_pool2d_backward, inputs)
        forward = partial(F.avg_pool2d_forward, **options)
        yield Case(f"avg_pool2d, {name}", forward, F.avg_pool2d_backward, inputs)

    forward = partial(F.avg_pool2d_forward, **variants["padding 1"], count_include_pad=False)
    inputs = _normal(generator, x=(2, 3, 8, 7))
    yield Case("avg_pool2d, padding not counted", forward, F.avg_pool2d_backward, inputs)
    inputs = _normal(generator, x=(3, 4, 5, 3))
    yield Case(
        "global_avg_pool2d", F.global_avg_pool2d_forward, F.global_avg_pool2d_backward, inputs
    )

    tied = _normal(generator, x=(1, 3, 8, 7))
    tied["x"][0, 0, 2:4, 2:4] = 3  # one window of four equal numbers: four kinks
    forward = partial(F.max_pool2d_forward, kernel_size=2)
    yield Case("max_pool2d, ties", forward, F.max_pool2d_backward, tied)


def _batch_norms(generator: np.random.Generator) -> Iterator[Case]:
    mean, variance = generator.standard_normal(3), generator.uniform(0.5, 2, 3)

    def forward(x: Array, w: Array, b: Array, training: bool) -> tuple[Array, Any]:
        # Copies, for training updates the statistics in place.
        return F.batch_norm2d_forward(x, w, b, mean.copy(), variance.copy(), training)

    for name, training in (("training", True), ("inference", False)):
        inputs = _normal(generator, x=(4, 3, 3, 5), w=(3,), b=(3,))
        pair = partial(forward, training=training), F.batch_norm2d_backward
        yield Case(f"batch_norm2d, {name}", *pair, inputs)


def _fires(generator: np.random.Generator) -> Iterator[Case]:
    plain = {
        "squeeze.weight": (3, 6, 1, 1),
        "squeeze.bias": (3,),
        "expand1x1.weight": (2, 3, 1, 1),
        "expand1x1.bias": (2,),
        "expand3x3.weight": (4, 3, 3, 3),
        "expand3x3.bias": (4,),
    }
    wider = plain | {"expand5x5.weight": (2, 3, 5, 5), "expand5x5.bias": (2,)}
    bypass = {"bypass.weight": (8, 6, 1, 1), "bypass.bias": (8,)}
    normed = plain | {
        "squeeze_norm.weight": (3,),
        "squeeze_norm.bias": (3,),
        "expand_norm.weight": (6,),
        "expand_norm.bias": (6,),
    }
    statistics = {
        f"{norm}.{name}": generator.uniform(0.5, 2, channels)
        for norm, channels in (("squeeze_norm", 3), ("expand_norm", 6))
        for name in ("running_mean", "running_var")
    }
    variants: dict[str, tuple[dict[str, Shape], dict[str, Any]]] = {
        "no bypass": (plain, {}),
        "simple bypass": (plain, {"bypass": "simple"}),
        "complex bypass, 5x5": (wider | bypass, {"bypass": "complex"}),
        "batch norm, training": (normed, {"bypass": "simple"}),
        "batch norm, inference": (normed, {"training": False}),
    }
    for name, (shapes, options) in variants.items():
        inputs = _normal(generator, x=(2, 6, 5, 4), **shapes)
        yield Case(f"fire, {name}", *_fire_pair(list(shapes), statistics, options), inputs)


def _fire_pair(
    names: list[str], statistics: dict[str, Array], options: dict[str, Any]
) -> tuple[Callable[..., tuple[Any, Any]], Callable[[Any, Any], Any]]:
    """Return the Fire module as a pair that takes and returns its parameters one by one."""

    def forward(x: Array, *arrays: Array) -> tuple[Array, Any]:
        parameters = dict(zip(names, arrays, strict=True))
        if "squeeze_norm.weight" in parameters:
            parameters |= {name: array.copy() for name, array in statistics.items()}
        return F.fire_forward(x, parameters, **options)

    def backward(dy: Array, cache: Any) -> tuple[Array, ...]:
        dx, gradients = F.fire_backward(dy, cache)
        return dx, *(gradients[name] for name in names)

    return forward, backward


def _others(generator: np.random.Generator) -> Iterator[Case]:
    inputs = _normal(generator, x=(2, 3, 5, 4))
    yield Case("relu", F.relu_forward, F.relu_backward, inputs)
    zeros = inputs["x"].copy()
    zeros[0, 0, 0] = 0
    yield Case("relu, zeros", F.relu_forward, F.relu_backward, {"x": zeros})

    def concat_forward(*arrays: Array) -> tuple[Array, Any]:
        return F.concat_forward(arrays)

    inputs = _normal(generator, first=(2, 3, 4, 5), second=(2, 1, 4, 5), third=(2, 2, 4, 5))
    yield Case("concat", concat_forward, F.concat_backward, inputs)
    inputs = _normal(generator, x=(3, 7), w=(5, 7), b=(5,))
    yield Case("linear", F.linear_forward, F.linear_backward, inputs)

    for name, training in (("training", True), ("inference", False)):
        dropout_forward = partial(F.dropout_forward, p=0.4, key=(0, 1, 2), training=training)
        inputs = _normal(generator, x=(3, 4, 5))
        yield Case(f"dropout, {name}", dropout_forward, F.dropout_backward, inputs)

    for name, smoothing in (("labels", 0.0), ("smoothed labels", 0.1)):
        loss_forward = partial(F.softmax_cross_entropy_forward, label_smoothing=smoothing)
        inputs = _normal(generator, logits=(5, 10)) | {"labels": generator.integers(0, 10, 5)}
        pair = loss_forward, F.softmax_cross_entropy_backward
        yield Case(f"softmax_cross_entropy, {name}", *pair, inputs)
