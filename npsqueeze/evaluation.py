"""How well a network does on pictures that it has not learned from."""

from typing import NamedTuple

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.data import CIFAR10_MEAN, CIFAR10_STD, Channels, Dataset, evaluation_batches
from npsqueeze.engine import Plan, compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.models import SqueezeNet

BATCH_SIZE = 100
ENGINES = ("compiled", "layers")
"""The fast road, a plan of the engine, and the taught one; they differ by rounding only."""


class Evaluation(NamedTuple):
    """Mean cross-entropy, share of right answers, and the probabilities (N, classes) behind it."""

    loss: float
    accuracy: float
    probabilities: Array


def evaluate(
    model: SqueezeNet,
    dataset: Dataset,
    mean: Channels = CIFAR10_MEAN,
    std: Channels = CIFAR10_STD,
    engine: str = "compiled",
    flips: bool = False,
) -> Evaluation:
    """Run the model, in inference mode, over all pictures of a data set.

    The engine is "compiled" or "layers". With `flips`, the logits are the mean of those of each
    picture and of its mirror image.

    Raises
    ------
    ValueError
        If the data set is empty or has another number of classes than the model, or its pictures
        are too small.
    """
    check_dataset(model, dataset)
    network: SqueezeNet | Plan = model
    if engine == "compiled":
        batch = min(BATCH_SIZE, len(dataset))
        network = compile(model, (batch, *dataset.images.shape[1:]), training=False)
        network.freeze()
    was_training = model.training
    model.eval()
    try:
        parts = []
        for x, _ in evaluation_batches(dataset, BATCH_SIZE, mean, std):
            answers = network.forward(x)
            if flips:
                answers = (answers + network.forward(np.ascontiguousarray(x[..., ::-1]))) / 2
            parts.append(answers)
        logits = np.concatenate(parts)
    finally:
        model.train(was_training)
    loss, cache = F.softmax_cross_entropy_forward(logits, dataset.labels)
    accuracy = float(np.mean(logits.argmax(axis=1) == dataset.labels))
    return Evaluation(loss, accuracy, cache.probabilities)


def check_dataset(model: SqueezeNet, dataset: Dataset) -> None:
    """Raise ValueError if the model cannot learn or be tested with this data set."""
    classes = model.config["num_classes"]
    if len(dataset.classes) != classes:
        raise ValueError(f"dataset: expected {classes} classes, got {len(dataset.classes)}")
    model.output_shape(dataset.images.shape)


def accuracy_line(accuracy: float, count: int) -> str:
    """Return the line that closes a training or an evaluation."""
    return f"Accuracy of the network on the {count} test images: {100 * accuracy:.1f} %"
