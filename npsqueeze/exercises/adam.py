"""Exercise of notebook 10: a step of Adam with decoupled weight decay."""

from collections.abc import Callable

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.momentum import NOTEBOOK
from npsqueeze.module import Parameter
from npsqueeze.optim import AdamW

Moments = tuple[Array, Array]


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(21)
    cases: list[Arguments] = []
    for t, beta1, beta2, eps, decay in (
        (3, 0.9, 0.99, 0.1, 0.0), (1, 0.9, 0.99, 0.1, 0.0), (5, 0.8, 0.999, 0.3, 0.4),
        (1, 0.5, 0.9, 0.2, 0.6), (40, 0.9, 0.99, 1e-8, 0.1),
    ):  # fmt: skip
        shape = (2, 3) if t % 2 else (5,)
        m, v = (np.zeros(shape), np.zeros(shape)) if t == 1 else draw.normal(size=(2, *shape))
        cases.append(
            {
                "w": draw.normal(size=shape),
                "dw": draw.normal(size=shape),
                "m": m,
                "v": v**2,
                "t": t,
                "lr": 0.1,
                "beta1": beta1,
                "beta2": beta2,
                "eps": eps,
                "weight_decay": decay,
            }
        )
    return cases


def _answer(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Array, Array, Array]:
    """Let the library's optimiser take step number t."""
    parameter = Parameter(w.copy())
    parameter.grad[...] = dw
    optimizer = AdamW([parameter], lr, (beta1, beta2), eps, weight_decay)
    optimizer.load_state_dict({"step": np.array(t - 1), "mean.0": m, "mean_square.0": v})
    optimizer.step()
    state = optimizer.state_dict()
    return parameter.data, state["mean.0"], state["mean_square.0"]


def _moments(a: Arguments, g: Array) -> Moments:
    return (
        a["beta1"] * a["m"] + (1 - a["beta1"]) * g,
        a["beta2"] * a["v"] + (1 - a["beta2"]) * g**2,
    )


def _biases(a: Arguments) -> tuple[float, float]:
    return 1 - a["beta1"] ** a["t"], 1 - a["beta2"] ** a["t"]


def _quotient(a: Arguments, m: Array, v: Array) -> Array:
    bias1, bias2 = _biases(a)
    return (m / bias1) / (np.sqrt(v / bias2) + a["eps"])


def _moved(a: Arguments, quotient: Array) -> Array:
    return (1 - a["lr"] * a["weight_decay"]) * a["w"] - a["lr"] * quotient


def _of_moments(meaning: str, moments: Callable[[Arguments], Moments]) -> Mistake:
    """Return the mistake of other moments, from which everything else follows."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        m, v = moments(a)
        return {"w": _moved(a, _quotient(a, m, v)), "m": m, "v": v}

    return Mistake(meaning, wrong)


def _of_arguments(meaning: str, change: Callable[[Arguments], Arguments]) -> Mistake:
    """Return the mistake of the right step for other arguments."""
    names = "w", "m", "v"
    return Mistake(
        meaning, lambda a, _: dict(zip(names, _answer(*(a | change(a)).values()), strict=True))
    )


def _of_quotient(meaning: str, quotient: Callable[[Arguments, Array, Array], Array]) -> Mistake:
    """Return the mistake of another quotient (of the right moments) that w moves along."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        m, v = _moments(a, a["dw"])
        return {"w": _moved(a, quotient(a, m, v)), "m": m, "v": v}

    return Mistake(meaning, wrong)


