"""The metaparameters of SqueezeNet: those of each version, what each may be, what follows."""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from npsqueeze.functional.fire import BYPASSES
from npsqueeze.init import SCHEMES

FIRE_MODULES = 8

_VERSION_1_0: dict[str, Any] = {
    "batch_norm": False,
    "bypass": "none",
    "head": "conv",
    "final_relu": True,
    "dropout": 0.5,
    "stem": (96, 7, 2, 0),
    "pool_after": (1, 4, 8),
    "base_e": 128,
    "incr_e": 128,
    "freq": 2,
    "squeeze_ratio": 0.125,
    "expand": {1: 0.5, 3: 0.5},
    "width": 1.0,
    "init": "he",  # ours, not the paper's
}
VERSIONS: dict[str, dict[str, Any]] = {
    "1.0": _VERSION_1_0,
    "1.1": _VERSION_1_0 | {"stem": (64, 3, 2, 0), "pool_after": (1, 3, 5)},
    "cifar": _VERSION_1_0 | {"stem": (64, 3, 1, 1), "pool_after": (1, 3, 5), "final_relu": False},
}


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """Return all metaparameters: those given, and for the others those of the version.

    They come in plain Python types, whatever NumPy numbers were given, so that JSON can hold them.

    Raises
    ------
    ValueError
        If a metaparameter is not as `npsqueeze.squeezenet` states.
    """
    version = _checked("version", given.get("version"))
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    config = {"seed": seed} | VERSIONS[version] | given
    config = {name: _checked(name, config.get(name)) for name in RULES}
    if config["head"] == "linear":
        if given.get("final_relu"):
            raise ValueError("final_relu: expected False for this head, got True")
        config["final_relu"] = False
    for i in range(FIRE_MODULES):
        _, expand = fire_channels(config, i)
        if min(expand.values()) < 1:
            raise ValueError(
                "expand: expected at least one filter of each kernel size, got none of one in Fire "
                f"module {i} with {sum(expand.values())} filters: larger shares, or a larger width"
            )
    return config


def fire_channels(config: Mapping[str, Any], i: int) -> tuple[int, dict[int, int]]:
    """Return the squeeze filters, and the expand filters by kernel size, of Fire module i.

    e_i = base_e + incr_e·floor(i/freq), s_i = squeeze_ratio·e_i (section 5.1 of the paper). The
    last kernel size takes what rounding leaves, so that the branches always add up to e_i.

    Derived in tutorials/08_squeezenet.ipynb.
    """
    total = scaled(config["base_e"] + config["incr_e"] * (i // config["freq"]), config)
    sizes = sorted(size for size, share in config["expand"].items() if share > 0)
    counts = [round(config["expand"][size] * total) for size in sizes[:-1]]
    expand = dict(zip(sizes, [*counts, total - sum(counts)], strict=True))
    return max(1, round(config["squeeze_ratio"] * total)), expand


def fire_index(i: int, pool_after: Iterable[int]) -> int:
    """Return the number of Fire module i in `features`, as torchvision counts them.

    Each unit takes one number (the stem two, with its ReLU), and so does each pooling layer.
    """
    unit = i + 2
    return unit + sum(place < unit for place in set(pool_after))


def scaled(channels: int, config: Mapping[str, Any]) -> int:
    """Return `channels` times the width, and at least one."""
    return max(1, round(channels * config["width"]))


class Rule(NamedTuple):
    """What a metaparameter may be: in words, how it becomes a plain type, and which values hold."""

    expected: str
    convert: Callable[[Any], Any]
    holds: Callable[[Any], bool]


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def _integers(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(map(_integer, values))


def _number(value: Any) -> float:
    if not isinstance(value, Real):  # float() would read a string
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool):
        raise TypeError
    return bool(value)


def _shares(expand: Mapping[Any, Any]) -> dict[int, float]:
    """Return the shares by kernel size, of which JSON makes strings."""
    return {
        int(size) if isinstance(size, str) else _integer(size): _number(share)
        for size, share in dict(expand).items()
    }


def _at_least(least: int) -> Rule:
    return Rule(f"an int of at least {least}", _integer, lambda number: number >= least)


def _one_of(choices: Collection[str]) -> Rule:
    return Rule(f"one of {', '.join(choices)}", str, lambda choice: choice in choices)


SWITCH = Rule("True or False", _flag, lambda _: True)
RULES = {
    "version": _one_of(VERSIONS),
    "num_classes": _at_least(1),
    "seed": _at_least(0),
    "batch_norm": SWITCH,
    "bypass": _one_of(BYPASSES),
    "head": _one_of(("conv", "linear")),
    "final_relu": SWITCH,
    "dropout": Rule("a probability in [0, 1)", _number, lambda p: 0 <= p < 1),
    "stem": Rule(
        "four ints (channels, kernel_size, stride, padding)",
        _integers,
        lambda stem: len(stem) == 4 and min(stem[:3]) > 0 and stem[3] >= 0,
    ),
    "pool_after": Rule(
        f"units from 1 to {FIRE_MODULES + 1}",
        _integers,
        lambda units: all(1 <= unit <= FIRE_MODULES + 1 for unit in units),
    ),
    "base_e": _at_least(1),
    "incr_e": _at_least(0),
    "freq": _at_least(1),
    "squeeze_ratio": Rule("a share in (0, 1]", _number, lambda share: 0 < share <= 1),
    "expand": Rule(
        "shares for odd kernel sizes that add up to 1",
        _shares,
        lambda shares: (
            all(size > 0 and size % 2 == 1 and share >= 0 for size, share in shares.items())
            and abs(sum(shares.values()) - 1) < 1e-9
        ),
    ),
    "width": Rule("a finite factor above 0", _number, lambda factor: 0 < factor < np.inf),
    "init": _one_of(SCHEMES),
}


def _checked(name: str, value: Any) -> Any:
    """Return `value` in its plain type."""
    rule = RULES[name]
    with suppress(TypeError, ValueError, OverflowError):
        plain = rule.convert(value)
        if rule.holds(plain):
            return plain
    raise ValueError(f"{name}: expected {rule.expected}, got {value!r}")
