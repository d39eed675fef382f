"""Exercise of notebook 00: from bytes to a network's input."""

import numpy as np

from npsqueeze import data
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(4)
    # 3 pixels wide, so that a mean along the wrong axis does not even raise
    shapes = ((2, 3, 4, 5), (1, 3, 4, 5), (3, 3, 2, 3))
    moments = (data.CIFAR10_MEAN, data.CIFAR10_STD), ((0.2, 0.3, 0.6), (0.5, 0.25, 0.125))
    return [
        {"images": draw.integers(0, 256, shape, np.uint8), "mean": mean, "std": std}
        for shape in shapes
        for mean, std in moments
    ]


def _column(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1)


def _mistake(meaning: str, formula: object) -> Mistake:
    """Return the mistake of computing x by another formula of images (floats), mean and std."""

    def wrong(a: Arguments, _: object) -> dict[str, object]:
        images = a["images"].astype(float)
        return {"x": formula(images, _column(a["mean"]), _column(a["std"]))}  # type: ignore[operator]

    return Mistake(meaning, wrong)


normalize = Exercise(
    name="normalize",
    notebook="00_quick_start.ipynb",
    solution=data.normalize,
    answer=data.normalize,
    cases=_cases(),
    read=arrays("x"),
    traits=(
        Trait("a batch of one", "a larger batch", lambda a: len(a["images"]) == 1),
        Trait("pictures 3 pixels wide", "wider ones", lambda a: a["images"].shape[3] == 3),
    ),
    mistakes=(
        _mistake(
            "mean and std are on the scale from 0 to 1, the bytes from 0 to 255: divide by 255",
            lambda x, mean, std: (x - mean) / std,
        ),
        Mistake(
            "mean and std lie along the width: give them the shape (3, 1, 1), to lie along the "
            "channels",
            lambda a, _: {"x": (a["images"] / 255 - np.array(a["mean"])) / np.array(a["std"])},
        ),
        _mistake("the mean is not subtracted", lambda x, mean, std: x / 255 / std),
        _mistake("it is not divided by std", lambda x, mean, std: x / 255 - mean),
        _mistake(
            "divided by std first, mean subtracted after that: the other way round",
            lambda x, mean, std: x / 255 / std - mean,
        ),
        _mistake("a byte's largest value is 255, not 256", lambda x, m, s: (x / 256 - m) / s),
        _mistake(
            "the mean is divided by std, but not the picture: brackets, (images / 255 - mean) / "
            "std",
            lambda x, mean, std: x / 255 - mean / std,
        ),
        _mistake(
            "images // 255 rounds down, to 0 or 1: divide by /",
            lambda x, mean, std: (x // 255 - mean) / std,
        ),
        _mistake(
            "only scaled to 0 … 1: subtract the mean and divide by std too",
            lambda x, mean, std: x / 255,
        ),
        _mistake(
            "mean and std are used in reverse order; they come as red, green, blue",
            lambda x, mean, std: (x / 255 - mean[::-1]) / std[::-1],
        ),
        _mistake(
            "the channels of the result come in the order blue, green, red; the pictures have red "
            "first, and so must x",
            lambda x, mean, std: (x[:, ::-1] / 255 - mean) / std,
        ),
        _mistake(
            "one mean and one std for all channels; each channel has its own",
            lambda x, mean, std: (x / 255 - mean.mean()) / std.mean(),
        ),
        _mistake(
            "divided by the variance, not by the standard deviation",
            lambda x, mean, std: (x / 255 - mean) / std**2,
        ),
        _mistake("multiplied by std; divide", lambda x, mean, std: (x / 255 - mean) * std),
        _mistake(
            "the mean of this batch is subtracted, not the one given",
            lambda x, mean, std: (x / 255 - x.mean(axis=(0, 2, 3), keepdims=True) / 255) / std,
        ),
        _mistake(
            "mean and std of this batch are used, not those given: a picture's x must not depend "
            "on the others beside it",
            lambda x, mean, std: (
                (x - x.mean(axis=(0, 2, 3), keepdims=True)) / x.std(axis=(0, 2, 3), keepdims=True)
            ),
        ),
    ),
    hints=(
        "Bytes first become numbers from 0 to 1.",
        "mean and std hold a number for each channel, and the channel is axis 1 of (N, 3, H, W): "
        "give them the shape (3, 1, 1), so that they broadcast along it.",
        "x = (images / 255 - mean) / std",
    ),
    tolerance=1e-5,
)

EXERCISES = (normalize,)
