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

from npsqueeze import comparison, kernels, plots
from npsqueeze.data import (
    Dataset,
    fetch_cifar10,
    find_data,
    load_cifar10,
)
from npsqueeze.design_space import family_table
from npsqueeze.doctor import doctor as examine
from npsqueeze.errors import CheckpointError, GradientError, TrainingError
from npsqueeze.evaluation import accuracy_line
from npsqueeze.evaluation import evaluate as evaluate_model
from npsqueeze.gradient_suite import check_all_operations, check_networks
from npsqueeze.inspection import inspection_table
from npsqueeze.interop import onnx
from npsqueeze.looking import FIGURES, draw_inspection
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.prediction import pretrained_network
from npsqueeze.published import fetch_weights
from npsqueeze.recipes import RECIPES
from npsqueeze.runs import find_weights, load_model, read_run, write_network
from npsqueeze.settings import Settings
from npsqueeze.summary import summary as summary_table
from npsqueeze.training import train as train_model
from npsqueeze.warmup import compile_all

INTERRUPTED = 130  # what a shell reports after Ctrl-C
SUMMARY_INPUT = {"1.0": 227, "1.1": 227, "cifar": 32}


def train(
    recipe: str | None = None,
    data: str | None = None,
    subset: int | None = None,
    run: str | None = None,
    resume: bool = False,
    threads: int | None = None,
    **options: Any,
) -> int:
    """Train, telling what goes on; the last line is the accuracy. Return 130 after a Ctrl-C."""
    if resume:  # what is not said is as it was
        if run is None:
            raise ValueError("--resume: expected the folder of the run in --run FOLDER, got none")
        if recipe is not None:
            raise ValueError("--recipe: expected none with --resume, for a run keeps its own")
        network, settings = read_run(Path(run))
    else:
        network, settings, data = _follow(recipe, data, options)
    network, settings = _with_flags(network, settings, options)
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
    again = ["npsqueeze", "train", "--run", str(folder), "--resume"]
    again += ["--data", data] if data else []
    again += ["--subset", str(subset)] if subset else []
    try:
        history = train_model(net, train_set, test_set, run=folder, resume=resume, **settings)
    except TrainingError:
        if (folder / "last.npz").exists():
            smaller = Settings(**settings).highest_lr / 10
            print(f"to go on: {shlex.join([*again, '--lr', f'{smaller:g}'])}", flush=True)
        raise
    if history.evaluation is None:
        print(f"to go on: {shlex.join(again)}")
        return INTERRUPTED
    pictures = ", ".join(path.name for path in sorted(folder.glob("*.png")))
    print(f"{folder}/: {pictures}")
    print(accuracy_line(history.evaluation.accuracy, len(test_set)))
    return 0


def doctor(
    recipe: str | None = None,
    data: str | None = None,
    subset: int | None = None,
    out: str = "runs/doctor",
    threads: int | None = None,
    **options: Any,
) -> int:
    """Examine what `train` would train, and how; print a line a check; return 1 if one is wrong."""
    network, settings, data = _follow(recipe, data, options)
    network, settings = _with_flags(network, settings, options)
    seed = settings.get("seed", Settings.seed)
    train_set, test_set = _load_data(data, subset, seed)
    net = squeezenet(**network | {"num_classes": len(train_set.classes), "seed": seed})
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
    path = find_weights(weights)
    net, metadata = load_model(path)
    _, test_set = _load_data(data)
    print(f"network of {path}")
    _set_threads(threads)
    settings = metadata["settings"]
    flips = settings.get("flips", False)
    evaluation = evaluate_model(net, test_set, settings["mean"], settings["std"], flips=flips)
    print(f"loss {evaluation.loss:.4f}")
    print(accuracy_line(evaluation.accuracy, len(test_set)))


