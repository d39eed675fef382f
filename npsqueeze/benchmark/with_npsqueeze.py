"""npsqueeze as a contender: its kernels, its plans, and the taught road."""

from collections.abc import Callable

import numpy as np

import npsqueeze as nps
from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze import kernels
from npsqueeze.benchmark import inputs
from npsqueeze.benchmark.works import Convolution, Network, Peak, Product, Stream, Work
from npsqueeze.kernels.peak import MANY_CHAINS
from npsqueeze.layers import Conv2d, Module, Sequential


def prepare(work: Work, way: str, threads: int) -> Callable[[], object]:
    """Return a function that does the work once, by the road "compiled" or "layers"."""
    nps.set_num_threads(work.threads if isinstance(work, Peak) else threads)
    if isinstance(work, Peak):
        return _peak(work)
    if isinstance(work, Stream):
        a, b, c = np.ones((3, work.size), np.float32)
        return lambda: kernels.triad(a, b, c, np.float32(0.5))
    if isinstance(work, Product):
        a, b, c = inputs.matrices(work)
        return lambda: kernels.gemm(a, b, c, False, False)
    if isinstance(work, Convolution):
        return _convolution(work)
    return _network(work, way)


def _peak(work: Peak) -> Callable[[], object]:
    sums = np.ones((work.tasks, work.chains * 16), np.float32)
    factors = np.full(32, 0.5, np.float32)  # s·0.5 + 0.5 stays at 1
    many = work.chains == MANY_CHAINS
    return lambda: kernels.fma_chains(factors, sums, work.rounds, many)


def _convolution(work: Convolution) -> Callable[[], object]:
    """Return the step of a plan, without the change of layout at the plan's two ends."""
    x, weight, bias, dy = inputs.convolution(work)
    layer = Conv2d(x.shape[1], work.filters, work.kernel_size, work.stride, work.padding)
    layer.weight.data[...], layer.bias.data[...] = weight, bias  # type: ignore[union-attr]
    # The engine computes the gradient of a tensor that another step has written.
    before: dict[str, Module] = {} if work.first else {"before": Conv2d(x.shape[1], x.shape[1], 1)}
    plan = nps.compile(Sequential(before | {"conv": layer}), x.shape, training=work.training)
    plan.x.write(plan.x.data, x)
    for each in plan.steps:
        each.forward(len(x), work.training)
    if not work.training:
        return lambda: plan.steps[-1].forward(len(x), False)
    plan.logits.write(plan.logits.grad, dy)

    def forward_and_backward() -> None:
        step = plan.steps[-1]  # whose memory lives as long as the plan
        step.forward(len(x), True)
        step.backward(len(x))

    return forward_and_backward


def _network(work: Network, way: str) -> Callable[[], object]:
    model = work.model()
    network: nps.Plan | nps.SqueezeNet = model
    if way == "compiled":
        network = nps.compile(model, work.shape, training=work.training)
        if not work.training:
            network.freeze()  # as an ONNX Runtime session is
    x, labels = inputs.pictures(work)
    if not work.training:
        return lambda: network.forward(x)
    optimizer = nps.optim.SGD(model.parameters(), **inputs.RECIPE)

    def step() -> float:
        loss, cache = F.softmax_cross_entropy_forward(network.forward(x), labels)
        network.backward(F.softmax_cross_entropy_backward(1.0, cache))
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step