def _of_decay(meaning: str, move: Callable[[Arguments, Array], Array]) -> Mistake:
    """Return the mistake of another move, a function of the right quotient."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        m, v = _moments(a, a["dw"])
        return {"w": move(a, _quotient(a, m, v)), "m": m, "v": v}

    return Mistake(meaning, wrong)


def _correction(
    first: Callable[[Arguments], float], second: Callable[[Arguments], float]
) -> Callable[[Arguments, Array, Array], Array]:
    """Return the quotient with other bias corrections."""
    return lambda a, m, v: (
        (m / np.float64(first(a))) / (np.sqrt(v / np.float64(second(a))) + a["eps"])
    )


def _counted_from(change: int) -> Callable[[Arguments, Array, Array], Array]:
    """Return the quotient with t + change in the corrections."""
    return _correction(
        lambda a: 1 - a["beta1"] ** (a["t"] + change), lambda a: 1 - a["beta2"] ** (a["t"] + change)
    )


def _swapped(a: Arguments) -> Arguments:
    return {"beta1": a["beta2"], "beta2": a["beta1"]}


def _complementary(a: Arguments) -> Arguments:
    return {"beta1": 1 - a["beta1"], "beta2": 1 - a["beta2"]}


BETAS_SWAPPED = "the betas are exchanged: beta1 is m's, beta2 v's"
BETAS_COMPLEMENTARY = "beta and 1 - beta are exchanged: the old mean keeps the share beta"


adam_step = Exercise(
    name="adam_step",
    notebook=NOTEBOOK,
    solution=AdamW.step,
    answer=_answer,
    cases=_cases(),
    read=arrays("w", "m", "v"),
    traits=(
        Trait("the first step", "later ones", lambda a: a["t"] == 1),
        Trait("a weight decay", "none", lambda a: a["weight_decay"] > 0),
        Trait("a large eps", "a small one", lambda a: a["eps"] > 1e-3),
    ),
    mistakes=(
        _of_quotient(
            "no bias correction: m and v began at 0, so divide by 1 - beta1**t and 1 - beta2**t",
            _correction(lambda a: 1, lambda a: 1),
        ),
        _of_quotient(
            "m is not corrected for its start at 0: divide it by 1 - beta1**t",
            _correction(lambda a: 1, lambda a: _biases(a)[1]),
        ),
        _of_quotient(
            "v is not corrected for its start at 0: divide it by 1 - beta2**t",
            _correction(lambda a: _biases(a)[0], lambda a: 1),
        ),
        _of_quotient(
            "the correction takes t - 1: t is 1 at the first step already, and 1 - beta**0 is 0",
            _counted_from(-1),
        ),
        _of_quotient(
            "the correction takes t + 1: t is 1 at the first step already", _counted_from(1)
        ),
        _of_quotient(
            "the correction is 1 - beta·t; it takes the power, 1 - beta**t",
            _correction(lambda a: 1 - a["beta1"] * a["t"], lambda a: 1 - a["beta2"] * a["t"]),
        ),
        _of_quotient(
            "the correction leaves out the power t, which makes it right at the first step only: "
            "1 - beta**t",
            _correction(lambda a: 1 - a["beta1"], lambda a: 1 - a["beta2"]),
        ),
        _of_quotient(
            "the betas of the two corrections are exchanged: beta1 is m's, beta2 v's",
            _correction(lambda a: _biases(a)[1], lambda a: _biases(a)[0]),
        ),
        _of_quotient(
            "eps is inside the root: √v̂ + eps, not √(v̂ + eps)",
            lambda a, m, v: m / _biases(a)[0] / np.sqrt(v / _biases(a)[1] + a["eps"]),
        ),
        _of_quotient(
            "eps is added before √v is corrected: √(v / (1 - beta2**t)) + eps",
            lambda a, m, v: (
                m / _biases(a)[0] * np.sqrt(_biases(a)[1]) / (np.sqrt(v) + a["eps"])
            ),
        ),
        _of_quotient(
            "eps is forgotten: √v̂ + eps",
            lambda a, m, v: m / _biases(a)[0] / np.sqrt(v / _biases(a)[1]),
        ),
        _of_quotient(
            "the square root is forgotten: v is a mean of squares, √v̂ has the size of a gradient",
            lambda a, m, v: m / _biases(a)[0] / (v / _biases(a)[1] + a["eps"]),
        ),
        _of_quotient(
            "v's correction stands outside the root: √(v / (1 - beta2**t))",
            lambda a, m, v: m / _biases(a)[0] / (np.sqrt(v) / _biases(a)[1] + a["eps"]),
        ),
        _of_quotient(
            "the step goes along the gradient: m̂ takes its place",
            lambda a, m, v: a["dw"] / (np.sqrt(v / _biases(a)[1]) + a["eps"]),
        ),
        _of_quotient(
            "the step uses the old m and v: update them first",
            lambda a, m, v: _quotient(a, a["m"], a["v"]),
        ),
        _of_quotient(
            "the sign of the step is wrong: downhill is against the gradient",
            lambda a, m, v: -_quotient(a, m, v),
        ),
        _of_arguments(BETAS_SWAPPED, _swapped),
        _of_moments(BETAS_SWAPPED, lambda a: _moments(a | _swapped(a), a["dw"])),
        _of_arguments(BETAS_COMPLEMENTARY, _complementary),
        _of_moments(BETAS_COMPLEMENTARY, lambda a: _moments(a | _complementary(a), a["dw"])),
        _of_moments(
            "v is the mean of the gradient's square: dw², not dw",
            lambda a: (
                _moments(a, a["dw"])[0],
                a["beta2"] * a["v"] + (1 - a["beta2"]) * a["dw"],
            ),
        ),
        _of_moments(
            "the square is taken of m, not of the gradient: v = beta2·v + (1 - beta2)·dw²",
            lambda a: (
                _moments(a, a["dw"])[0],
                a["beta2"] * a["v"] + (1 - a["beta2"]) * _moments(a, a["dw"])[0] ** 2,
            ),
        ),
        _of_moments(
            "the factors 1 - beta are forgotten: m and v are means, not sums",
            lambda a: (a["beta1"] * a["m"] + a["dw"], a["beta2"] * a["v"] + a["dw"] ** 2),
        ),
        _of_arguments(
            "the weight decay is added to the gradient (Adam with an L2 penalty): here it is "
            "decoupled, w = w - lr·weight_decay·w, past m and v",
            lambda a: {"dw": a["dw"] + a["weight_decay"] * a["w"], "weight_decay": 0.0},
        ),
        Mistake(
            "the corrected m̂ and v̂ are returned: the next step needs m and v as they are",
            lambda a, right: {
                "w": right["w"], "m": right["m"] / _biases(a)[0], "v": right["v"] / _biases(a)[1],
            },
        ),
        Mistake(
            "the old m and v are returned: the next step needs the new ones",
            lambda a, right: {"w": right["w"], "m": a["m"], "v": a["v"]},
        ),
        _of_decay(
            "the weight decay is forgotten: w also loses lr·weight_decay·w",
            lambda a, quotient: a["w"] - a["lr"] * quotient,
        ),
        _of_decay(
            "the weight decay is not multiplied by lr: w loses lr·weight_decay·w",
            lambda a, quotient: (1 - a["weight_decay"]) * a["w"] - a["lr"] * quotient,
        ),
        _of_decay(
            "the decay is taken of w after its step: decay first, or compute both from the old w",
            lambda a, quotient: (
                (1 - a["lr"] * a["weight_decay"]) * (a["w"] - a["lr"] * quotient)
            ),
        ),
        _of_decay(
            "the sign of the weight decay is wrong: it pulls w towards 0",
            lambda a, quotient: (1 + a["lr"] * a["weight_decay"]) * a["w"] - a["lr"] * quotient,
        ),
    ),
    hints=(
        "First the moments: m = beta1·m + (1 - beta1)·dw and v = beta2·v + (1 - beta2)·dw².",
        "Then their corrections, m̂ = m / (1 - beta1**t) and v̂ = v / (1 - beta2**t); return m and "
        "v without them.",
        "The step is lr·m̂ / (√v̂ + eps), and the decay lr·weight_decay·w is taken of the old w.",
    ),
)  # fmt: skip

EXERCISES = (adam_step,)
