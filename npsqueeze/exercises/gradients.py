"""Exercise of notebook 06: a gradient check, checked with right and with wrong gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze.arrays import Array
from npsqueeze.errors import GradientError
from npsqueeze.exercises.exercise import (
    Arguments,
    Exercise,
    Mistake,
    Results,
    Trait,
    Trouble,
    describe,
)
from npsqueeze.gradient_check import gradcheck as library_gradcheck

Pair = tuple[str, Callable[..., Any], Callable[..., Any], tuple[Array, ...], bool]


def _linear_pairs() -> list[Pair]:
    """Return (what it is, forward, backward, inputs, whether it is right) of linear layers."""
    draw = np.random.default_rng(18)
    inputs = draw.normal(size=(4, 3)), draw.normal(size=(2, 3)), draw.normal(size=2)

    def changed(change: Callable[[Array, Array, Array], Any]) -> Callable[..., Any]:
        return lambda dy, cache: change(*(np.array(d) for d in F.linear_backward(dy, cache)))

    def one_wrong(dx: Array, dw: Array, db: Array) -> tuple[Array, ...]:
        dw[1, 2] += 1e-3 * np.abs(dw).max()
        return dx, dw, db

    wrong = {
        "a wrong sign in dx": lambda dx, dw, db: (-dx, dw, db),
        "dw twice too large": lambda dx, dw, db: (dx, 2 * dw, db),
        "db N times too small": lambda dx, dw, db: (dx, dw, db / 4),
        "db all zero": lambda dx, dw, db: (dx, dw, 0 * db),
        "one element of dw off by 0.1 %": one_wrong,
        "NaN in dx": lambda dx, dw, db: (np.full_like(dx, np.nan), dw, db),
        "the last of three gradients wrong": lambda dx, dw, db: (dx, dw, db + 1),
        "no gradient of b, two instead of three": lambda dx, dw, db: (dx, dw),
        "dw transposed": lambda dx, dw, db: (dx, dw.T, db),
        "a db of shape (1, 2)": lambda dx, dw, db: (dx, dw, db[None]),
    }
    pairs: list[Pair] = [("a linear layer", F.linear_forward, F.linear_backward, inputs, True)]
    pairs += [
        (f"a linear layer with {what}", F.linear_forward, changed(change), inputs, False)
        for what, change in wrong.items()
    ]
    return pairs


def _other_pairs() -> list[Pair]:
    draw = np.random.default_rng(19)
    x = draw.normal(size=(3, 4))

    def scaled(factor: float) -> Pair:
        return (
            f"y = x³ at values of {factor:g}",
            lambda x: (x**3, x),
            lambda dy, x: dy * 3 * x**2,
            (factor * (1 + draw.random((2, 3))),),
            True,
        )

    def centred(x: Array) -> tuple[Array, None]:
        return x - x.mean(axis=1, keepdims=True), None

    return [
        scaled(1.0),
        scaled(1e3),
        scaled(1e-3),
        (
            "y = x³ with None for a gradient",
            lambda x: (x**3, x),
            lambda dy, x: None,
            (x,),
            False,
        ),
        (
            "one number, the sum of squares",
            lambda x: (np.sum(x**2), x),
            lambda dy, x: 2 * dy * x,
            (x,),
            True,
        ),
        (
            "y = x minus the mean of its row",
            centred,
            lambda dy, _: dy - dy.mean(axis=1, keepdims=True),
            (x,),
            True,
        ),
        (
            "y = x minus the mean of its row, with a dx that is right only if all dy are 1",
            centred,
            lambda dy, _: np.zeros_like(dy),
            (x,),
            False,
        ),
        (
            "y = x·A, with a dx that multiplies by A where it should by Aᵀ (right if all dy are "
            "equal and A has equal row and column sums)",
            lambda x: (x @ CIRCULANT, None),
            lambda dy, _: dy @ CIRCULANT,
            (x[:, :3],),
            False,
        ),
    ]


CIRCULANT = np.array([[1.0, 2.0, 5.0], [5.0, 1.0, 2.0], [2.0, 5.0, 1.0]])


class _Labelled:
    """A function with a name to be called by in messages."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__, self.function = name, function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __deepcopy__(self, _: Any) -> "_Labelled":
        return self


PAIRS = [*_linear_pairs(), *_other_pairs()]
RIGHT = {what for what, _, _, _, right in PAIRS if right}
CASES = [
    {
        "forward": _Labelled(what, forward),
        "backward": _Labelled("its backward pass", backward),
        "inputs": inputs,
    }
    for what, forward, backward, inputs, _ in sorted(PAIRS, key=lambda pair: not pair[-1])
]


def _what(a: Arguments) -> str:
    return str(a["forward"].__name__)


def _answer(forward: _Labelled, backward: Any, inputs: Any) -> bool:
    return forward.__name__ in RIGHT


