"""Our weights in a PyTorch module, by way of a .safetensors file under torchvision's names."""

from collections import OrderedDict

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.interop import save_safetensors
from tests import tiny
from tests.strategies import random_array

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
nn = torch.nn
one_thread = tiny.one_thread

NETWORKS = {
    "1.0": {"version": "1.0"},
    "1.1": {"version": "1.1"},
    "cifar with batch norm": {"version": "cifar", "batch_norm": True},
    "simple bypass": {"version": "1.1", "bypass": "simple"},
    "complex bypass": {"version": "1.1", "bypass": "complex", "batch_norm": True},
    "linear head": {"version": "1.0", "head": "linear"},
    "5x5": {"version": "cifar", "expand": {1: 0.5, 3: 0.25, 5: 0.25}},
}


class Fire(nn.Module):
    """The Fire module; an expand convolution of size K is `expandKxK`, as in torchvision."""

    def __init__(self, channels, squeeze, expand, batch_norm, bypass):
        super().__init__()
        filters = sum(expand.values())
        self.squeeze = nn.Conv2d(channels, squeeze, 1, bias=not batch_norm)
        self.branches = [f"expand{size}x{size}" for size in expand]
        for name, (size, count) in zip(self.branches, expand.items(), strict=True):
            layer = nn.Conv2d(squeeze, count, size, padding=size // 2, bias=not batch_norm)
            self.add_module(name, layer)
        self.squeeze_norm = nn.BatchNorm2d(squeeze) if batch_norm else nn.Identity()
        self.expand_norm = nn.BatchNorm2d(filters) if batch_norm else nn.Identity()
        self.adds = bypass == "complex" or (bypass == "simple" and channels == filters)
        self.bypass = nn.Identity()
        if bypass == "complex" and channels != filters:
            self.bypass = nn.Conv2d(channels, filters, 1)

    def forward(self, x):
        squeezed = self.squeeze_norm(self.squeeze(x)).relu()
        joined = torch.cat([getattr(self, name)(squeezed) for name in self.branches], 1)
        y = self.expand_norm(joined).relu()
        return y + self.bypass(x) if self.adds else y


def torch_squeezenet(
    stem, pool_after, classes, batch_norm=False, bypass="none", head="conv", final_relu=True,
    expand=None,
):  # fmt: skip
    """Return a SqueezeNet with the paper's numbers of filters."""
    channels, size, stride, padding = stem
    layers = [("0", nn.Conv2d(3, channels, size, stride, padding, bias=not batch_norm))]
    if batch_norm:
        layers.append(("0_norm", nn.BatchNorm2d(channels)))
    layers.append(("1", nn.ReLU()))
    index = 2
    for unit in range(1, 10):
        if unit > 1:
            total = 128 * (1 + (unit - 2) // 2)
            shares = {k: int(total * share) for k, share in (expand or {1: 0.5, 3: 0.5}).items()}
            layers.append((str(index), Fire(channels, total // 8, shares, batch_norm, bypass)))
            channels, index = total, index + 1
        if unit in pool_after:
            layers.append((str(index), nn.MaxPool2d(3, 2, ceil_mode=True)))
            index += 1
    average = [("average", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten())]
    if head == "linear":
        classifier = [*average, ("1", nn.Linear(channels, classes))]
    else:
        relu = nn.ReLU() if final_relu else nn.Identity()
        classifier = [("1", nn.Conv2d(channels, classes, 1)), ("2", relu), *average]
    parts = {"features": layers, "classifier": classifier}
    return nn.Sequential(
        OrderedDict((name, nn.Sequential(OrderedDict(part))) for name, part in parts.items())
    ).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_computes_the_same(tmp_path, name):
    options = dict(NETWORKS[name])
    model = nps.squeezenet(num_classes=7, seed=1, **options).eval()
    for i, (part, member) in enumerate(model.named_state()):
        noise = 0.1 * random_array(i, member.data.shape, np.float32)
        member.data += np.abs(noise) if part.endswith("running_var") else noise
    save_safetensors(tmp_path / "a.safetensors", model)

    options.pop("version")
    config = {key: model.config[key] for key in ("stem", "pool_after", "final_relu")}
    twin = torch_squeezenet(classes=7, **config | options)
    state = safetensors_torch.load_file(tmp_path / "a.safetensors")
    unmatched = twin.load_state_dict(state, strict=False)
    assert not unmatched.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in unmatched.missing_keys)

    x = random_array(0, (3, 3, 40, 40), np.float32)
    with torch.no_grad():
        expected = twin(torch.from_numpy(x)).numpy()
    error = np.abs(model.forward(x) - expected).max()
    assert error <= 1e-5 * np.abs(expected).max()
