"""The table of a network agrees with the network, and with table 1 of the paper."""

import re

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.units import named_units
from tests.tiny import tiny_network

FILTERS = ["s1x1", "e1x1", "e3x3"]
PAPER = {  # table 1: output size, filter size/stride, depth, s1x1, e1x1, e3x3, parameters
    "conv1": ("111x111x96", "7x7/2", "1", "", "", "", 14_208),
    "maxpool1": ("55x55x96", "3x3/2", "0", "", "", "", 0),
    "fire2": ("55x55x128", "", "2", "16", "64", "64", 11_920),
    "fire3": ("55x55x128", "", "2", "16", "64", "64", 12_432),
    "fire4": ("55x55x256", "", "2", "32", "128", "128", 45_344),
    "maxpool4": ("27x27x256", "3x3/2", "0", "", "", "", 0),
    "fire5": ("27x27x256", "", "2", "32", "128", "128", 49_440),
    "fire6": ("27x27x384", "", "2", "48", "192", "192", 104_880),
    "fire7": ("27x27x384", "", "2", "48", "192", "192", 111_024),
    "fire8": ("27x27x512", "", "2", "64", "256", "256", 188_992),
    "maxpool8": ("13x13x512", "3x3/2", "0", "", "", "", 0),
    "fire9": ("13x13x512", "", "2", "64", "256", "256", 197_184),
    "conv10": ("13x13x1000", "1x1/1", "1", "", "", "", 513_000),
    "avgpool10": ("1x1x1000", "13x13/1", "0", "", "", "", 0),
}


def read(table):
    """Return the rows as dictionaries from heading to cell, by where the columns stand."""
    headings, rule, *rows = table.splitlines()
    spans = [(match[0], match.start(), match.end()) for match in re.finditer(r"\S+", headings)]
    parsed = []
    for row in rows:
        if row == rule:
            continue
        cells = {name: "" for name, _, _ in spans}
        for cell in re.finditer(r"\S+(?: MiB)?", row):
            (name,) = [n for n, start, end in spans if cell.start() < end and start < cell.end()]
            cells[name] = cell[0]
        parsed.append(cells)
    return parsed


def number(cell):
    return int(cell.replace(",", ""))


def test_every_number_of_table_1_of_the_paper():
    *rows, total = read(nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 227, 227)))
    ours = {}
    for row in rows:
        if row["depth"]:  # the paper has no lines for ReLU and dropout
            _, channels, *sides = (row["output"] + "x1x1").split("x")[:4]
            ours[row["unit"]] = (
                "x".join([*sides, channels]), row["filter"], row["depth"],
                *(row[name] for name in FILTERS), number(row["parameters"]),
            )  # fmt: skip
    assert list(ours) == list(PAPER)
    assert ours == PAPER
    assert number(total["parameters"]) == 1_248_424


def test_the_papers_224_pixels_give_109_of_conv1():
    conv1, *_ = read(nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 224, 224)))
    assert conv1["output"] == "1x96x109x109"


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
    _, rule, *lines = nps.summary(model, shape).splitlines()
    assert rule == lines[-2] == "-" * len(rule)
    *rows, total = read(nps.summary(model, shape))
    counts = []
    for row, (name, unit, layer) in zip(rows, named_units(model), strict=True):
        assert (row["layer"], row["unit"]) == (name, unit)
        assert row["output"] == "x".join(map(str, layer.output_shape(shape)))
        counts.append((number(row["parameters"]), number(row["MACs"])))
        assert counts[-1] == (sum(p.data.size for p in layer.parameters()), layer.macs(shape))
        shape = layer.output_shape(shape)
    assert total["layer"] == "total"
    assert [number(total[name]) for name in ("parameters", "MACs")] == np.sum(counts, 0).tolist()
    assert number(total["parameters"]) == sum(p.data.size for p in model.parameters())
    megabytes = sum(float(row["activations"].removesuffix(" MiB")) for row in rows)
    assert float(total["activations"].removesuffix(" MiB")) == pytest.approx(
        megabytes, abs=0.005 * len(rows)
    )


def test_operations_and_memory_of_the_stem_and_a_fire_module_of_1_0():
    rows = {
        row["unit"]: row
        for row in read(nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 227, 227)))
    }
    pixels = 111 * 111
    assert rows["conv1"]["MACs"] == f"{pixels * 96 * 3 * 7 * 7:,}" == "173,873,952"
    assert rows["conv1"]["activations"] == f"{4 * 96 * pixels / 2**20:.2f} MiB"
    assert rows["fire2"]["MACs"] == f"{55 * 55 * 11_776:,}"


@pytest.mark.parametrize(
    ("expand", "filters"),
    [
        ({1: 0.5, 3: 0.25, 5: 0.25}, {"s1x1": "16", "e1x1": "64", "e3x3": "32", "e5x5": "32"}),
        ({1: 0.0, 3: 1.0}, {"s1x1": "16", "e3x3": "128"}),
    ],
)
def test_a_column_for_each_kernel_size(expand, filters):
    rows = read(nps.summary(nps.squeezenet("1.1", seed=0, expand=expand), (1, 3, 64, 64)))
    assert {name for name in rows[0] if re.fullmatch(r"[se]\dx\d", name)} == set(filters)
    (fire2,) = [row for row in rows if row["unit"] == "fire2"]
    assert {name: fire2[name] for name in filters} == filters


def test_float64_takes_twice_the_memory():
    model = tiny_network()
    single = read(nps.summary(model, (8, 3, 32, 32)))[-1]
    double = read(nps.summary(model.astype("float64"), (8, 3, 32, 32)))[-1]
    megabytes = [float(row.pop("activations").removesuffix(" MiB")) for row in (single, double)]
    assert single == double
    assert megabytes[1] == pytest.approx(2 * megabytes[0], abs=0.02)


def test_a_picture_too_small():
    with pytest.raises(ValueError, match="x: 5x5 pixels are too few"):
        nps.summary(nps.squeezenet("1.0", seed=0), (1, 3, 5, 5))