def _read(value: Any, arguments: Arguments) -> Results:
    if value is None:
        raise Trouble(
            "it returned None: is the function finished? Return True (or a report) if every "
            "gradient is right; raise AssertionError, or return False, if one is wrong"
        )
    if isinstance(value, float | np.floating | np.ndarray):
        raise Trouble(f"it returned {describe(value)}: judge it yourself, and return True or False")
    return {"accepted": np.array(float(bool(value)))}


def _always(answer: float) -> Callable[[Arguments, Results], dict[str, float]]:
    return lambda a, _: {"accepted": answer}


def _misses(*words: str) -> Callable[[Arguments, Results], dict[str, Any]]:
    """Return the mistake of accepting all pairs in whose names one of the words occurs."""
    return lambda a, right: {
        "accepted": 1.0 if any(word in _what(a) for word in words) else right["accepted"]
    }


def _rejects(*endings: str) -> Callable[[Arguments, Results], dict[str, Any]]:
    """Return the mistake of rejecting all pairs whose names end like this."""
    return lambda a, right: {"accepted": 0.0 if _what(a).endswith(endings) else right["accepted"]}


ONES = ("right only if all dy are 1", "right if all dy are equal")

gradcheck = Exercise(
    name="gradcheck",
    notebook="06_checking_a_gradient.ipynb",
    solution=library_gradcheck,
    answer=_answer,
    cases=CASES,
    read=_read,
    rejections=(AssertionError, GradientError),
    traits=(
        Trait("large or small values", "values around 1", lambda a: not 0.1 <= _size(a) <= 10),
        Trait("wrong gradients", "right ones", lambda a: _what(a) not in RIGHT),
    ),
    mistakes=(
        Mistake("it accepts everything: does it ever compare?", _always(1.0)),
        Mistake(
            "it rejects everything, right gradients too: is the step too small (rounding), the "
            "tolerance too strict, or the loss not Σ dy·y?",
            _always(0.0),
        ),
        Mistake(
            "a dy of ones hides some mistakes: draw dy at random, and take Σ dy·y as the loss",
            _misses(*ONES),
        ),
        Mistake(
            "NaN compares false with everything, so `error > tolerance` lets it pass: ask for "
            "`not error <= tolerance`",
            _misses("NaN"),
        ),
        Mistake(
            "the sign is lost: compare a - n, not |a| - |n|", _misses("a wrong sign")
        ),
        Mistake(
            "only the first input is checked: each has a gradient",
            _misses("dw", "db", "last of three", "two instead"),
        ),
        Mistake(
            "only the first two inputs are checked: each has a gradient",
            _misses("db", "last of", "two instead"),
        ),
        Mistake(
            "a gradient too few goes unnoticed (zip stops at the shorter one): compare their "
            "number with that of the inputs",
            _misses("two instead"),
        ),
        Mistake("a gradient that is None goes unnoticed", _misses("None")),
        Mistake(
            "the gradients' shapes are not compared with those of the inputs, and broadcasting "
            "hides what is wrong with them",
            _misses("shape"),
        ),
        Mistake(
            "an error of one element is lost, by an average or a loose tolerance: take the worst "
            "element's relative error, with a tolerance such as 1e-5",
            _misses("one element"),
        ),
        Mistake(
            "an error is compared on an absolute scale: large right gradients fail; divide by "
            "max(|a|, |n|), and let the step grow with the value",
            lambda a, right: {"accepted": 0.0 if "1000" in _what(a) else right["accepted"]},
        ),
        *(
            Mistake(
                "right gradients of curved functions are rejected: take the difference of both "
                "sides, (L(x + h) - L(x - h))/2h, and a smaller h",
                _rejects("squares", *values),
            )
            for values in (("of 1", "of 0.001"), ("of 1", "of 0.001", "of 1000"))
        ),
        Mistake(
            "right gradients at small values fail: is the step larger than the value, or the "
            "tolerance absolute?",
            lambda a, right: {"accepted": 0.0 if "0.001" in _what(a) else right["accepted"]},
        ),
    ),
    hints=(
        "Draw a random dy of y's shape: the loss to differentiate is Σ dy·y, one number.",
        "Move one element of one input by +h and by -h, and divide the difference of the losses "
        "by 2h: h in proportion to the value, about 1e-5·|value|, and at least 1e-8.",
        "Compare each element with backward(dy, cache): |a - n| / max(|a|, |n|, a small number), "
        "and reject it where not error <= tolerance, for that catches NaN too.",
        "One input: backward returns an array. Several: a tuple, in their order. Check them all.",
    ),
)  # fmt: skip


def _size(a: Arguments) -> float:
    return float(10 ** np.round(np.log10(np.abs(a["inputs"][0]).max())))


EXERCISES = (gradcheck,)
