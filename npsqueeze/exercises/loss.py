"""Exercises of notebook 05: the linear layer, softmax, cross-entropy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays

NOTEBOOK = "05_linear_and_cross_entropy.ipynb"

BATCH_OF_ONE = Trait("a batch of one", "a larger batch", lambda a: len(a["logits"]) == 1)
LARGE = Trait("large logits", "small ones", lambda a: np.abs(a["logits"]).max() > 100)
SMOOTHED = Trait("label smoothing", "no label smoothing", lambda a: a.get("label_smoothing", 0) > 0)
MEAN_TWICE = "N times too small: the loss has divided by N already (the mean was taken twice)"


def _linear_cases() -> list[Arguments]:
    draw = np.random.default_rng(13)
    return [
        {
            "dy": draw.normal(size=(n, m)),
            "x": draw.normal(size=(n, d)),
            "w": draw.normal(size=(m, d)),
        }
        for n, d, m in ((4, 5, 3), (1, 5, 3), (6, 1, 3), (3, 3, 3), (5, 2, 7))
    ]


def _linear_mistake(result: str, meaning: str, formula: Callable[..., Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {result: formula(*a.values())})


def _linear_loss(a: Arguments) -> tuple[Any, list[Array]]:
    def loss(x: Array, w: Array, b: Array) -> float:
        return float(np.sum(a["dy"] * functional.linear_forward(x, w, b)[0]))

    return loss, [a["x"], a["w"], np.zeros(len(a["w"]))]


linear_backward = Exercise(
    name="linear_backward",
    notebook=NOTEBOOK,
    solution=functional.linear_backward,
    answer=reference.linear_backward,
    cases=_linear_cases(),
    read=arrays("dx", "dw", "db"),
    traits=(Trait("a batch of one", "a larger batch", lambda a: len(a["x"]) == 1),),
    counts={
        "N (the batch size)": lambda a: len(a["x"]),
        "M (the number of outputs)": lambda a: len(a["w"]),
        "D (the number of inputs)": lambda a: a["x"].shape[1],
    },
    cache=lambda a: functional.linear_forward(a["x"], a["w"], np.zeros(len(a["w"])))[1],
    function=_linear_loss,
    mistakes=(
        _linear_mistake("dx", "w is transposed here: y = x·wᵀ, so dx = dy·w",
                        lambda dy, x, w: dy @ w.T),
        _linear_mistake("dx", "dy meets x here: the slope of y with respect to x is w",
                        lambda dy, x, w: dy.sum(axis=1, keepdims=True) * x),
        _linear_mistake("dw", "dy meets w here: the slope of y with respect to w is x",
                        lambda dy, x, w: dy.sum(axis=0)[:, None] * w),
        _linear_mistake("dw", "transposed: dw has w's shape (M, D), that is dyᵀ·x",
                        lambda dy, x, w: x.T @ dy),
        _linear_mistake("dw", MEAN_TWICE, lambda dy, x, w: dy.T @ x / len(x)),
        _linear_mistake("dw", "only the last row of the batch counts: sum over all",
                        lambda dy, x, w: np.outer(dy[-1], x[-1])),
        _linear_mistake("db", MEAN_TWICE, lambda dy, x, w: dy.mean(axis=0)),
        _linear_mistake("db", "sum over the batch: b was added to every row",
                        lambda dy, x, w: dy),
        _linear_mistake("db", "the sum runs over the outputs; the batch is axis 0",
                        lambda dy, x, w: dy.sum(axis=1)),
        _linear_mistake("db", "one number for all: the sum runs over the batch only (axis 0)",
                        lambda dy, x, w: dy.sum()),
        _linear_mistake("db", "the shape (1, M) remains: b has the shape (M,) (no keepdims)",
                        lambda dy, x, w: dy.sum(axis=0, keepdims=True)),
        _linear_mistake("db", "only the last row of the batch counts: sum over all",
                        lambda dy, x, w: dy[-1]),
    ),
    hints=(
        "y[n, m] = b[m] + Σ_d w[m, d]·x[n, d]: which of the y does one x[n, d] enter, and with "
        "which factor?",
        "The shapes tell the rest: dy is (N, M), x and dx are (N, D), w and dw are (M, D).",
        "dx = dy·w, dw = dyᵀ·x, and db is dy summed over the batch.",
    ),
)  # fmt: skip


def _logits() -> list[Array]:
    draw = np.random.default_rng(14)
    plain = [draw.normal(size=shape) for shape in ((4, 3), (1, 5), (3, 3), (6, 10))]
    # exp(1000) is inf; and a row's largest logit may lie far below another row's
    # beyond the range of exp, but close together: only a shift is needed, no logarithm of a sum
    close = 1000 + draw.normal(size=(3, 4))
    apart = 400 * draw.normal(size=(5, 4)) + np.array([[0], [2000], [-2000], [0], [900]])
    return [*plain, close, apart]


def _naive_softmax(z: Array) -> Array:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _softmax_mistake(meaning: str, formula: Callable[[Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"p": formula(a["logits"])})


OVERFLOW = (
    "exp overflows for large logits (exp(710) is inf, and inf/inf is NaN): subtract each row's "
    "maximum first, which changes nothing else"
)


def _shift_by_one_for_all(z: Array) -> Array:
    return _naive_softmax(z - z.max())


softmax = Exercise(
    name="softmax",
    notebook=NOTEBOOK,
    solution=functional.softmax,
    answer=lambda logits: functional.softmax(logits),
    cases=[{"logits": z} for z in _logits()],
    read=arrays("p"),
    traits=(LARGE, BATCH_OF_ONE),
    counts={"N (the batch size)": lambda a: len(a["logits"])},
    mistakes=(
        _softmax_mistake(OVERFLOW, _naive_softmax),
        _softmax_mistake(
            "one maximum is subtracted for the whole batch: a row far below it becomes 0/0; each "
            "row needs its own",
            _shift_by_one_for_all,
        ),
        _softmax_mistake(
            "the sum runs over the batch (axis 0); each row is a distribution of its own (axis 1)",
            lambda z: functional.softmax(z.T).T,
        ),
        _softmax_mistake(
            "the sum runs over all numbers; each row is a distribution of its own (axis 1)",
            lambda z: functional.softmax(z.reshape(1, -1)).reshape(z.shape),
        ),
        _softmax_mistake(
            "it is not divided by the sum of its row",
            lambda z: np.exp(z - z.max(axis=1, keepdims=True)),
        ),
        _softmax_mistake("it is not divided by the sum of its row", np.exp),
        *(
            _softmax_mistake("that is the logarithm of the softmax", formula)
            for formula in (_log_softmax, lambda z: np.log(functional.softmax(z)))
        ),
        _softmax_mistake(
            "exp is missing: a logit may be negative, exp of it is not",
            lambda z: z / z.sum(axis=1, keepdims=True),
        ),
        _softmax_mistake(
            "that is the sigmoid 1/(1 + exp(-z)), each class by itself: the classes of a row share "
            "one sum",
            lambda z: 1 / (1 + np.exp(-z)),
        ),
        _softmax_mistake(
            "the largest number of each column was subtracted; only one that is the same for the "
            "whole row cancels out (axis=1)",
            lambda z: np.exp(z - z.max(axis=0)) / np.exp(z - z.max(axis=0)).sum(1, keepdims=True),
        ),
        _softmax_mistake(
            "that is 1 for the largest logit and 0 for the others; the softmax is softer",
            lambda z: np.eye(z.shape[1])[z.argmax(axis=1)],
        ),
        _softmax_mistake(
            "2 to the power of z is taken; exp has the base e",
            lambda z: functional.softmax(z * np.log(2)),
        ),
        _softmax_mistake("the sign of the logits is wrong", lambda z: functional.softmax(-z)),
    ),
    hints=(
        "p[n, k] = exp(z[n, k]) / Σ_j exp(z[n, j]): the sum runs along a row (axis 1, "
        "keepdims=True).",
        "The same number subtracted from all logits of a row cancels out: subtract the row's "
        "maximum, and no exp can overflow.",
    ),
)


def _loss_cases() -> list[Arguments]:
    draw = np.random.default_rng(15)
    return [
        {"logits": z, "labels": draw.integers(0, z.shape[1], len(z)), "label_smoothing": smoothing}
        for z, smoothing in (
            *((z, 0.0) for z in _logits()),
            *((z, 0.1) for z in _logits()[:4]),
        )
    ]


def _targets(a: Arguments, smoothing: float | None = None, others_only: bool = False) -> Array:
    """Return the targets; smoothed over all classes, or over the others only."""
    classes = a["logits"].shape[1]
    epsilon = a["label_smoothing"] if smoothing is None else smoothing
    one_hot = np.eye(classes)[a["labels"]]
    if others_only:
        return one_hot * (1 - epsilon) + (1 - one_hot) * epsilon / (classes - 1)
    return one_hot * (1 - epsilon) + epsilon / classes


def _cross_entropy(a: Arguments, targets: Array) -> float:
    return float(-np.sum(targets * _log_softmax(a["logits"])) / len(targets))


def _naive_loss(a: Arguments, tiny: float = 0.0, stable: bool = False) -> float:
    p = functional.softmax(a["logits"]) if stable else _naive_softmax(a["logits"])
    return float(-np.sum(_targets(a) * np.log(p + tiny)) / len(p))


def _loss_mistake(meaning: str, formula: Callable[[Arguments], float]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"loss": formula(a)})


def _smoothing_added(a: Arguments) -> Array:
    return np.eye(a["logits"].shape[1])[a["labels"]] + a["label_smoothing"] / a["logits"].shape[1]


SMOOTHING_ADDED = (
    "ε/classes is added everywhere, but nothing is taken from the label: it keeps 1 - ε of its 1, "
    "for targets add up to 1"
)
OVER_THE_OTHERS = (
    "the smoothing is spread over the other classes only; here ε/classes goes to every class, the "
    "label included"
)

softmax_cross_entropy_forward = Exercise(
    name="softmax_cross_entropy_forward",
    notebook=NOTEBOOK,
    solution=functional.softmax_cross_entropy_forward,
    answer=reference.softmax_cross_entropy,
    cases=_loss_cases(),
    read=arrays("loss", forward=True),
    traits=(LARGE, SMOOTHED, BATCH_OF_ONE),
    counts={
        "N (the batch size)": lambda a: len(a["logits"]),
        "the number of classes": lambda a: a["logits"].shape[1],
    },
    mistakes=(
        _loss_mistake(OVERFLOW, _naive_loss),
        _loss_mistake(
            "the softmax is right, but its logarithm is taken afterwards: a probability rounded "
            "to 0 gives log 0 (and 0·log 0 is NaN); use z - log Σ exp(z) directly",
            lambda a: _naive_loss(a, stable=True),
        ),
        *(
            _loss_mistake(
                "a small number inside the logarithm hides the underflow and gives a wrong loss: "
                "use z - log Σ exp(z) directly",
                lambda a, tiny=tiny: _naive_loss(a, tiny, stable=True),  # type: ignore[misc]
            )
            for tiny in (1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16)
        ),
        _loss_mistake(
            "that is the sum over the batch; the mean is wanted",
            lambda a: len(a["labels"]) * _cross_entropy(a, _targets(a)),
        ),
        _loss_mistake(
            "the mean runs over all N·classes numbers; it should run over the batch: divide by N",
            lambda a: _cross_entropy(a, _targets(a)) / a["logits"].shape[1],
        ),
        _loss_mistake(
            "the logarithm has the base 2; the natural one (np.log) is wanted",
            lambda a: _cross_entropy(a, _targets(a)) / np.log(2),
        ),
        _loss_mistake(
            "the row's maximum was subtracted, but not added again: log Σ exp(z) = max + log Σ "
            "exp(z - max)",
            lambda a: _cross_entropy(a, _targets(a)) - a["logits"].max(axis=1).mean(),
        ),
        _loss_mistake(
            "every row is judged by the labels of all rows (log_p[:, labels]): index pairs, "
            "log_p[np.arange(N), labels]",
            lambda a: _cross_entropy(
                a, np.broadcast_to(_targets(a).mean(axis=0), a["logits"].shape)
            ),
        ),
        Mistake(
            "a loss for each row; one number is wanted, their mean",
            lambda a, _: {"loss": -np.sum(_targets(a) * _log_softmax(a["logits"]), axis=1)},
        ),
        _loss_mistake(
            "label smoothing is ignored", lambda a: _cross_entropy(a, _targets(a, smoothing=0.0))
        ),
        _loss_mistake(SMOOTHING_ADDED, lambda a: _cross_entropy(a, _smoothing_added(a))),
        _loss_mistake(
            "that is the squared error of the probabilities; the cross-entropy is -Σ t·log p",
            lambda a: (
                np.sum((functional.softmax(a["logits"]) - _targets(a)) ** 2) / len(a["labels"])
            ),
        ),
        *(
            _loss_mistake(
                "the logarithm of the probability is missing",
                lambda a, smoothing=smoothing: (
                    -np.sum(  # type: ignore[misc]
                        _targets(a, smoothing) * functional.softmax(a["logits"])
                    )
                    / len(a["labels"])
                ),
            )
            for smoothing in (None, 0.0)
        ),
        _loss_mistake(OVER_THE_OTHERS, lambda a: _cross_entropy(a, _targets(a, others_only=True))),
        _loss_mistake(
            "the label keeps 1 - ε, but its part ε/classes of what is spread is missing (or all "
            "others': targets must add up to 1)",
            lambda a: _cross_entropy(a, np.minimum(_targets(a), 1 - a["label_smoothing"])),
        ),
    ),
    hints=(
        "Without smoothing the loss of one row is -log p[label] = log Σ_j exp(z_j) - z_label.",
        "Compute log p = z - log Σ exp(z) with the row's maximum subtracted first; never the "
        "logarithm of a softmax.",
        "With smoothing ε the target is ε/classes for every class, and 1 - ε more for the label; "
        "the loss is -Σ target·log p, averaged over the batch.",
    ),
)


def _gradient_cases() -> list[Arguments]:
    return [
        {"dloss": dloss} | a
        for dloss, a in zip(
            (1.0, 1.0, 2.5, -0.7, 1.0, 1.0, 1.0, 1.0, 3.0, 0.5), _loss_cases(), strict=True
        )
    ]


def _gradient_mistake(meaning: str, formula: Callable[[Array, Arguments], Array]) -> Mistake:
    """Return the mistake of another formula of p and the arguments, before dloss/N."""

    def wrong(a: Arguments, _: object) -> dict[str, Array]:
        p = functional.softmax(a["logits"])
        return {"dlogits": formula(p, a) * a["dloss"] / len(p)}

    return Mistake(meaning, wrong)


def _cross_entropy_loss(a: Arguments) -> tuple[Any, list[Array]]:
    def loss(logits: Array) -> float:
        options = a["labels"], a["label_smoothing"]
        return a["dloss"] * functional.softmax_cross_entropy_forward(logits, *options)[0]

    return loss, [a["logits"]]


softmax_cross_entropy_backward = Exercise(
    name="softmax_cross_entropy_backward",
    notebook=NOTEBOOK,
    solution=functional.softmax_cross_entropy_backward,
    answer=reference.softmax_cross_entropy_backward,
    cases=_gradient_cases(),
    read=arrays("dlogits"),
    traits=(
        LARGE,
        SMOOTHED,
        BATCH_OF_ONE,
        Trait("a dloss other than 1", "dloss = 1", lambda a: a["dloss"] != 1),
    ),
    counts={
        "N (the batch size)": lambda a: len(a["logits"]),
        "the number of classes": lambda a: a["logits"].shape[1],
    },
    cache=lambda a: functional.softmax_cross_entropy_forward(
        a["logits"], a["labels"], a["label_smoothing"]
    )[1],
    function=_cross_entropy_loss,
    mistakes=(
        _gradient_mistake(
            "N times too large: the loss is a mean over the batch, so divide by N",
            lambda p, a: (p - _targets(a)) * len(p),
        ),
        _gradient_mistake(MEAN_TWICE, lambda p, a: (p - _targets(a)) / len(p)),
        _gradient_mistake(
            "divided by N·classes; the mean is over the batch: divide by N",
            lambda p, a: (p - _targets(a)) / p.shape[1],
        ),
        _gradient_mistake("the sign is wrong: p - t, not t - p", lambda p, a: _targets(a) - p),
        _gradient_mistake(
            "that is p alone: subtract the target, 1 at the label", lambda p, a: p
        ),
        _gradient_mistake(
            "p - t is multiplied by p(1 - p): that is the slope of a squared error; for "
            "cross-entropy it cancels out",
            lambda p, a: (p - _targets(a)) * p * (1 - p),
        ),
        _gradient_mistake(
            "label smoothing is ignored", lambda p, a: p - _targets(a, smoothing=0.0)
        ),
        _gradient_mistake(SMOOTHING_ADDED, lambda p, a: p - _smoothing_added(a)),
        _gradient_mistake(
            "1 is subtracted at the largest logit; it belongs to the label",
            lambda p, a: p - _targets(a | {"labels": a["logits"].argmax(axis=1)}),
        ),
        _gradient_mistake(OVER_THE_OTHERS, lambda p, a: p - _targets(a, others_only=True)),
        Mistake(
            "dloss is ignored: multiply by it",
            lambda a, _: {
                "dlogits": (functional.softmax(a["logits"]) - _targets(a)) / len(a["logits"])
            },
        ),
        _gradient_mistake(
            "only the label's entry is there; the softmax makes every logit matter",
            lambda p, a: (p - _targets(a)) * np.eye(p.shape[1])[a["labels"]],
        ),
        _gradient_mistake(
            "1 is subtracted in the whole column of a label (x[:, labels] -= 1): index pairs, "
            "x[np.arange(N), labels]",
            lambda p, a: _subtracted_in_columns(p, a),
        ),
        _gradient_mistake(
            OVERFLOW, lambda p, a: _naive_softmax(a["logits"]) - _targets(a)
        ),
        _gradient_mistake(
            "the softmax runs over the batch (axis 0); each row is a distribution of its own",
            lambda p, a: functional.softmax(a["logits"].T).T - _targets(a),
        ),
    ),
    hints=(
        "L = Σ_n (log Σ_j exp(z_nj) - Σ_k t_nk·z_nk)/N. Differentiate both terms with respect to "
        "z_nk.",
        "The first term gives the softmax p_nk, the second the target t_nk.",
        "dlogits = dloss·(p - t)/N; subtract the maximum of each row before exp.",
    ),
)  # fmt: skip


def _subtracted_in_columns(p: Array, a: Arguments) -> Array:
    wrong = p - a["label_smoothing"] / p.shape[1]
    wrong[:, a["labels"]] -= 1 - a["label_smoothing"]
    return wrong


EXERCISES = (
    linear_backward,
    softmax,
    softmax_cross_entropy_forward,
    softmax_cross_entropy_backward,
)
