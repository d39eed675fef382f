"""Start-up: what an import brings along, what is compiled once, and that it is told."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from npsqueeze import kernels
from npsqueeze.kernels import jit
from npsqueeze.warmup import telling_compilation
from tests.test_kernels_jit import compiled_only
from tests.tiny import EMBEDDED

ROOT = Path(__file__).parents[1]


def start(cache_home: Path, *arguments: object) -> tuple[list[str], list[str]]:
    """Run a command with its own cache; return its lines, and the kernels that it compiled."""
    finished = subprocess.run(
        [sys.executable, "-m", "npsqueeze", *map(str, arguments)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache_home), "NUMBA_NUM_THREADS": "2"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    names = re.findall(r"(?m)^compiling (\w+) …$", finished.stderr)
    assert len(names) == len(finished.stderr.splitlines()), finished.stderr
    return finished.stdout.splitlines(), names


@pytest.fixture(scope="module")
def warmed_up(tmp_path_factory) -> tuple[Path, list[str], list[str]]:
    cache_home = tmp_path_factory.mktemp("cache")
    return cache_home, *start(cache_home, "warmup")


@compiled_only
def test_warmup_names_each_kernel_once_and_tells_the_time_and_the_folder(warmed_up):
    cache_home, lines, names = warmed_up
    (folder,) = (cache_home / "npsqueeze").iterdir()
    (line,) = lines
    assert re.fullmatch(rf"{len(names)} kernels compiled in \d+ s; they are kept in (.*)", line)
    assert line.endswith(str(folder))
    assert {"convolve", "weight_gradient", "gemm", "im2col", "sgd_step", "adamw_step"} <= {*names}


@compiled_only
def test_a_second_warmup_finds_all_there(warmed_up):
    lines, names = start(warmed_up[0], "warmup")
    assert names == []
    assert lines[0].startswith("all kernels are there already, as ")


TRAIN = ["train", "--data", EMBEDDED, "--subset", 20, "--epochs", 1, "--width", 0.0625]


@compiled_only
def test_after_it_no_command_compiles_anything(warmed_up, tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    weights = tmp_path / "compiled" / "last.npz"
    for command in (
        [*TRAIN, "--engine", "compiled", "--run", weights.parent],
        [*TRAIN, "--engine", "layers", "--run", tmp_path / "layers", "--optimizer", "adamw"],
        ["eval", "--data", EMBEDDED, "--weights", weights],
        ["predict", tmp_path / "red.png", "--weights", weights],
    ):
        assert start(warmed_up[0], *command)[1] == [], command


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (io.StringIO, "compiling gemm …\ncompiling relu …\n"),
        (Terminal, "\rcompiling gemm …\x1b[K\rcompiling relu …\x1b[K\r\x1b[K"),
    ],
)
def test_a_terminal_keeps_one_line(monkeypatch, stream, expected):
    monkeypatch.setattr(sys, "stderr", stream())
    with telling_compilation():
        for name in ("gemm", "relu"):
            for listener in jit._listeners:
                listener(name)
    assert sys.stderr.getvalue() == expected  # type: ignore[attr-defined]


def test_the_library_itself_is_silent():
    heard: list[str] = []
    assert jit._listeners == []
    with kernels.listening(heard.append):
        assert len(jit._listeners) == 1
    assert jit._listeners == []


IMPORT = """
import sys, time, numpy, numba
start = time.process_time()  # of this process alone, however busy the machine is
import npsqueeze
print(time.process_time() - start)
print(*{"tqdm", "pooch", "PIL", "matplotlib", "safetensors", "onnx"} & sys.modules.keys())
"""


def test_an_import_is_fast_and_brings_no_more_than_it_needs():
    seconds = []
    for _ in range(3):
        output = subprocess.run(
            [sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        duration, imported = output.split("\n")[:2]
        assert imported == ""
        seconds.append(float(duration))
    assert min(seconds) < 0.3