def inspect(
    weights: str | None = None,
    pictures: list[str] | None = None,
    data: str | None = None,
    out: str = "inspection",
) -> None:
    """Draw what is inside a network, and print a table of its weights and dead units."""
    path, pretrained = pretrained_network(weights)
    net, preprocessing = pretrained.model, pretrained.preprocessing
    if not isinstance(net, SqueezeNet):
        raise ValueError(f"--weights: expected a SqueezeNet, and {path} holds another network")
    if pictures is not None:
        images = np.stack([preprocessing.pixels(picture) for picture in pictures])
    else:
        images = load_cifar10(find_data(data))[1].images
        if images.shape[2] != preprocessing.size:
            raise ValueError(
                f"--picture: expected at least one, for {path} sees {preprocessing.size} pixels, "
                f"and the test pictures have {images.shape[2]}"
            )
    plural = "s" * (len(images) != 1)
    print(f"network of {path}; dead units are zero all over {len(images):,} picture{plural}")
    dead = draw_inspection(net, preprocessing.apply(images), images, out)
    print(inspection_table(net, dead))
    print(f"{out}/: {', '.join(FIGURES)}")


def plot(runs: list[str], out: str = "comparison.png") -> None:
    """Draw the curves of several runs over each other."""
    folders = list(dict.fromkeys(map(Path, runs)))
    names = comparison.labels(folders, map(comparison.read_configuration, folders))
    rows = map(comparison.read_metrics, folders)
    try:
        plots.compare_runs(dict(zip(names, rows, strict=True)), out)
    except OSError as error:
        raise ValueError(f"--out: {out} cannot be written: {error.strerror}") from error
    print(f"{out}: {len(folders)} {'run' if len(folders) == 1 else 'runs'}")


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
    model: str | None,
    size: int | None = None,
    classes: int | None = None,
    family: str | None = None,
    **network: Any,
) -> None:
    """Print the table of a network, or the sizes of a family of networks."""
    if family is not None and size is not None:
        raise ValueError("--input: expected none with --family, for parameters know no pixels")
    version = model or ("cifar" if family is None else "1.0")
    if classes is None:
        classes = 10 if version == "cifar" else 1000
    network |= {"num_classes": classes}
    if family is not None:
        print(family_table(family, version, **network))
        return
    size = SUMMARY_INPUT[version] if size is None else size
    print(summary_table(squeezenet(version, seed=0, **network), (1, 3, size, size)))


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


def export(path: str, weights: str | None = None) -> None:
    """Write a network as an ONNX file, and tell what goes in and what comes out.

    A path that ends in .npz gets a checkpoint without what only its training needs.
    """
    if Path(path).suffix == ".npz":
        found = find_weights(weights)
        write_network(found, Path(path))
        print(f"{path}: the network of {found}, {Path(path).stat().st_size:,} bytes")
        return
    found, pretrained = pretrained_network(weights)
    if not isinstance(pretrained.model, SqueezeNet):
        raise CheckpointError(f"{found}: expected a SqueezeNet, got another network")
    size = pretrained.preprocessing.size
    onnx.save(
        path,
        pretrained.model,
        image_size=size,
        preprocessing=pretrained.preprocessing,
        classes=pretrained.classes,
    )
    count = pretrained.model.config["num_classes"]
    print(
        f"{path}: the network of {found}; in: images (N, 3, {size}, {size}), "
        f"{pretrained.preprocessing}; out: logits (N, {count})"
    )


def fetch_published(name: str, source: str | None = None) -> None:
    """Get published weights, and tell where they are."""
    print(f"{fetch_weights(name, source)}: {name}, as published")


def _follow(
    recipe: str | None, data: str | None, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Return the network, the settings and the data that a recipe asks for."""
    chosen = RECIPES[recipe or "quick"]
    settings = dict(chosen.settings)
    if "optimizer" in options:
        settings.pop("lr", None)  # a learning rate belongs to its optimiser
    if chosen.whole and data is None:
        data = str(find_data(whole=True))
    return chosen.network, settings, data


def _with_flags(
    network: dict[str, Any], settings: dict[str, Any], options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metaparameters and the fields of `Settings`, as changed by the flags given."""
    names = {field.name for field in fields(Settings)}
    said = {name: value for name, value in options.items() if name in names}
    said_of_network = {name: value for name, value in options.items() if name not in names}
    return network | said_of_network, settings | said


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
