"""What each command of the command line does."""

import contextlib
import itertools
import shlex
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze import kernels
from npsqueeze.data import (
    Dataset,
    fetch_cifar10,
    find_data,
    load_cifar10,
    normalize,
    read_picture,
)
from npsqueeze.doctor import doctor as examine
from npsqueeze.engine import compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.errors import CheckpointError, GradientError
from npsqueeze.evaluation import accuracy_line
from npsqueeze.evaluation import evaluate as evaluate_model
from npsqueeze.gradient_suite import check_all_operations, check_networks
from npsqueeze.models import squeezenet
from npsqueeze.runs import load_model, read_run
from npsqueeze.summary import summary as summary_table
from npsqueeze.training import Settings
from npsqueeze.training import train as train_model
from npsqueeze.warmup import compile_all

INTERRUPTED = 130  # what a shell reports after Ctrl-C
RECIPE_NETWORK: dict[str, Any] = {
    "version": "cifar",
    "batch_norm": True,
    "bypass": "simple",
    "dropout": 0.0,
}
SUMMARY_INPUT = {"1.0": 227, "1.1": 227, "cifar": 32}


def train(
    data: str | None = None,
    subset: int | None = None,
    run: str | None = None,
    resume: bool = False,
    threads: int | None = None,
    **options: Any,
) -> int:
    """Train, telling what goes on; the last line is the accuracy. Return 130 after a Ctrl-C."""
    settings, network = _settings_and_network(options)
    if resume and run is None:
        raise ValueError("--resume: expected the folder of the run in --run FOLDER, got none")
    if resume:  # what is not said is as it was
        stored_network, stored_settings = read_run(Path(str(run)))
        network, settings = stored_network | network, stored_settings | settings
    else:
        network = RECIPE_NETWORK | network

    seed = settings.get("seed", Settings.seed)
    train_set, test_set = _load_data(data, subset, seed)
    network |= {"num_classes": len(train_set.classes), "seed": seed}
    net = squeezenet(**network)
    Settings(**settings)  # raises before there is a folder
    folder = _new_run_folder() if run is None else Path(run)
    parameters = sum(parameter.data.size for parameter in net.parameters())
    version = net.config["version"]
    print(f"SqueezeNet {version}: {parameters:,} parameters; this run is kept in {folder}/")
    _set_threads(threads)
    history = train_model(net, train_set, test_set, run=folder, resume=resume, **settings)
    if history.evaluation is None:
        again = ["npsqueeze", "train", "--run", str(folder), "--resume"]
        again += ["--data", data] if data else []
        again += ["--subset", str(subset)] if subset else []
        print(f"to go on: {shlex.join(again)}")
        return INTERRUPTED
    pictures = ", ".join(path.name for path in sorted(folder.glob("*.png")))
    print(f"{folder}/: {pictures}")
    print(accuracy_line(history.evaluation.accuracy, len(test_set)))
    return 0


def doctor(
    data: str | None = None,
    subset: int | None = None,
    out: str = "runs/doctor",
    threads: int | None = None,
    **options: Any,
) -> int:
    """Examine what `train` would train, and how; print a line a check; return 1 if one is wrong."""
    settings, network = _settings_and_network(options)
    seed = settings.get("seed", Settings.seed)
    train_set, test_set = _load_data(data, subset, seed)
    net = squeezenet(
        **RECIPE_NETWORK | network | {"num_classes": len(train_set.classes), "seed": seed}
    )
    Settings(**settings)  # raises before there is a folder
    _set_threads(threads)
    report = examine(net, train_set, test_set, out=out, **settings)
    print(report)
    print(f"{out}/: {', '.join(path.name for path in report.pictures)}")
    return int(bool(report.wrong))


def evaluate(
    weights: str | None = None, data: str | None = None, threads: int | None = None
) -> None:
    """Print the loss and the accuracy of a checkpoint."""
    path = _find_weights(weights)
    net, metadata = load_model(path)
    _, test_set = _load_data(data)
    print(f"network of {path}")
    _set_threads(threads)
    settings = metadata["settings"]
    evaluation = evaluate_model(net, test_set, settings["mean"], settings["std"])
    print(f"loss {evaluation.loss:.4f}")
    print(accuracy_line(evaluation.accuracy, len(test_set)))


def predict(pictures: list[str], weights: str | None = None, top: int = 5) -> None:
    """Print the most probable classes of each picture as bars."""
    if top < 1:
        raise ValueError(f"--top: expected at least 1, got {top}")
    net, metadata = load_model(_find_weights(weights))
    settings, classes = metadata["settings"], metadata["classes"]
    images = [read_picture(path, metadata["image_size"]) for path in pictures]
    x = normalize(np.stack(images), settings["mean"], settings["std"])
    logits = compile(net.eval(), x.shape, training=False).forward(x)
    for path, probabilities in zip(pictures, F.softmax(logits), strict=True):
        print(path)
        width = max(map(len, classes))
        for label in np.argsort(-probabilities, kind="stable")[:top]:
            share = float(probabilities[label])
            print(f"  {classes[label]:{width}}  {100 * share:5.1f} %  {'█' * round(40 * share)}")


