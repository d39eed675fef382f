"""Tables, JSON and pictures of results that are made up."""

import json

import pytest

from npsqueeze.benchmark import report
from npsqueeze.benchmark.results import Outcome, Result, Roof
from npsqueeze.benchmark.roofline import draw
from npsqueeze.benchmark.works import Network, Peak, Product, Stream

PRODUCT = Product(1, 100, 100, 500)  # 10⁷ operations
STEP = Network("step", "small", "cifar", (("width", 1 / 16),), (2, 3, 16, 16))
ROOF = Roof(one_core=2.0, all_threads=4.0, memory=1.0)
RESULTS = [
    Result(
        PRODUCT,
        (Outcome("npsqueeze", 0.005), Outcome("numpy", 0.02), Outcome("torch", 0.0075)),
    ),
    Result(
        STEP,
        (
            Outcome("npsqueeze", 0.01, 100 * 2**20),
            Outcome("npsqueeze layers", 0.002, 200 * 2**20),
            Outcome("torch", error="RuntimeError: no"),
        ),
    ),
]
SIZES = [
    Result(Network("size", f"{n}, {p}", "cifar", STEP.options, (n, 3, p, p)), (outcome,))
    for n, p in ((8, 32), (16, 32), (16, 64))
    for outcome in [Outcome("npsqueeze", n * p * p / 1e6, 2**20)]
]


def test_what_follows_from_times():
    product, step = RESULTS
    assert product.gflops == pytest.approx(2)
    assert product.best.contender == "torch"
    assert product.ratio == pytest.approx(1.5)
    assert product.ratio_to(product.outcomes[1]) == pytest.approx(4)
    assert step.best is None  # the taught road is no competitor
    assert step.ratio is None
    assert Result(PRODUCT, ()).gflops is None


def test_the_roof_is_the_best_of_each():
    results = [
        Result(work, (Outcome("npsqueeze", seconds),))
        for work, seconds in (
            (Peak(1, 6, 10**6), 1.0), (Peak(1, 12, 10**6), 1.0), (Peak(2, 6, 10**6), 1.0),
            (Stream(10**9), 2.0),
        )
    ]  # fmt: skip
    roof = Roof.of(results, threads=2)
    assert (roof.one_core, roof.all_threads) == (pytest.approx(3.072), pytest.approx(3.072))
    assert roof.memory == pytest.approx(6)
    assert roof.under(0.1) == pytest.approx(0.6)
    assert roof.under(100) == pytest.approx(3.072)
    assert Roof.of(results[:-1], threads=2) is None
    assert Roof.of(results, threads=3) is None


def test_the_table():
    text = report.table(RESULTS, ROOF)
    lines = text.splitlines()
    assert lines[0].split() == [
        "gemm", "npsqueeze", "numpy", "torch", "GFLOP/s", "of", "peak", "ratio", "to",
    ]  # fmt: skip
    assert lines[2].split()[3:] == ["5", "20", "7.5", "2.0", "50", "%", "1.50", "torch"]
    step = next(line for line in lines if line.startswith("small"))
    assert step.split()[1:4] == ["10", "2", "failed"]
    memory = next(line for line in lines if line.startswith("  peak MiB"))
    assert memory.split()[2:] == ["100", "200"]
    assert "torch, small: RuntimeError: no" in lines
    assert "peak: 2.0 GFLOP/s by one thread, 4.0 by all; memory: 1.0 GB/s" in lines


def test_the_table_of_sizes_is_by_picture():
    lines = report.table(SIZES, None).splitlines()
    assert lines[0].split() == ["size", "ms", "a", "picture", "GFLOP/s", "peak", "MiB"]
    assert [line.split()[2] for line in lines[2:5]] == ["1.024", "1.024", "4.096"]


def test_the_document_is_json():
    document = report.document(RESULTS, ROOF, {"cpu": "x"}, {"threads": 2}, ["a note"])
    document = json.loads(json.dumps(document))
    assert document["machine"] == {"cpu": "x"}
    assert document["notes"] == ["a note"]
    assert document["peak"]["all_threads_gflops"] == 4
    product, step = document["results"]
    assert product["fraction_of_peak"] == pytest.approx(0.5)
    assert (product["best_competitor"], product["ratio"]) == ("torch", pytest.approx(1.5))
    assert product["contenders"]["numpy"]["ratio"] == pytest.approx(4)
    assert step["contenders"]["npsqueeze"]["peak_mib"] == 100
    assert step["contenders"]["torch"]["error"] == "RuntimeError: no"
    assert step["best_competitor"] is None
    assert report.document(RESULTS, None, {}, {}, [])["peak"] is None


@pytest.mark.parametrize("results", [RESULTS, RESULTS + SIZES, []], ids=["few", "sizes", "none"])
@pytest.mark.parametrize("roof", [ROOF, None], ids=["roof", "no roof"])
def test_the_picture(results, roof, tmp_path):
    path = tmp_path / "roofline.png"
    draw(results, roof, path)
    assert path.read_bytes().startswith(b"\x89PNG")
