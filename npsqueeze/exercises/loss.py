"""Exercises of notebook 05: cross-entropy and its gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional, reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.exercises.linear import MEAN_TWICE, NOTEBOOK
from npsqueeze.exercises.softmax import (
    BATCH_OF_ONE,
    LARGE,
    OVERFLOW,
    log_softmax,
    logits_of_all_sizes,
    naive_softmax,
)

SMOOTHED = Trait("label smoothing", "no label smoothing", lambda a: a.get("label_smoothing", 0) > 0)


def _loss_cases() -> list[Arguments]:
    draw = np.random.default_rng(15)
    return [
        {"logits": z, "labels": draw.integers(0, z.shape[1], len(z)), "label_smoothing": smoothing}
        for z, smoothing in (
            *((z, 0.0) for z in logits_of_all_sizes()),
            *((z, 0.1) for z in logits_of_all_sizes()[:4]),
        )
    ]


def _targets(a: Arguments, smoothing: float | None = None) -> Array:
    epsilon = a["label_smoothing"] if smoothing is None else smoothing
    return (1 - epsilon) * _one_hot(a) + epsilon / a["logits"].shape[1]


def _one_hot(a: Arguments) -> Array:
    return np.eye(a["logits"].shape[1])[a["labels"]]


def _other_targets(a: Arguments, label: Any, others: Any) -> Array:
    """Return targets with one number for the label and one for the other classes.

    Both are functions of ε and the number of classes.
    """
    epsilon, one_hot = a["label_smoothing"], _one_hot(a)
    classes = one_hot.shape[1]
    return one_hot * label(epsilon, classes) + (1 - one_hot) * others(epsilon, classes)


WRONG_TARGETS = (
    (
        "label smoothing is ignored",
        lambda epsilon, classes: 1.0,
        lambda epsilon, classes: 0.0,
    ),
    (
        "ε/classes is added everywhere, but nothing is taken from the label: it keeps 1 - ε of its "
        "1, for targets add up to 1",
        lambda epsilon, classes: 1 + epsilon / classes,
        lambda epsilon, classes: epsilon / classes,
    ),
    (
        "the label's target is still 1, so the targets add up to more; with smoothing it is "
        "1 - ε + ε/classes",
        lambda epsilon, classes: 1.0,
        lambda epsilon, classes: epsilon / classes,
    ),
    (
        "the label's target is 1 - ε; its own part ε/classes is missing, for targets add up to 1",
        lambda epsilon, classes: 1 - epsilon,
        lambda epsilon, classes: epsilon / classes,
    ),
    (
        "ε is spread over the other classes only; ε/classes goes to every class, the label "
        "included",
        lambda epsilon, classes: 1 - epsilon,
        lambda epsilon, classes: epsilon / (classes - 1),
    ),
    (
        "every class gets ε; it is ε/classes (so ε goes with the mean of log p over the classes, "
        "not with the sum)",
        lambda epsilon, classes: 1.0,
        lambda epsilon, classes: epsilon,
    ),
    (
        "the others get nothing: ε is taken from the label, and ε/classes belongs to every class",
        lambda epsilon, classes: 1 - epsilon,
        lambda epsilon, classes: 0.0,
    ),
)
"""What is wrong, and the targets of the label and of the others, of ε and the number of classes."""


def _cross_entropy(a: Arguments, targets: Array) -> float:
    return float(-np.sum(targets * log_softmax(a["logits"])) / len(targets))


def _naive_loss(a: Arguments, tiny: float = 0.0, stable: bool = False) -> float:
    p = functional.softmax(a["logits"]) if stable else naive_softmax(a["logits"])
    return float(-np.sum(_targets(a) * np.log(p + tiny)) / len(p))


def _loss_mistake(meaning: str, formula: Callable[[Arguments], float]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"loss": formula(a)})


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
            lambda a, _: {"loss": -np.sum(_targets(a) * log_softmax(a["logits"]), axis=1)},
        ),
        *(
            _loss_mistake(
                meaning,
                lambda a, targets=targets: _cross_entropy(  # type: ignore[misc]
                    a, _other_targets(a, *targets)
                ),
            )
            for meaning, *targets in WRONG_TARGETS
        ),
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


def _subtracted_in_columns(p: Array, a: Arguments) -> Array:
    wrong = p - a["label_smoothing"] / p.shape[1]
    wrong[:, a["labels"]] -= 1 - a["label_smoothing"]
    return wrong


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
            "that is p alone: subtract the targets", lambda p, a: p
        ),
        _gradient_mistake(
            "p - t is multiplied by p(1 - p): that is the slope of a squared error; for "
            "cross-entropy it cancels out",
            lambda p, a: (p - _targets(a)) * p * (1 - p),
        ),
        *(
            _gradient_mistake(
                meaning,
                lambda p, a, targets=targets: p - _other_targets(a, *targets),  # type: ignore[misc]
            )
            for meaning, *targets in WRONG_TARGETS
        ),
        _gradient_mistake(
            "the label's share is subtracted at the largest logit; it belongs to the label",
            lambda p, a: p - _targets(a | {"labels": a["logits"].argmax(axis=1)}),
        ),
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
            "the label's share is subtracted in whole columns (p[:, labels] -= …): index pairs, "
            "p[np.arange(N), labels]",
            _subtracted_in_columns,
        ),
        _gradient_mistake(
            OVERFLOW, lambda p, a: naive_softmax(a["logits"]) - _targets(a)
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


EXERCISES = (softmax_cross_entropy_forward, softmax_cross_entropy_backward)
