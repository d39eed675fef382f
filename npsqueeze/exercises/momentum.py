"""Exercise of notebook 10: a step of gradient descent with momentum."""

from collections.abc import Callable
from itertools import product

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays
from npsqueeze.module import Parameter
from npsqueeze.optim import SGD

NOTEBOOK = "10_optimisation.ipynb"
Step = Callable[[Array, Array, Array, float, float, bool, float], tuple[Array, Array]]


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(20)
    cases: list[Arguments] = []
    for decay, nesterov, first in product((0.0, 0.3), (False, True), (False, True)):
        shape = (4,) if first else (2, 3)
        cases.append(
            {
                "w": draw.normal(size=shape),
                "dw": draw.normal(size=shape),
                "v": np.zeros(shape) if first else draw.normal(size=shape),
                "lr": 0.05 if first else 0.2,
                "momentum": 0.7 if nesterov else 0.9,
                "nesterov": nesterov,
                "weight_decay": decay,
            }
        )
    return cases


def _answer(
    w: Array,
    dw: Array,
    v: Array,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> tuple[Array, Array]:
    """Let the library's optimiser take the step."""
    parameter = Parameter(w.copy())
    parameter.grad[...] = dw
    optimizer = SGD([parameter], lr, momentum, nesterov, weight_decay)
    optimizer.load_state_dict({"velocity.0": v})
    optimizer.step()
    return parameter.data, optimizer.state_dict()["velocity.0"]


def _mistake(meaning: str, step: Step) -> Mistake:
    """Return the mistake of a step that leads to another w, another v, or both."""
    return Mistake(meaning, lambda a, _: dict(zip(("w", "v"), step(*a.values()), strict=True)))


def _step(w: Array, g: Array, v: Array, lr: float, momentum: float, nesterov: bool) -> Array:
    """Return the new w, given the velocity v that has taken up the gradient g."""
    return w - lr * (g + momentum * v if nesterov else v)


def _with_gradient(gradient: Callable[[Array, Array, float], Array]) -> Step:
    """Return the right step for another gradient, a function of (w, dw, weight_decay)."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        g = gradient(w, dw, decay)
        v = momentum * v + g
        return _step(w, g, v, lr, momentum, nesterov), v

    return step


def _with_velocity(velocity: Callable[[Array, Array, float], Array]) -> Step:
    """Return the right step for another velocity, a function of (v, g, momentum)."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        g = dw + decay * w
        v = velocity(v, g, momentum)
        return _step(w, g, v, lr, momentum, nesterov), v

    return step


def _with_move(move: Callable[[Array, Array, Array, float, bool], Array]) -> Step:
    """Return a right velocity and another move of w, of (g, new v, old v, momentum, nesterov)."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        g = dw + decay * w
        new = momentum * v + g
        return w - lr * move(g, new, v, momentum, nesterov), new

    return step


def _raw_look_ahead(
    w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
) -> tuple[Array, Array]:
    """Return the step whose velocity has the decay in it, and whose look-ahead has not."""
    v = momentum * v + dw + decay * w
    return _step(w, dw, v, lr, momentum, nesterov), v


def _returning(velocity: Callable[[Array, Array, Array, float, float, bool], Array]) -> Step:
    """Return the right w with another v, a function of (new v, old v, g, lr, momentum, …)."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        g = dw + decay * w
        new = momentum * v + g
        return (
            _step(w, g, new, lr, momentum, nesterov),
            velocity(new, v, g, lr, momentum, nesterov),
        )

    return step


def _rate_inside(sign: float) -> Step:
    """Return the step whose velocity is a displacement: the learning rate is in it."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        g = dw + decay * w
        v = momentum * v + sign * lr * g
        return w - sign * (sign * lr * g + momentum * v if nesterov else v), v

    return step


def _decay_apart(after: bool) -> Step:
    """Return the step whose decay acts on w alone, before or after the step of the gradient."""

    def step(
        w: Array, dw: Array, v: Array, lr: float, momentum: float, nesterov: bool, decay: float
    ) -> tuple[Array, Array]:
        v = momentum * v + dw
        moved = _step(w, dw, v, lr, momentum, nesterov)
        return moved - lr * decay * (moved if after else w), v

    return step


RATE_INSIDE = (
    "the learning rate is inside the velocity; here, as in PyTorch, v collects gradients alone, "
    "and lr multiplies the step"
)
DECAY_APART = (
    "the decay acts on w alone; here it is part of the gradient, g = dw + weight_decay·w, and so "
    "goes into the velocity too"
)

sgd_momentum_step = Exercise(
    name="sgd_momentum_step",
    notebook=NOTEBOOK,
    solution=SGD.step,
    answer=_answer,
    cases=_cases(),
    read=arrays("w", "v"),
    traits=(
        Trait("Nesterov's momentum", "plain momentum", lambda a: a["nesterov"]),
        Trait("a weight decay", "none", lambda a: a["weight_decay"] > 0),
        Trait("a velocity at work", "a first step (v = 0)", lambda a: a["v"].any()),
    ),
    mistakes=(
        _mistake(
            "momentum 0 is taken: the velocity, momentum·v + g, is what the step goes along",
            _with_move(lambda g, new, old, momentum, nesterov: g),
        ),
        _mistake(
            "the gradient is damped by (1 - momentum): that is a running mean; here v is a sum, "
            "v = momentum·v + g",
            _with_velocity(lambda v, g, momentum: momentum * v + (1 - momentum) * g),
        ),
        _mistake(
            "momentum multiplies the new gradient too: v = momentum·v + g",
            _with_velocity(lambda v, g, momentum: momentum * (v + g)),
        ),
        _mistake(
            "the old velocity does not fade: v = momentum·v + g",
            _with_velocity(lambda v, g, momentum: v + g),
        ),
        _mistake(
            "the old velocity is forgotten: v = momentum·v + g",
            _with_velocity(lambda v, g, momentum: g),
        ),
        _mistake(RATE_INSIDE, _rate_inside(1.0)),
        _mistake(RATE_INSIDE, _rate_inside(-1.0)),
        _mistake(
            "the sign of the step is wrong: downhill is against the gradient",
            _with_move(lambda g, new, old, m, nesterov: -(g + m * new if nesterov else new)),
        ),
        _mistake(
            "Nesterov's look-ahead is missing: with nesterov the step goes along "
            "g + momentum·v, with the new v (with the old one, that is plain momentum again)",
            _with_move(lambda g, new, old, m, nesterov: new),
        ),
        _mistake(
            "the look-ahead is taken without being asked for: only with nesterov does the step go "
            "along g + momentum·v",
            _with_move(lambda g, new, old, m, nesterov: g + m * new),
        ),
        _mistake(
            "Nesterov's look-ahead adds the whole velocity: g + momentum·v, not g + v",
            _with_move(lambda g, new, old, m, nesterov: g + new if nesterov else new),
        ),
        _mistake(
            "Nesterov's look-ahead counts the gradient twice over: g + momentum·v, not v + "
            "momentum·v",
            _with_move(lambda g, new, old, m, nesterov: new + m * new if nesterov else new),
        ),
        _mistake(
            "with nesterov the step adds v once too often: g + momentum·v comes in place of v",
            _with_move(lambda g, new, old, m, nesterov: nesterov * (g + m * new) + new),
        ),
        _mistake(
            "the look-ahead uses dw, without the decay; it takes g = dw + weight_decay·w",
            _raw_look_ahead,
        ),
        _mistake(
            "the step goes along the old velocity: update v first, and use the new one",
            _with_move(lambda g, new, old, m, nesterov: g + m * old if nesterov else old),
        ),
        _mistake(
            "the weight decay is forgotten: g = dw + weight_decay·w",
            _with_gradient(lambda w, dw, decay: dw),
        ),
        _mistake(DECAY_APART, _decay_apart(after=False)),
        _mistake(DECAY_APART, _decay_apart(after=True)),
        _mistake(
            "the sign of the weight decay is wrong: it pulls w towards 0, g = dw + weight_decay·w",
            _with_gradient(lambda w, dw, decay: dw - decay * w),
        ),
        _mistake(
            "the weight decay is added without w: g = dw + weight_decay·w",
            _with_gradient(lambda w, dw, decay: dw + decay),
        ),
        _mistake(
            "the weight decay counts twice: the penalty is ½·weight_decay·w², its slope "
            "weight_decay·w",
            _with_gradient(lambda w, dw, decay: dw + 2 * decay * w),
        ),
        _mistake(
            "the old velocity is returned: the next step needs the new one",
            _returning(lambda new, old, g, lr, m, nesterov: old),
        ),
        _mistake(
            "what is returned is the step, lr·v: the next step needs v itself",
            _returning(lambda new, old, g, lr, m, nesterov: lr * new),
        ),
        _mistake(
            "the look-ahead g + momentum·v is returned in place of v: only the step needs it",
            _returning(lambda new, old, g, lr, m, nesterov: g + m * new if nesterov else new),
        ),
    ),
    hints=(
        "Three lines: the gradient with its decay, g = dw + weight_decay·w; the velocity, "
        "v = momentum·v + g; the step.",
        "The step is w - lr·v, or with nesterov w - lr·(g + momentum·v), with the new v in both.",
        "`v *= momentum` changes the caller's array: `v = momentum * v + g` makes a new one.",
    ),
)

EXERCISES = (sgd_momentum_step,)
