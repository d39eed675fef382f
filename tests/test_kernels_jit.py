"""The cache of compiled kernels, and what npsqueeze leaves alone.

Most of this needs fresh processes with a cache folder of their own. They run `report()`, at the end
of this file, and print what came out as JSON.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import pytest

from npsqueeze import functional, kernels
from npsqueeze.arrays import Array
from npsqueeze.kernels import jit
from tests.strategies import random_array

ROOT = Path(__file__).parents[1]

compiled_only = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="without compilation there is nothing to cache"
)


def run(code: str, cache_home: Path, **environment: str) -> Any:
    """Run `code` in a new process with Numba's settings as they come; return what it prints."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**inherited, "XDG_CACHE_HOME": str(cache_home), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return json.loads(finished.stdout)


def run_report(what: str, cache_home: Path, **environment: str) -> Any:
    return run(f"from tests import test_kernels_jit as t; t.{what}", cache_home, **environment)


# The cache


IMPORT = """
import json, os, numba, numpy
from numba.core import event
threads = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 0
settings = dict(vars(numba.config))
with event.install_recorder("numba:compile") as compilations:
    import npsqueeze, npsqueeze.functional, npsqueeze.kernels
print(json.dumps({
    "compilations": len(compilations.buffer),
    "threads": len(os.listdir("/proc/self/task")) - threads if threads else 0,
    "settings": settings == dict(vars(numba.config)),
}))
"""


@compiled_only
def test_an_import_compiles_nothing_starts_no_thread_and_writes_nothing(tmp_path):
    assert run(IMPORT, tmp_path) == {"compilations": 0, "threads": 0, "settings": True}
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def first_run(tmp_path_factory) -> tuple[Path, Any]:
    """Let a process with four threads compile every kernel; return its cache and its report."""
    cache_home = tmp_path_factory.mktemp("cache")
    return cache_home, run_report("report_all()", cache_home, NUMBA_NUM_THREADS="4")


@compiled_only
def test_the_first_call_fills_a_private_folder(first_run):
    cache_home, report = first_run
    (folder,) = (cache_home / "npsqueeze").iterdir()
    assert report["folder"] == str(folder)
    assert report["compiled_before"] is False
    assert report["compiled_after"] is True
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert report["hits"] == 0
    assert report["misses"] == len(list(folder.glob("*.nbc"))) > 0


@compiled_only
def test_the_second_process_compiles_nothing_and_gets_the_same_bits(first_run):
    cache_home, first = first_run
    second = run_report("report_all()", cache_home, NUMBA_NUM_THREADS="1")
    assert second["compiled_before"] is True
    assert second["misses"] == 0
    assert second["hits"] > 0
    assert second["digests"] == {"1": first["digests"]["1"]}


@compiled_only
def test_the_bits_do_not_depend_on_the_number_of_threads(first_run):
    digests = first_run[1]["digests"]
    assert list(digests) == ["1", "2", "4"]
    assert digests["2"] == digests["1"]
    assert digests["4"] == digests["1"]


def cut_files(folder: Path, pattern: str, length: int) -> None:
    for file in folder.glob(pattern):
        os.truncate(file, length)


def exchange_signatures(folder: Path) -> None:
    """Leave what two processes leave that first call one kernel, each with another float type."""
    for file in folder.glob("*max_pool_forward*.1.nbc"):
        shutil.copy(file.with_name(file.name.replace(".1.nbc", ".2.nbc")), file)


DAMAGES = {
    "an index cut short": lambda folder: cut_files(folder, "*.nbi", 100),
    "an empty index": lambda folder: cut_files(folder, "*.nbi", 0),
    "code cut short": lambda folder: cut_files(folder, "*.nbc", 1000),
    "code of another signature": exchange_signatures,
}


@pytest.fixture(scope="module")
def small_run(tmp_path_factory) -> tuple[Path, Any]:
    """Let a process compile one kernel for both float types; return its cache and its report."""
    cache_home = tmp_path_factory.mktemp("small_cache")
    return cache_home, run_report("report_small()", cache_home)


