"""Exercise of notebook 10: the backward pass of batch normalisation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results, Trait, arrays
from npsqueeze.exercises.momentum import NOTEBOOK

CHANNEL = (0, 2, 3)
"""The axes of a channel's numbers."""


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(22)
    cases: list[Arguments] = []
    for shape, training, eps in (
        ((2, 3, 2, 4), True, 0.3), ((4, 2, 3, 1), True, 1e-5), ((1, 3, 4, 2), True, 0.1),
        ((5, 2, 1, 1), True, 0.2), ((3, 2, 2, 3), False, 0.3), ((3, 3, 3, 3), True, 0.5),
    ):  # fmt: skip
        channels = shape[1]
        scales = draw.uniform(0.5, 3, (channels, 1, 1))
        cases.append(
            {
                "dy": draw.normal(0.3, 1, shape),
                "x": draw.normal(size=shape) * scales + draw.normal(0, 2, (channels, 1, 1)),
                "w": draw.normal(size=channels),
                "running_mean": draw.normal(size=channels),
                "running_var": draw.uniform(0.5, 3, channels),
                "training": training,
                "eps": eps,
            }
        )
    cases[-1]["x"][:, 1] = 1.5  # a channel without variance
    return cases


def _column(values: Array) -> Array:
    """Return one number a channel in the shape that broadcasts over NCHW."""
    return np.asarray(values)[:, None, None]


def _moments(a: Arguments, axes: tuple[int, ...] = CHANNEL) -> tuple[Array, Array]:
    """Return the mean and the variance that the forward pass has used, of other axes if so."""
    if not a["training"]:
        return _column(a["running_mean"]), _column(a["running_var"])
    return a["x"].mean(axes, keepdims=True), a["x"].var(axes, keepdims=True)


def _gradients(
    a: Arguments,
    inverse_std: Callable[[Array, float], Array] = lambda var, eps: 1 / np.sqrt(var + eps),
    moments: tuple[Array, Array] | None = None,
    axes: tuple[int, ...] = CHANNEL,
    training: bool | None = None,
    w_last: bool = False,
) -> Results:
    """Return dx and dw of a normalisation that may have another σ, or other moments.

    w comes before the corrections or after them, which is one only if a channel is corrected by
    itself.
    """
    mean, var = _moments(a, axes) if moments is None else moments
    s = inverse_std(var, a["eps"])
    x_hat = (a["x"] - mean) * s
    w = _column(a["w"])
    dx = a["dy"] if w_last else w * a["dy"]
    if a["training"] if training is None else training:
        dx = dx - dx.mean(axes, keepdims=True) - x_hat * (dx * x_hat).mean(axes, keepdims=True)
    return {"dx": s * (w * dx if w_last else dx), "dw": (a["dy"] * x_hat).sum(CHANNEL)}


def _another(meaning: str, **changes: Any) -> Mistake:
    """Return the mistake of another normalisation; each change is a function of the arguments."""

    def wrong(a: Arguments, _: Results) -> Results:
        return _gradients(a, **{name: change(a) for name, change in changes.items()})

    return Mistake(meaning, wrong)


def _normalised(a: Arguments) -> tuple[Array, Array]:
    """Return x̂, and the s = 1/√(σ² + eps) in it."""
    mean, var = _moments(a)
    s = 1 / np.sqrt(var + a["eps"])
    return (a["x"] - mean) * s, s


def _dx(meaning: str, formula: Callable[[Array, Array, Array, Array, float], Array]) -> Mistake:
    """Return the mistake of another dx / (w·s) in training, of (dy, x̂, mean dy, mean dy·x̂, m)."""

    def wrong(a: Arguments, right: Results) -> dict[str, Array]:
        if not a["training"]:
            return {"dx": right["dx"]}
        (x_hat, s), dy, m = _normalised(a), a["dy"], a["dy"].size / len(a["w"])
        means = dy.mean(CHANNEL, keepdims=True), (dy * x_hat).mean(CHANNEL, keepdims=True)
        return {"dx": _column(a["w"]) * s * formula(dy, x_hat, *means, m)}

    return Mistake(meaning, wrong)


def _divided_by(
    count: Callable[[Array], float],
) -> Callable[[Arguments, Results], dict[str, Array]]:
    """Return the mistake of sums divided by another number than m."""

    def wrong(a: Arguments, right: Results) -> dict[str, Array]:
        if not a["training"]:
            return {"dx": right["dx"]}
        (x_hat, s), dy = _normalised(a), a["dy"]
        sums = dy.sum(CHANNEL, keepdims=True) + x_hat * (dy * x_hat).sum(CHANNEL, keepdims=True)
        return {"dx": _column(a["w"]) * s * (dy - sums / count(a["x"]))}

    return wrong


