"""PyTorch as a contender: eager, in one of its two memory layouts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from npsqueeze import layers as ours
from npsqueeze.benchmark import inputs
from npsqueeze.benchmark.works import Convolution, Network, Product, Work
from npsqueeze.models import SqueezeNet


def prepare(work: Work, way: str, threads: int) -> Callable[[], object] | None:
    """Return a function that does the work once; `way` is the name of a memory format."""
    torch.set_num_threads(threads)
    layout = getattr(torch, way)
    if isinstance(work, Product):
        return _product(work)
    if isinstance(work, Convolution):
        return _convolution(work, layout)
    if isinstance(work, Network):
        return _network(work, layout)
    return None


def _product(work: Product) -> Callable[[], object]:
    a, b, c = map(torch.from_numpy, inputs.matrices(work))
    if work.matrices == 1:
        return lambda: torch.mm(a[0], b[0], out=c[0])
    a = a.expand(work.matrices, -1, -1)
    return lambda: torch.bmm(a, b, out=c)


def _convolution(work: Convolution, layout: Any) -> Callable[[], object]:
    x, weight, bias, dy = map(torch.from_numpy, inputs.convolution(work))
    x, weight, dy = (tensor.contiguous(memory_format=layout) for tensor in (x, weight, dy))

    def forward() -> Any:
        return nn.functional.conv2d(x, weight, bias, work.stride, work.padding)

    if not work.training:
        return torch.inference_mode()(forward)
    wanted = [weight, bias] if work.first else [x, weight, bias]
    for tensor in wanted:
        tensor.requires_grad_()
    return lambda: torch.autograd.grad(forward(), wanted, dy)


def _network(work: Network, layout: Any) -> Callable[[], object]:
    model = twin(work.model()).train(work.training).to(memory_format=layout)
    x, labels = map(torch.from_numpy, inputs.pictures(work))
    x = x.contiguous(memory_format=layout)
    if not work.training:
        return torch.inference_mode()(lambda: model(x))
    optimizer = torch.optim.SGD(model.parameters(), **inputs.RECIPE)

    def step() -> Any:
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


class Fire(nn.Module):
    """The Fire module as torchvision writes it, with batch norm and simple bypass beside it."""

    def __init__(self, fire: ours.Fire) -> None:
        super().__init__()
        for name, layer in fire.layers.items():
            self.add_module(name, _layer(layer))
        self.expands = [name for name in fire.layers if name.startswith("expand")]
        self.has_norm = "expand_norm" in fire.layers
        if self.has_norm:
            self.expands.remove("expand_norm")
        self.bypass = fire.bypass == "simple"

    def forward(self, x: Any) -> Any:
        """Squeeze, expand, join."""
        squeezed = self.squeeze(x)
        if self.has_norm:
            squeezed = self.squeeze_norm(squeezed)
        squeezed = squeezed.relu_()
        y = torch.cat([getattr(self, name)(squeezed) for name in self.expands], 1)
        if self.has_norm:
            y = self.expand_norm(y)
        y = y.relu_()
        return y + x if self.bypass else y


def twin(model: SqueezeNet) -> Any:
    """Return the same network, with the same weights, in PyTorch."""
    parts = {
        part: nn.Sequential(*(_layer(layer) for layer in getattr(model, part).layers.values()))
        for part in ("features", "classifier")
    }
    network = nn.Sequential(parts["features"], parts["classifier"])
    with torch.no_grad():
        for theirs, parameter in zip(network.parameters(), model.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(parameter.data))
    return network


def _layer(layer: ours.Module) -> Any:
    if isinstance(layer, ours.Fire):
        return Fire(layer)
    if isinstance(layer, ours.Conv2d):
        (kernel_size, stride, padding, dilation, _), bias = layer.windows, layer.bias is not None
        filters, channels = layer.weight.data.shape[:2]
        return nn.Conv2d(channels, filters, kernel_size, stride, padding, dilation, bias=bias)
    if isinstance(layer, ours.BatchNorm2d):
        return nn.BatchNorm2d(len(layer.weight.data), layer.eps, layer.momentum)
    if isinstance(layer, ours.MaxPool2d):
        kernel_size, stride, padding, _, ceil_mode = layer.windows
        return nn.MaxPool2d(kernel_size, stride, padding, ceil_mode=ceil_mode)
    if isinstance(layer, ours.Dropout):
        return nn.Dropout(layer.p)
    if isinstance(layer, ours.GlobalAvgPool2d):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if isinstance(layer, ours.ReLU):
        return nn.ReLU(inplace=True)
    raise TypeError(f"no twin of {type(layer).__name__}")