@compiled_only
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_replaced_without_a_word(small_run, tmp_path, damage):
    cache_home = tmp_path / "cache"
    shutil.copytree(small_run[0], cache_home)
    (folder,) = (cache_home / "npsqueeze").iterdir()
    DAMAGES[damage](folder)
    damaged, healed = (run_report("report_small()", cache_home) for _ in range(2))
    assert damaged["misses"] > 0
    assert healed["misses"] == 0
    assert damaged["results"] == healed["results"] == small_run[1]["results"]


@compiled_only
def test_kernels_run_where_no_folder_can_be_made(small_run, tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    report = run_report("report_small()", file)
    assert report["folder"] == "None"
    assert report["results"] == small_run[1]["results"]
    assert file.read_text() == "no folder"


USERS_OWN = """
import json, sys
sys.path.insert(0, {folder!r})
import npsqueeze.kernels
import users_own
from tests import test_kernels_jit
test_kernels_jit.small_results()
print(json.dumps(users_own.square(3)))
"""


@compiled_only
def test_numbas_own_cache_stays_the_users(small_run, tmp_path):
    (tmp_path / "users_own.py").write_text(
        "import numba\n\n\n@numba.njit(cache=True)\ndef square(x):\n    return x * x\n"
    )
    users_cache, ours = tmp_path / "numba", small_run[0]
    before = sorted(file.name for file in ours.rglob("*"))
    code = USERS_OWN.format(folder=str(tmp_path))
    assert run(code, ours, NUMBA_CACHE_DIR=str(users_cache)) == 9
    cached = [file for file in users_cache.rglob("*") if file.is_file()]
    assert {file.suffix for file in cached} == {".nbi", ".nbc"}
    assert all(file.name.startswith("users_own.square") for file in cached)
    assert sorted(file.name for file in ours.rglob("*")) == before


# The folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Iterator[Path]:
    """Let this process look for its cache folder afresh, in an empty home."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jit.cache_folder.cache_clear()
    yield tmp_path
    jit.cache_folder.cache_clear()


def test_the_folder_is_named_after_the_fingerprint(home):
    assert jit.cache_folder() == home / "npsqueeze" / f"kernels-{jit._fingerprint()}"
    assert not jit.is_compiled()


def test_without_a_cache_home_the_folder_lies_in_the_users_home(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: home / "user")
    folder = jit.cache_folder()
    assert folder is not None
    assert folder.parent == home / "user" / ".cache" / "npsqueeze"


def test_a_user_without_a_home_has_no_folder(home, monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert jit.cache_folder() is None
    assert not jit.is_compiled()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_an_open_folder_is_closed(home):
    folder = home / "npsqueeze" / f"kernels-{jit._fingerprint()}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert jit.cache_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away"
)
def test_code_in_another_users_folder_is_not_loaded(home):
    folder = home / "npsqueeze" / f"kernels-{jit._fingerprint()}"
    folder.mkdir(parents=True)
    os.chown(folder, 12345, -1)
    assert jit.cache_folder() is None


def test_a_changed_kernel_is_another_fingerprint(tmp_path, monkeypatch):
    copy = tmp_path / "kernels"
    shutil.copytree(Path(jit.__file__).parent, copy)
    original = jit._fingerprint()
    monkeypatch.setattr(jit, "__file__", str(copy / "jit.py"))
    assert jit._fingerprint() == original
    with (copy / "simd.py").open("a") as file:  # not the file of any kernel that is called
        file.write("# changed\n")
    assert jit._fingerprint() != original


def test_another_numba_or_cpu_is_another_fingerprint(monkeypatch):
    original = jit._fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.0.1")
        assert jit._fingerprint() != original
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_name", lambda: "z80")
    assert jit._fingerprint() != original


# What the processes run


def report_all() -> None:
    """Print the digests of all results for 1, 2 and 4 threads, as far as there are so many."""
    compiled_before = kernels.is_compiled()
    digests = {}
    for count in (1, 2, 4):
        if count <= numba.config.NUMBA_NUM_THREADS:
            kernels.set_num_threads(count)
            digests[count] = {name: digest(arrays) for name, arrays in all_results()}
    print_report(
        digests=digests, compiled_before=compiled_before, compiled_after=kernels.is_compiled()
    )


def report_small() -> None:
    """Print what max pooling gives for both float types."""
    print_report(results=small_results())


def print_report(**facts: Any) -> None:
    print(json.dumps({**facts, **cache_statistics(), "folder": str(kernels.cache_folder())}))


def digest(arrays: tuple[Array, ...]) -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(np.ascontiguousarray(array))
    return hashed.hexdigest()


def cache_statistics() -> dict[str, int]:
    """Count, over all kernels, what was found in the cache and what was not."""
    modules = [m for name, m in sys.modules.items() if name.startswith("npsqueeze.kernels.")]
    dispatchers = {
        id(dispatcher): dispatcher.stats
        for module in modules
        for value in vars(module).values()
        if hasattr(dispatcher := getattr(value, "dispatcher", value), "py_func")
    }
    return {
        "hits": sum(stats.cache_hits.total() for stats in dispatchers.values()),
        "misses": sum(stats.cache_misses.total() for stats in dispatchers.values()),
    }


def all_results() -> Iterator[tuple[str, tuple[Array, ...]]]:
    """Yield what each operation makes of fixed inputs, large enough to be cut into many tasks."""
    for rows, columns, depth in [(97, 259, 300), (64, 2000, 27), (10, 5, 700)]:
        a, b = random_array(0, (2, rows, depth), np.float32), random_array(1, (4, depth, columns))
        for sums in (1, 4):
            c = np.empty((sums, rows, columns), np.float32)
            kernels.gemm(a, b.astype(np.float32), c, False, False)
            yield f"gemm {rows}x{columns}x{depth}, {sums} sums", (c,)

    x = random_array(2, (8, 6, 33, 31), np.float32)
    w, b = random_array(3, (10, 3, 3, 3), np.float32), random_array(4, (10,), np.float32)
    y, conv_cache = functional.conv2d_forward(x, w, b, stride=2, padding=1, groups=2)
    dy = random_array(5, y.shape, np.float32)
    yield "conv2d", (y, *functional.conv2d_backward(dy, conv_cache))

    w, b, mean, var = np.ones((4, 6), np.float32)
    y, norm_cache = functional.batch_norm2d_forward(x, w, b, mean, var)
    dy = random_array(6, y.shape, np.float32)
    yield "batch norm", (y, mean, var, *functional.batch_norm2d_backward(dy, norm_cache))

    y, max_cache = functional.max_pool2d_forward(x, 3, 2, ceil_mode=True)
    dy = random_array(7, y.shape, np.float32)
    yield "max pooling", (y, functional.max_pool2d_backward(dy, max_cache))
    y, avg_cache = functional.avg_pool2d_forward(x, 3, 2, ceil_mode=True)
    yield "average pooling", (y, functional.avg_pool2d_backward(dy, avg_cache))
    y, relu_cache = functional.relu_forward(x)
    dy = random_array(8, y.shape, np.float32)
    yield "relu", (y, functional.relu_backward(dy, relu_cache))


def small_results() -> list[list[float]]:
    """Return the maxima of six numbers for float32 and float64."""
    results = []
    for dtype in (np.float32, np.float64):
        x = np.array([[[[3, 1, 4, 1, 5, 9]]]], dtype)
        y, winner = np.empty((1, 1, 1, 3), dtype), np.empty((1, 1, 1, 3), np.int32)
        kernels.max_pool_forward(x, y, winner, (1, 2), (1, 2), (0, 0))
        results.append([*y.ravel().tolist(), *winner.ravel().tolist()])
    return results


def test_the_small_results_are_right():
    assert small_results() == [[3, 4, 9, 0, 2, 5]] * 2
