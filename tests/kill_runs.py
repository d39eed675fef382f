"""Kill trainings by SIGKILL at random moments, resume them, and compare: nothing may be lost.

    python -m tests.kill_runs --kills 200

A short run is killed and resumed until it has had a few kills, then left to reach its end; its
weights, its optimiser's state and its metrics must be, bit for bit, those of a run that nobody has
touched. Every second kill waits for a file that is just being written. A resumed run gets another
number of threads. The product has no part in this: a run is watched from outside.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import npsqueeze as nps
from npsqueeze import trainer
from npsqueeze.checkpoint import load_checkpoint
from npsqueeze.runs import Run
from tests.tiny import embedded_pictures, tiny_network

ROOT = Path(__file__).parents[1]
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "adamw": {"optimizer": "adamw", "label_smoothing": 0.1, "engine": "layers"},
}
KILLS_OF_A_RUN = 5
EPOCHS, BATCHES = 6, 4


def train(folder: Path, recipe: str, threads: int) -> None:
    """Begin or resume a run: the process that is to be killed."""
    trainer.SAVE_SECONDS = 0.02  # in mid-epoch also
    Run.draw = lambda *_: None  # type: ignore[method-assign]  # it takes longer than the training
    nps.set_num_threads(threads)
    model = tiny_network(batch_norm=True, bypass="simple", dropout=0.5)
    nps.train(
        model, embedded_pictures(10 * BATCHES), embedded_pictures(20), run=folder,
        resume=(folder / "last.npz").exists(), epochs=EPOCHS, batch_size=10, **RECIPES[recipe],
    )  # fmt: skip


def start(folder: Path, recipe: str, threads: int) -> subprocess.Popen[str]:
    """Start `train` in a process of its own."""
    command = [sys.executable, "-m", "tests.kill_runs", "--train", str(folder), recipe]
    return subprocess.Popen(
        [*command, str(threads)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},  # on a single core also
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder: Path) -> set[str]:
    """Return the names in the folder, if there is one."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def kill_at_random(
    process: subprocess.Popen[str], folder: Path, seconds: float, chance: random.Random
) -> None:
    """Kill the process: while it writes a file, or at any time until it would be done."""
    deadline = time.monotonic() + chance.uniform(0, seconds)
    at_a_write = chance.random() < 0.5
    writes_to_skip = chance.randrange(2 * EPOCHS)
    before: set[str] = files(folder)  # a file that an earlier kill has left half written
    while process.poll() is None:
        if not at_a_write and time.monotonic() > deadline:
            break
        unfinished = {name for name in files(folder) if name.endswith(".part")}
        writes_to_skip -= len(unfinished - before)
        before |= unfinished
        if at_a_write and writes_to_skip < 0:
            time.sleep(chance.choice([0, 0, 0.0005, 0.002]))  # in the write, or just behind it
            break
        time.sleep(0.0001)
    process.kill()


def moment(folder: Path) -> str:
    """Tell from what lies in the folder when the process was killed."""
    names = files(folder)
    if any(name.endswith(".part") for name in names):
        return "while writing a file"
    if "last.npz" not in names:
        return "before the first save"
    _, metadata = load_checkpoint(folder / "last.npz")  # whole, or this raises
    rows = len(metadata["progress"]["rows"])
    if rows != len(metrics(folder)):
        return "between two files of a save"
    return "between saves"


def saved_step(folder: Path) -> int:
    """Return the step of the checkpoint, 0 if there is none yet."""
    if not (folder / "last.npz").exists():
        return 0
    return int(load_checkpoint(folder / "last.npz")[1]["progress"]["step"])


def metrics(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `metrics.csv` without what a clock has measured."""
    if not (folder / "metrics.csv").exists():
        return []
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "pictures_per_second"} for row in rows]


def assert_equal(folder: Path, untouched: Path) -> None:
    """Raise AssertionError unless both runs have ended in the same bits."""
    assert files(folder) == files(untouched), files(folder)
    for name in ("last.npz", "best.npz"):
        (arrays, metadata), (expected, right) = (
            load_checkpoint(place / name) for place in (folder, untouched)
        )
        assert arrays.keys() == expected.keys()
        for key, array in expected.items():
            assert (arrays[key].dtype, arrays[key].shape) == (array.dtype, array.shape)
            assert arrays[key].tobytes() == array.tobytes(), (name, key)
        assert metadata.get("epoch") == right.get("epoch")
    assert metrics(folder) == metrics(untouched)
    assert len(metrics(folder)) == EPOCHS


def finish(folder: Path, recipe: str, threads: int) -> float:
    """Let a run reach its end; return the seconds."""
    started = time.monotonic()
    process = start(folder, recipe, threads)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.monotonic() - started


def kill_runs(kills: int, folder: Path, seed: int) -> Iterator[str]:
    """Kill so many times, and yield at what moment each one was.

    Raises
    ------
    AssertionError
        If a run does not resume, or does not end in the bits of one that nobody has touched.
    """
    chance = random.Random(seed)
    untouched = {recipe: folder / recipe for recipe in RECIPES}
    seconds = max(finish(place, recipe, 1) for recipe, place in untouched.items())
    for run in range(-(-kills // KILLS_OF_A_RUN)):
        recipe = list(RECIPES)[run % len(RECIPES)]
        place = folder / f"run {run}"
        for _ in range(min(KILLS_OF_A_RUN, kills - run * KILLS_OF_A_RUN)):
            while True:
                before = saved_step(place)
                process = start(place, recipe, chance.choice([1, 2]))
                kill_at_random(process, place, seconds, chance)
                _, errors = process.communicate()
                assert saved_step(place) >= before
                if process.returncode != 0:
                    break
                assert_equal(place, untouched[recipe])  # it was done before it could be killed
                place = place.with_name(f"{place.name}+")
            assert process.returncode == -9, errors
            yield moment(place)
        finish(place, recipe, chance.choice([1, 2]))
        assert_equal(place, untouched[recipe])


def main() -> None:
    """Kill as often as the command line says, and tell where the kills fell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        folder, recipe, threads = options.train
        train(Path(folder), recipe, int(threads))
        return
    with tempfile.TemporaryDirectory() as folder:
        moments: Counter[str] = Counter()
        for count, fallen in enumerate(kill_runs(options.kills, Path(folder), options.seed), 1):
            moments[fallen] += 1
            print(f"{count:4}  {fallen}", flush=True)
    for fallen, count in moments.most_common():
        print(f"{count:4} kills {fallen}")
    print("every run has ended in the bits of one that nobody has touched")


if __name__ == "__main__":
    main()
