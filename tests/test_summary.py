"""The table of a network agrees with the network."""

import re

import numpy as np
import pytest

import npsqueeze as nps
from tests.tiny import tiny_network


def cells(line):
    return re.split(r"\s{2,}", line.strip())


def number(cell):
    return int(cell.replace(",", ""))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nps.squeezenet("1.0", seed=0), (1, 3, 227, 227)),
        (nps.squeezenet("1.1", seed=0, bypass="complex"), (4, 3, 224, 224)),
        (tiny_network(batch_norm=True, bypass="simple"), (2, 3, 32, 32)),
        (tiny_network(head="linear", expand={1: 0.5, 3: 0.25, 5: 0.25}), (1, 3, 33, 45)),
    ],
    ids=["1.0", "1.1", "batch norm", "linear"],
)
def test_lines_and_totals(model, shape):
    _, rule, *rows, last_rule, total = nps.summary(model, shape).splitlines()
    assert rule == last_rule == "-" * len(rule)
    layers = {
        f"{part}.{name}": layer
        for part in ("features", "classifier")
        for name, layer in getattr(model, part).layers.items()
    }
    assert [cells(row)[0] for row in rows] == list(layers)

    counts = []
    for row, layer in zip(rows, layers.values(), strict=True):
        *_, output, parameters, macs, _ = cells(row)
        assert cells(row)[1].startswith(type(layer).__name__)
        assert output == "x".join(map(str, layer.output_shape(shape)))
        counts.append((number(parameters), number(macs)))
        assert counts[-1] == (sum(p.data.size for p in layer.parameters()), layer.macs(shape))
        shape = layer.output_shape(shape)
    name, parameters, macs, memory = cells(total)
    assert name == "total"
    assert [number(parameters), number(macs)] == np.sum(counts, axis=0).tolist()
    assert number(parameters) == sum(p.data.size for p in model.parameters())
    megabytes = sum(float(cells(row)[-1].removesuffix(" MiB")) for row in rows)
    assert float(memory.removesuffix(" MiB")) == pytest.approx(megabytes, abs=0.005 * len(rows))


def test_the_stem_and_a_fire_module_of_1_0():
    lines = nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 227, 227)).splitlines()
    pixels = 111 * 111
    assert cells(lines[2]) == [
        "features.0", "Conv2d 7x7/2", "1x96x111x111", "14,208", "173,873,952",
        f"{4 * 96 * pixels / 2**20:.2f} MiB",
    ]  # fmt: skip
    assert pixels * 96 * 3 * 7 * 7 == 173_873_952
    fire = next(line for line in lines if line.startswith("features.3 "))
    assert cells(fire)[:5] == [
        "features.3", "Fire squeeze 16, expand1x1 64, expand3x3 64", "1x128x55x55", "11,920",
        f"{55 * 55 * 11_776:,}",
    ]  # fmt: skip


def test_float64_takes_twice_the_memory():
    model = tiny_network()
    single = cells(nps.summary(model, (8, 3, 32, 32)).splitlines()[-1])
    double = cells(nps.summary(model.astype("float64"), (8, 3, 32, 32)).splitlines()[-1])
    assert single[:3] == double[:3]
    megabytes = [float(row[-1].removesuffix(" MiB")) for row in (single, double)]
    assert megabytes[1] == pytest.approx(2 * megabytes[0], abs=0.02)


def test_a_picture_too_small():
    with pytest.raises(ValueError, match="x: 5x5 pixels are too few"):
        nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 5, 5))
