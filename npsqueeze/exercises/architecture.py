"""Exercise of notebook 08: the metaparameters of SqueezeNet."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Results, Trait, Trouble
from npsqueeze.metaparameters import fire_channels as library_fire_channels
from npsqueeze.metaparameters import scaled

PAPER = {
    "base_e": 128,
    "incr_e": 128,
    "freq": 2,
    "squeeze_ratio": 0.125,
    "expand": {1: 0.5, 3: 0.5},
    "width": 1.0,
}
CASES: list[Arguments] = [
    *({"config": PAPER, "i": i} for i in (0, 1, 2, 7)),
    {"config": PAPER | {"squeeze_ratio": 0.5, "expand": {1: 0.25, 3: 0.75}}, "i": 3},
    {"config": PAPER | {"freq": 3, "base_e": 64, "incr_e": 32}, "i": 5},
    {"config": PAPER | {"expand": {1: 0.5, 3: 0.25, 5: 0.25}}, "i": 4},
    *({"config": PAPER | {"width": width}, "i": 6} for width in (0.37, 0.38)),
    {"config": PAPER | {"base_e": 10, "expand": {1: 0.33, 3: 0.33, 5: 0.34}}, "i": 0},
    {"config": PAPER | {"expand": {1: 0.0, 3: 1.0}}, "i": 1},
    {"config": PAPER | {"base_e": 4, "squeeze_ratio": 0.1}, "i": 0},
]


def _read(value: Any, arguments: Arguments) -> Results:
    expected = "expected (squeeze filters, {kernel size: expand filters})"
    if value is None:
        raise Trouble(
            f"it returned None: is the function finished, and is there a return? {expected}"
        )
    if not isinstance(value, tuple | list) or len(value) != 2 or not isinstance(value[1], Mapping):
        raise Trouble(f"it returned {value!r}; {expected}")
    squeeze, expand = value
    numbers = [squeeze, *expand, *expand.values()]
    if not all(isinstance(n, int | np.integer) for n in numbers):
        raise Trouble(f"it returned {value!r}: a number of filters is an int")
    table = np.array(sorted(expand.items()), float).reshape(-1, 2)
    return {"squeeze": np.array(float(squeeze)), "expand (size, filters)": table}


def _mistake(meaning: str, wrong: Callable[[Mapping[str, Any], int], Any]) -> Mistake:
    return Mistake(meaning, lambda a, _: _read(wrong(a["config"], a["i"]), a))


def _total(config: Mapping[str, Any], i: int) -> int:
    return scaled(config["base_e"] + config["incr_e"] * (i // config["freq"]), config)


def _squeeze_mistake(meaning: str, wrong: Callable[[Mapping[str, Any], int], float]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"squeeze": wrong(a["config"], a["i"])})


def _rounded_down(a: Arguments, squeeze_too: bool) -> Results:
    """Return the filters whose total, or that and the squeeze filters, are cut to an int."""
    config, i = a["config"], a["i"]
    exact = config["width"] * (config["base_e"] + config["incr_e"] * (i // config["freq"]))
    total = max(1, math.floor(exact))
    squeeze, expand = library_fire_channels(
        config | {"base_e": total, "incr_e": 0, "width": 1.0}, i
    )
    if squeeze_too:
        squeeze = max(1, math.floor(config["squeeze_ratio"] * total))
    return _read((squeeze, expand), a)


ROUNDED_DOWN = "rounded down (by int or //); round to the nearest, and to at least 1"

fire_channels = Exercise(
    name="fire_channels",
    notebook="08_squeezenet.ipynb",
    solution=library_fire_channels,
    answer=library_fire_channels,
    cases=CASES,
    read=_read,
    traits=(
        Trait("a width other than 1", "width 1", lambda a: a["config"]["width"] != 1),
        Trait("three kernel sizes", "two kernel sizes", lambda a: len(a["config"]["expand"]) > 2),
        Trait("a share of 0", "shares above 0", lambda a: 0 in a["config"]["expand"].values()),
    ),
    mistakes=(
        _mistake(
            "i/freq must be rounded down: modules come in groups of freq, with equal filters",
            lambda c, i: library_fire_channels(
                {**c} | {"base_e": round(c["base_e"] + c["incr_e"] * i / c["freq"]), "incr_e": 0}, i
            ),
        ),
        _mistake(
            "i counts from 0 here: the first module has base_e filters",
            lambda c, i: library_fire_channels(c, i + 1),
        ),
        _mistake(
            "the width is ignored", lambda c, i: library_fire_channels({**c} | {"width": 1.0}, i)
        ),
        _mistake(
            "incr_e is added for every module: it comes once in freq modules",
            lambda c, i: library_fire_channels({**c} | {"freq": 1}, i),
        ),
        Mistake(
            "a kernel size whose share is 0 has no branch: leave it out",
            lambda a, right: _with_empty_branches(a, right),
        ),
        _mistake(
            "the squeeze filters are subtracted from the total; the expand branches get all of it",
            lambda c, i: _less_the_squeeze(c, i),
        ),
        _mistake(
            "the first kernel size takes what is left; it is the last one that does",
            lambda c, i: _first_takes_the_rest(c, i),
        ),
        Mistake(
            "each branch is rounded by itself, and together they are not e_i: the last one takes "
            "what is left",
            lambda a, _: {
                "expand (size, filters)": _rounded_each(a["config"], _total(a["config"], a["i"]))
            },
        ),
        Mistake(
            "the total is rounded down; round it to the nearest",
            lambda a, _: _rounded_down(a, squeeze_too=False),
        ),
        Mistake(ROUNDED_DOWN, lambda a, _: _rounded_down(a, squeeze_too=True)),
        *(
            _squeeze_mistake(
                "the squeeze ratio applies to all expand filters, e_i, not to one branch",
                lambda c, i, size=size: max(  # type: ignore[misc]
                    1, round(c["squeeze_ratio"] * library_fire_channels(c, i)[1][size])
                ),
            )
            for size in (1, 3)
        ),
        _squeeze_mistake(
            "the squeeze ratio applies to the filters after the width, not before",
            lambda c, i: max(1, round(c["squeeze_ratio"] * _total({**c} | {"width": 1.0}, i))),
        ),
        *(
            _squeeze_mistake(
                ROUNDED_DOWN,
                lambda c, i, least=least: max(  # type: ignore[misc]
                    least, math.floor(c["squeeze_ratio"] * _total(c, i))
                ),
            )
            for least in (0, 1)
        ),
        _squeeze_mistake(
            "at least one squeeze filter must remain",
            lambda c, i: round(c["squeeze_ratio"] * _total(c, i)),
        ),
    ),
    hints=(
        "e_i = base_e + incr_e·floor(i/freq), then times the width, rounded, at least 1.",
        "s_i = squeeze_ratio·e_i, rounded, at least 1.",
        "Share e_i out in ascending order of the kernel sizes, each rounded; the last takes what "
        "is left, so that they add up to e_i. A share of 0 makes no branch.",
    ),
)


def _with_empty_branches(a: Arguments, right: Results) -> Results:
    table = dict(right["expand (size, filters)"])
    shares = a["config"]["expand"]
    table |= {float(size): 0.0 for size, share in shares.items() if share == 0}
    return {"expand (size, filters)": np.array(sorted(table.items()))}


def _rounded_each(config: Mapping[str, Any], total: int) -> Any:
    shares = sorted(config["expand"].items())
    return np.array([(size, round(share * total)) for size, share in shares if share > 0], float)


def _less_the_squeeze(config: Mapping[str, Any], i: int) -> Any:
    squeeze, _ = library_fire_channels(config, i)
    rest = _total(config, i) - squeeze
    changed = {**config} | {"base_e": rest, "incr_e": 0, "width": 1.0}
    return squeeze, library_fire_channels(changed, i)[1]


def _first_takes_the_rest(config: Mapping[str, Any], i: int) -> Any:
    squeeze, expand = library_fire_channels(config, i)
    first, *others = expand
    wrong = {size: round(config["expand"][size] * _total(config, i)) for size in others}
    return squeeze, {first: _total(config, i) - sum(wrong.values())} | wrong


EXERCISES = (fire_channels,)
