"""The command: what it refuses, and a small benchmark from end to end."""

import json
import re

import numpy as np
import pytest

from npsqueeze.benchmark import command, contenders, machine
from npsqueeze.benchmark.contenders import CONTENDERS
from npsqueeze.benchmark.works import Convolution, Network, Peak, Product, Stream
from npsqueeze.cli import main
from tests.benchmark_fakes import contender

OURS_AND_NUMPY = [each for each in CONTENDERS if not each.packages]
TINY = (("width", 1 / 16), ("dropout", 0.0))
WORKS = [
    Peak(1, 6, rounds=100),
    Stream(1000),
    Product(2, 5, 6, 7),
    Convolution((2, 3, 8, 8), 4, 3, padding=1, first=True, training=True),
    Convolution((2, 4, 8, 8), 4, 3, padding=1, training=True),
    Network("step", "small", "cifar", TINY, (2, 3, 16, 16)),
    Network("picture", "small", "1.1", TINY, (1, 3, 32, 32), training=False),
    Network("size", "small", "cifar", TINY, (4, 3, 16, 16)),
]


@pytest.fixture
def small(monkeypatch):
    """Let the command measure small works, of contenders that are always there."""
    monkeypatch.setattr(command, "chosen", lambda *_: WORKS)
    monkeypatch.setattr(command, "installed", lambda: (OURS_AND_NUMPY, ["torch: left out"]))


def test_a_benchmark_from_end_to_end(small, capsys, tmp_path):
    picture = tmp_path / "roofline.png"
    options = ["--threads", "1", "--rounds", "1", "--json", "--plot", str(picture)]
    assert main(["bench", *options]) == 0
    out, progress = capsys.readouterr()
    document = json.loads(out)
    assert document["settings"] == {"threads": 1, "batch_size": 128, "rounds": 1}
    assert document["machine"]["versions"]["numpy"] == np.__version__
    assert "torch: left out" in document["notes"]
    entries = {(entry["kind"], entry["work"]): entry for entry in document["results"]}
    assert entries.keys() == {(work.kind, work.name) for work in WORKS}
    for entry in entries.values():
        assert entry["contenders"]["npsqueeze"]["error"] is None
        assert entry["gflops"] > 0
        assert f"{entry['kind']}: {entry['work']}: npsqueeze " in progress
    assert entries["gemm", WORKS[2].name]["best_competitor"] == "numpy"
    assert "numpy" not in entries["convolution", WORKS[3].name]["contenders"]
    assert entries["step", "small"]["contenders"]["npsqueeze layers"]["peak_mib"] > 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_and_a_contender_that_fails(monkeypatch, capsys):
    monkeypatch.setattr(command, "chosen", lambda *_: WORKS[2:3])
    bad = contender("dies", "npsqueeze")
    monkeypatch.setattr(command, "installed", lambda: ([bad, contender("works")], []))
    assert main(["bench", "--rounds", "1"]) == 1
    out, progress = capsys.readouterr()
    line = "its process has ended, with exit code 3"
    assert f"npsqueeze, {WORKS[2].name}: {line}" in out
    assert f"npsqueeze failed ({line}), works " in progress


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["speed"], "WORK: expected some of peak, gemm, .*, got 'speed'"),
        (["--threads", "0"], "--threads: expected 1 to "),
        (["--threads", "100000"], "--threads: expected 1 to "),
        (["--batch-size", "0"], "--batch-size: expected at least 1, got 0"),
        (["--rounds", "0"], "--rounds: expected at least 1, got 0"),
        (["--plot", "/no/such/folder/x.png"], "--plot: expected a .png file"),
        (["--plot", "x.jpg"], "--plot: expected a .png file"),
    ],
)
def test_what_is_wrong_is_named_before_anything_runs(options, message, capsys):
    assert main(["bench", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.match(f"npsqueeze: {message}", err)


def test_the_peaks_are_always_measured():
    kinds = [work.kind for work in command.chosen(["picture"], 2, 8)]
    assert kinds == ["peak"] * 5 + ["picture"]


def test_a_library_that_is_not_there_is_left_out_with_a_note(monkeypatch):
    monkeypatch.setattr(contenders.importlib.util, "find_spec", lambda name: None)
    names, notes = contenders.installed()
    assert [each.name for each in names] == ["npsqueeze", "npsqueeze layers", "numpy"]
    assert "torch: left out, it needs torch" in notes


def test_a_busy_machine_is_noted(monkeypatch, capsys):
    monkeypatch.setattr(command, "chosen", lambda *_: [])
    monkeypatch.setattr(machine, "load", lambda: 1.25)
    assert main(["bench", "--json"]) == 0
    note = "something else was running (load 1.2): the figures may be far off"
    assert note in json.loads(capsys.readouterr().out)["notes"]
    assert main(["bench"]) == 0
    assert note in capsys.readouterr().out.splitlines()


def test_facts(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    facts = machine.facts()
    assert facts["environment"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert facts["cpu"]
    assert facts["cores"] >= 1