def _parameter(name: str, meaning: str, formula: Callable[[Arguments], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {name: formula(a)})


def _other_slope(power: float) -> Callable[[Arguments, Results], dict[str, Array]]:
    """Return the mistake of the way through σ² with (σ² + ε)^-power as the slope of its root."""

    def wrong(a: Arguments, right: Results) -> dict[str, Array]:
        if not a["training"]:
            return {"dx": right["dx"]}
        mean, var = _moments(a)
        root, dy = np.sqrt(var + a["eps"]), a["dy"]
        c = a["x"] - mean
        through = c * (dy * c).mean(CHANNEL, keepdims=True) / (var + a["eps"]) ** power
        return {"dx": _column(a["w"]) * ((dy - dy.mean(CHANNEL, keepdims=True)) / root - through)}

    return wrong


def _dx_of(names: tuple[str, ...], told: str) -> Mistake:
    """Return the consequence of wrong sums: dx by the short form, with the sums that came."""

    def wrong(a: Arguments, came: Results) -> Results:
        (x_hat, s), dy, m = _normalised(a), a["dy"], a["dy"].size / len(a["w"])
        sums = {"dw": (dy * x_hat).sum(CHANNEL), "db": dy.sum(CHANNEL)}
        sums |= {name: came[name] for name in names}
        if a["training"]:
            dy = dy - (_column(sums["db"]) + x_hat * _column(sums["dw"])) / m
        return {"dx": _column(a["w"]) * s * dy}

    return Mistake(f"follows from your {told} first", wrong)


def _exchanged(a: Arguments) -> Arguments:
    return a | {"training": not a["training"]}


def _centred_sum(a: Arguments) -> Array:
    return np.asarray((a["dy"] * (a["x"] - _moments(a)[0])).sum(CHANNEL))


def _unbiased(a: Arguments, training: bool) -> tuple[Array, Array]:
    """Return the moments, the variance multiplied by m/(m - 1) in training or in inference."""
    mean, var = _moments(a)
    m = a["x"].size / len(a["w"])
    return mean, var * m / (m - 1) if a["training"] == training else var


def _loss(a: Arguments) -> tuple[Any, list[Array]]:
    def loss(x: Array, w: Array, b: Array) -> float:
        return float(np.sum(a["dy"] * _forward(a, x, w, b)[0]))

    return loss, [a["x"], a["w"], np.zeros(len(a["w"]))]


def _forward(a: Arguments, x: Array, w: Array, b: Array) -> tuple[Array, Any]:
    running = a["running_mean"].copy(), a["running_var"].copy()
    return functional.batch_norm2d_forward(x, w, b, *running, a["training"], eps=a["eps"])


SLOPE = "the slope of the root: that of (σ² + eps)^(-1/2) is -½·(σ² + eps)^(-3/2)"

ALL = (0, 1, 2, 3)
WRONG_AXES = (
    ((0,), "per pixel"),
    ((2, 3), "per picture"),
    ((1, 2, 3), "over the channels of a picture"),
    (ALL, "over all channels at once"),
    ((1,), "over the channels of a pixel"),
)
MOMENTS, MEANS = (
    f"the {what} are taken {{}}; they go over axis (0, 2, 3), all numbers of one channel"
    for what in ("moments", "means in dx")
)

batch_norm2d_backward = Exercise(
    name="batch_norm2d_backward",
    notebook=NOTEBOOK,
    solution=functional.batch_norm2d_backward,
    answer=reference.batch_norm2d_backward,
    cases=_cases(),
    read=arrays("dx", "dw", "db"),
    traits=(
        Trait("inference", "training", lambda a: not a["training"]),
        Trait("a batch of one", "a larger batch", lambda a: len(a["x"]) == 1),
        Trait("one pixel", "images", lambda a: a["x"].shape[2:] == (1, 1)),
        Trait("a channel without variance", "others", lambda a: np.ptp(a["x"][:, 1]) == 0),
    ),
    counts={
        "N·H·W (the numbers of a channel)": lambda a: a["x"].size / len(a["w"]),
        "N (the batch size)": lambda a: len(a["x"]),
        "H·W (the pixels)": lambda a: a["x"][0, 0].size,
    },
    cache=lambda a: _forward(a, a["x"], a["w"], np.zeros(len(a["w"])))[1],
    function=_loss,
    consequences=(
        _dx_of(("dw",), "dw; mend dw"),
        _dx_of(("db",), "db; mend db"),
        _dx_of(("dw", "db"), "dw and db; mend them"),
    ),
    mistakes=(
        _dx(
            "neither μ nor σ² is a constant in training, for both depend on x: the gradient goes "
            "back through them too",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy,
        ),
        _dx(
            "the way through the mean is missing: μ depends on every x of the channel, which takes "
            "the mean of the gradient away",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - x_hat * mean_dy_x_hat,
        ),
        _dx(
            "the way through the variance is missing: σ² depends on every x of the channel, which "
            "takes x̂·mean(dy·x̂) away",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - mean_dy,
        ),
        _dx(
            "sums where means are wanted: both corrections are divided by m = N·H·W",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: (
                dy - m * mean_dy - m * x_hat * mean_dy_x_hat
            ),
        ),
        *(
            Mistake(
                "m is the number of numbers in a channel, N·H·W, for each of them has its share "
                "in the moments",
                _divided_by(count),
            )
            for count in (lambda x: len(x), lambda x: x[0, 0].size, lambda x: x.shape[1])
        ),
        _dx(
            "the last correction lacks x̂: it is x̂·mean(dy·x̂), another number for every x",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - mean_dy - mean_dy_x_hat,
        ),
        _dx(
            "a sign is wrong: both corrections are subtracted",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - mean_dy + x_hat * mean_dy_x_hat,
        ),
        _dx(
            "a sign is wrong: both corrections are subtracted",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy + mean_dy + x_hat * mean_dy_x_hat,
        ),
        _dx(
            "twice the way through the variance: is it the ½ that is lost, of the slope of a root?",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - mean_dy - 2 * x_hat * mean_dy_x_hat,
        ),
        _dx(
            "half of the way through the variance: is it the 2 that is lost, of the slope of a "
            "square?",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - mean_dy - x_hat * mean_dy_x_hat / 2,
        ),
        Mistake(
            "the factor 1/√(σ² + eps) is missing in x̂, which is (x - μ)/√(σ² + eps)",
            lambda a, right: {**_other_slope(0.5)(a, right), "dw": _centred_sum(a)},
        ),
        *(Mistake(SLOPE, _other_slope(power)) for power in (0.5, 1.0, 2.0)),
        _dx(
            "x̂ is made a unit vector by its own length; with eps its length is not √m: the share "
            "along it is x̂·mean(dy·x̂)",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: (
                dy - mean_dy - x_hat * mean_dy_x_hat / (x_hat**2).mean(CHANNEL, keepdims=True)
            ),
        ),
        Mistake(
            "w is forgotten: y = w·x̂ + b, so x̂ gets w·dy",
            lambda a, _: {"dx": _gradients(a | {"w": np.ones(len(a["w"]))})["dx"]},
        ),
        Mistake(
            "w is there twice", lambda a, right: {"dx": right["dx"] * _column(a["w"])}
        ),
        Mistake(
            "the factor 1/√(σ² + eps) is missing: x̂ = (x - μ)/√(σ² + eps)",
            lambda a, right: {"dx": right["dx"] * np.sqrt(_moments(a)[1] + a["eps"])},
        ),
        Mistake(
            "divided by the variance; it is the standard deviation, √(σ² + eps)",
            lambda a, right: {"dx": right["dx"] / np.sqrt(_moments(a)[1] + a["eps"])},
        ),
        _another(
            "divided by the variance; it is the standard deviation, √(σ² + eps)",
            inverse_std=lambda a: lambda var, eps: 1 / (var + eps),
        ),
        _another(
            "multiplied by the standard deviation; x̂ is divided by it",
            inverse_std=lambda a: lambda var, eps: np.sqrt(var + eps),
        ),
        _another(
            "eps is outside the root: √(σ² + eps), not √σ² + eps",
            inverse_std=lambda a: lambda var, eps: 1 / (np.sqrt(var) + eps),
        ),
        _another(
            "eps is forgotten: √(σ² + eps)",
            inverse_std=lambda a: lambda var, eps: 1 / np.sqrt(var),
        ),
        *(
            _another(MOMENTS.format(told), moments=lambda a, axes=axes: _moments(a, axes))
            for axes, told in WRONG_AXES
        ),
        *(
            _another(
                meaning.format(told),
                moments=lambda a, axes=moments or axes: _moments(a, axes),
                axes=lambda a, axes=axes: axes,
                w_last=lambda a, w_last=w_last: w_last,
            )
            for axes, told in WRONG_AXES
            for meaning, moments in ((MOMENTS, None), (MEANS, CHANNEL))
            for w_last in (False, True)
        ),
        _another(
            "one mean for all channels; each channel has its own",
            moments=lambda a: (_moments(a, ALL)[0], _moments(a)[1]),
        ),
        _another(
            "one variance for all channels; each channel has its own",
            moments=lambda a: (_moments(a)[0], _moments(a, ALL)[1]),
        ),
        _dx(
            "one mean of dy for all channels; each channel has its own",
            lambda dy, x_hat, mean_dy, mean_dy_x_hat, m: dy - dy.mean() - x_hat * mean_dy_x_hat,
        ),
        _another(
            "the variance that normalises divides by m; only the running one divides by m - 1",
            moments=lambda a: _unbiased(a, training=True),
        ),
        _another(
            "the running moments are used; in training it is those of the batch",
            moments=lambda a: (_column(a["running_mean"]), _column(a["running_var"])),
        ),
        _another(
            "the running moments are used; in training it is those of the batch",
            moments=lambda a: (_column(a["running_mean"]), _column(a["running_var"])),
            training=lambda a: False,
        ),
        *(
            _another(
                "in inference x̂ takes running_mean and running_var, not the moments of the batch",
                moments=lambda a: _moments(a | {"training": True}),
                training=lambda a, always=always: always or a["training"],
            )
            for always in (False, True)
        ),
        *(
            _another("training and inference are exchanged", **changes)
            for changes in (
                {"moments": lambda a: _moments(_exchanged(a))},
                {"training": lambda a: not a["training"]},
                {
                    "moments": lambda a: _moments(_exchanged(a)),
                    "training": lambda a: not a["training"],
                },
            )
        ),
        _another(
            "in inference running_var is used as it is: it has its m/(m - 1) already",
            moments=lambda a: _unbiased(a, training=False),
        ),
        _another(
            "in inference the moments are constants: nothing goes back through them, dx is "
            "w·dy/√(σ² + eps)",
            training=lambda a: True,
        ),
        _parameter(
            "dw", "x stands where x̂ stands in y = w·x̂ + b: dw is Σ dy·x̂",
            lambda a: (a["dy"] * a["x"]).sum(CHANNEL),
        ),
        _parameter(
            "dw", "x - μ is not yet normalised: dw is Σ dy·x̂, divided by √(σ² + eps)",
            _centred_sum,
        ),
        _parameter("dw", "that is db: dw is Σ dy·x̂", lambda a: a["dy"].sum(CHANNEL)),
        _parameter(
            "dw", "a mean over the channel where the sum is wanted",
            lambda a: (a["dy"] * _normalised(a)[0]).mean(CHANNEL),
        ),
        _parameter(
            "dw", "w is in it: y = w·x̂ + b has the slope x̂ with respect to w",
            lambda a: (a["dy"] * _normalised(a)[0]).sum(CHANNEL) * a["w"],
        ),
        _parameter(
            "db", "a mean over the channel where the sum is wanted",
            lambda a: a["dy"].mean(CHANNEL),
        ),
        _parameter(
            "db", "w is in it: y = w·x̂ + b has the slope 1 with respect to b",
            lambda a: a["dy"].sum(CHANNEL) * a["w"],
        ),
        *(
            _parameter(
                name, "summed over the batch only; every pixel counts too, axis=(0, 2, 3)", formula
            )
            for name, formula in (
                ("dw", lambda a: (a["dy"] * _normalised(a)[0]).sum(0)),
                ("db", lambda a: a["dy"].sum(0)),
            )
        ),
    ),
    hints=(
        "First what the forward pass had: μ and σ² of every channel (axis=(0, 2, 3), "
        "keepdims=True; in inference the running ones), s = 1/√(σ² + eps), x̂ = (x - μ)·s.",
        "y = w·x̂ + b: db = Σ dy, dw = Σ dy·x̂, over the numbers of a channel. w has the shape "
        "(C,): w[:, None, None] broadcasts over (N, C, H, W).",
        "In inference dx = w·s·dy. In training take from dy its mean over the channel, and "
        "x̂·mean(dy·x̂), then multiply by w·s, as in inference.",
    ),
)  # fmt: skip

EXERCISES = (batch_norm2d_backward,)