def gradcheck(seed: int = 0) -> int:
    """Check every operation and small networks; print a table; return 1 if a check failed."""
    print("comparing every derived gradient with difference quotients, in float64 …", flush=True)
    verdicts = check_all_operations(seed) + check_networks(seed)
    width = max(len(name) for name, _ in verdicts)
    print(f"{'operation':{width}}  points  kinks excluded  worst relative error  verdict")
    failures = []
    for name, verdict in verdicts:
        failed = isinstance(verdict, GradientError)
        report = verdict.report if isinstance(verdict, GradientError) else verdict
        numbers = " " * 44
        if report is not None:
            numbers = f"{report.points:6}  {report.kinks:14}  {report.worst_error:20.1e}"
        print(f"{name:{width}}  {numbers}  {'FAILED' if failed else 'passed'}")
        if failed:
            failures.append(f"{name}: {verdict}")
    print(
        f"{len(verdicts) - len(failures)} of {len(verdicts)} checks passed (relative error below "
        "1e-7 for an operation, 1e-6 along a direction through a whole network)"
    )
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


def summary(
    model: str, size: int | None = None, classes: int | None = None, **network: Any
) -> None:
    """Print the table of a network."""
    size = SUMMARY_INPUT[model] if size is None else size
    if classes is None:
        classes = 10 if model == "cifar" else 1000
    print(
        summary_table(squeezenet(model, num_classes=classes, seed=0, **network), (1, 3, size, size))
    )


def exercises() -> None:
    """Print every exercise with its notebook, and for a solved one the day and the solution."""
    from npsqueeze import exercises as course
    from npsqueeze.exercises import progress
    from npsqueeze.exercises.checking import source

    days = progress.solved()
    width = max(map(len, course.EXERCISES))
    notebook = ""
    for name, exercise in course.EXERCISES.items():
        if exercise.notebook != notebook:
            notebook = exercise.notebook
            print(f"tutorials/{notebook}")
        if name in days:
            print(f"  ✓ {name:{width}}  solved {days[name]}; ours: {source(exercise)}")
        else:
            print(f"  · {name}")
    solved = len(days.keys() & course.EXERCISES.keys())
    print(f"{solved} of {len(course.EXERCISES)} solved")


def warmup(float64: bool = False) -> None:
    """Compile every kernel that training and prediction need, and tell where they are kept."""
    names, seconds = compile_all()
    if float64:
        more, more_seconds = compile_all(np.float64)
        names, seconds = names + more, seconds + more_seconds
    folder = kernels.cache_folder()
    place = "nowhere: no folder can be written" if folder is None else folder
    if names:
        print(f"{len(names)} kernels compiled in {seconds:.0f} s; they are kept in {place}")
    else:
        print(f"all kernels are there already, as {seconds:.1f} s have shown; kept in {place}")


def fetch(folder: str | None = None, source: str | None = None) -> None:
    """Get the whole data set, and tell where it is."""
    print("getting and verifying CIFAR-10 …", flush=True)
    print(f"{fetch_cifar10(folder, source)}: all of CIFAR-10, every file as published")


def _settings_and_network(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort the flags into the fields of `Settings` and the metaparameters of the network."""
    names = {field.name for field in fields(Settings)}
    settings = {name: value for name, value in options.items() if name in names}
    return settings, {name: value for name, value in options.items() if name not in names}


def _load_data(
    data: str | None, subset: int | None = None, seed: int = 0
) -> tuple[Dataset, Dataset]:
    folder = find_data(data)
    train_set, test_set = load_cifar10(folder)
    if subset is not None:
        with _naming("--subset"):
            train_set = train_set.subset(subset, seed)
    print(
        f"CIFAR-10 from {folder}: {len(train_set):,} training and {len(test_set):,} test pictures",
        flush=True,
    )
    return train_set, test_set


def _find_weights(weights: str | None) -> Path:
    if weights is not None:
        return Path(weights)
    found = sorted(Path("runs").glob("*/last.npz"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise CheckpointError(
            "no trained network in runs/: run `npsqueeze train`, or name one with --weights FILE"
        )
    return found[-1]


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        with _naming("--threads"):
            kernels.set_num_threads(threads)
    count = kernels.get_num_threads()
    print(f"{count} {'thread' if count == 1 else 'threads'} at work …", flush=True)


def _new_run_folder() -> Path:
    """Make and return a folder named after the time; a number tells apart those of one second."""
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in itertools.count(1):
        folder = Path("runs") / (name if number == 1 else f"{name}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("there is always a next number")


@contextlib.contextmanager
def _naming(flag: str) -> Iterator[None]:
    """Put the flag in front of an error that its value causes."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{flag}: {error}") from error
