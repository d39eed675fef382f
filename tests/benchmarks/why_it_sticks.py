"""Why SqueezeNet sits at ln(classes), by measuring: which choices let a network leave it.

    python -m tests.benchmarks.why_it_sticks [--seeds 10] [--case NAME …] [--out FOLDER]

Each case is a network and a recipe. Each seed of it trains for two epochs of the embedded 5,000
pictures in batches of 64. It has left ln 10 = 2.303 if the mean loss of the last 20 steps is below
2.1. `why_it_sticks.csv` gets a line a run (and a run that is in it is not repeated),
`why_it_sticks.png` the losses.
"""

import argparse
import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import npsqueeze as nps
from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.data import Dataset, load_cifar10, training_batch
from npsqueeze.inspection import dead_units
from npsqueeze.lsuv import lsuv
from npsqueeze.settings import Settings
from npsqueeze.trainer import Trainer

EPOCHS, LAST_STEPS, LEFT = 2, 20, 2.1
EMBEDDED = Path(__file__).parents[2] / "data" / "cifar-10-subset"


@dataclass(frozen=True)
class Case:
    """One choice: what is not said is the plain net of the paper, or torchvision's recipe."""

    network: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    by_lsuv: bool = False
    beginning: bool = False  # of a training by the defaults of `train`, 15 epochs long


TORCHVISION = {"init": "he-uniform", "final_relu": True, "dropout": 0.5}
PLAIN_RECIPE = {"lr": 0.01, "schedule": "constant", "nesterov": False, "augment": False}
NORMALISED = {"batch_norm": True, "bypass": "simple", "dropout": 0.0, "final_relu": False}
WARM = {"schedule": "one-cycle"}
SLOW = {"optimizer": "adamw", "lr": 0.001}
CASES = {
    "torchvision": Case(TORCHVISION),
    "torchvision, lr 0.003": Case(TORCHVISION, {"lr": 0.003}),
    "torchvision, lr 0.03": Case(TORCHVISION, {"lr": 0.03}),
    "torchvision, one cycle": Case(TORCHVISION, WARM),
    "torchvision, without the last ReLU": Case(TORCHVISION | {"final_relu": False}),
    "torchvision, without the last ReLU, one cycle": Case(
        TORCHVISION | {"final_relu": False}, WARM
    ),
    "torchvision, Xavier": Case(TORCHVISION | {"init": "xavier"}),
    "torchvision, He": Case(TORCHVISION | {"init": "he"}),
    "torchvision, LSUV": Case(TORCHVISION, by_lsuv=True),
    "torchvision, simple bypass": Case(TORCHVISION | {"bypass": "simple"}),
    "torchvision, batch norm": Case(TORCHVISION | {"batch_norm": True}),
    "plain, one cycle, lr 0.03": Case({"final_relu": False, "dropout": 0.0}, WARM | {"lr": 0.03}),
    "plain, LSUV, one cycle, lr 0.03": Case(
        {"final_relu": False, "dropout": 0.0}, WARM | {"lr": 0.03}, by_lsuv=True
    ),
    "plain, LSUV, one cycle, lr 0.1": Case(
        {"final_relu": False, "dropout": 0.0}, WARM | {"lr": 0.1}, by_lsuv=True
    ),
    "plain, AdamW, one cycle": Case(
        {"final_relu": False, "dropout": 0.0}, WARM | {"optimizer": "adamw", "lr": 0.002}
    ),
    "plain, LSUV, AdamW, one cycle": Case(
        {"final_relu": False, "dropout": 0.0},
        WARM | {"optimizer": "adamw", "lr": 0.002},
        by_lsuv=True,
    ),
    "torchvision, AdamW, slow warm-up": Case(TORCHVISION, SLOW, beginning=True),
    "plain, AdamW, slow warm-up": Case({"final_relu": False, "dropout": 0.0}, SLOW, beginning=True),
    "the default recipe": Case(NORMALISED, beginning=True),
}


def run(case: Case, seed: int, train_set: Dataset, test_set: Dataset) -> dict[str, Any]:
    """Train one network, and return what is to be told of it."""
    model = nps.squeezenet("cifar", num_classes=10, seed=seed, **case.network)
    base = {} if case.beginning else {"epochs": EPOCHS} | PLAIN_RECIPE
    settings = base | case.recipe | {"seed": seed}
    if case.by_lsuv:
        x, _ = training_batch(train_set, 0, batch_size=64, seed=seed, augmented=False)
        lsuv(model, x, seed)
    trainer = Trainer(model, train_set, test_set, Settings(**settings), lambda line: None)
    gradients = gradient_scales(trainer)
    losses = []
    for _ in range(EPOCHS * trainer.steps_per_epoch):
        before, seen = trainer.progress.loss_sum, trainer.progress.seen
        try:
            trainer.take_step()
        except nps.TrainingError:
            losses += [math.inf] * LAST_STEPS
            break
        losses.append((trainer.progress.loss_sum - before) / (trainer.progress.seen - seen))
    loss = float(np.mean(losses[-LAST_STEPS:]))
    finite = math.isfinite(loss)
    x, _ = training_batch(test_set, 0, batch_size=64, seed=0, augmented=False)
    dead = dead_units(model, x) if finite else {}
    return {
        "loss": loss,
        "first_loss": losses[0],
        "lowest_gradient": min(gradients.values()),
        "highest_gradient": max(gradients.values()),
        "accuracy": trainer.evaluate().accuracy if finite else 0.1,
        "dead": float(np.mean(np.concatenate(list(dead.values())))) if dead else 1.0,
    }


def gradient_scales(trainer: Trainer) -> dict[str, float]:
    """Return, for each layer's weights before the first step, rms(gradient) / rms(weights)."""
    settings, model = trainer.settings, trainer.model
    x, labels = training_batch(trainer.train_set, 0, batch_size=64, seed=settings.seed)
    model.train()
    _, cache = F.softmax_cross_entropy_forward(trainer.network.forward(x), labels)
    trainer.network.backward(F.softmax_cross_entropy_backward(1.0, cache))
    scales = {
        name: float(np.linalg.norm(weight.grad) / np.linalg.norm(weight.data))
        for name, weight in model.named_parameters()
        if weight.data.ndim > 1
    }
    model.zero_grad()
    return scales


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Draw each run's loss as a point, a line for each case."""
    names = [name for name in CASES if any(row["case"] == name for row in rows)]
    figure = Figure(figsize=(9, 1 + 0.4 * len(names)), dpi=120, layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(reversed(names)):
        losses = np.array([float(row["loss"]) for row in rows if row["case"] == name])
        stuck = losses >= LEFT
        shown = np.minimum(losses, 2.6)
        for chosen, colour in ((stuck, "#b3261e"), (~stuck, "#0b6fb8")):
            heights = np.full(chosen.sum(), place)
            axes.plot(shown[chosen], heights, "o", color=colour, alpha=0.4)
        axes.text(2.65, place, f"{(~stuck).sum()} of {len(losses)} left", va="center")
    axes.axvline(math.log(10), color="#1f2933", linewidth=1)
    axes.annotate("ln 10", (math.log(10), len(names) - 0.4), ha="center")
    axes.axvline(LEFT, color="#1f2933", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set(xlabel="mean loss of the last 20 steps of the second epoch", xlim=(1.2, 3.1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    """Run what is not in the table yet, and print how many of each case have left ln 10."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    path = options.out / "why_it_sticks.csv"
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    done = {(row["case"], int(row["seed"])) for row in rows}
    train_set, test_set = load_cifar10(EMBEDDED)
    wanted = [(name, seed) for name in options.case for seed in range(options.seeds)]
    for name, seed in tqdm([each for each in wanted if each not in done], unit=" runs"):
        numbers = run(CASES[name], seed, train_set, test_set)
        row = {key: f"{value:.4g}" for key, value in numbers.items()}
        rows.append({"case": name, "seed": str(seed)} | row)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    draw(rows, options.out / "why_it_sticks.png")
    for name in CASES:
        of_case = [row for row in rows if row["case"] == name]
        left = sum(float(row["loss"]) < LEFT for row in of_case)
        accuracy = np.mean([float(row["accuracy"]) for row in of_case]) if of_case else math.nan
        print(f"{name:50}  {left:3} of {len(of_case):3} left ln 10  accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
