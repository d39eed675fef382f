"""Which SqueezeNet weights belong to, by their names and shapes alone."""

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from npsqueeze.metaparameters import FIRE_MODULES, VERSIONS, complete
from npsqueeze.module import Shape

CIFAR_CLASSES = 10
LARGEST_CIFAR_PICTURE = 64


def infer_metaparameters(shapes: Mapping[str, Shape], size: int | None = None) -> dict[str, Any]:
    """Return the metaparameters of a `squeezenet` that has a state with these names and shapes.

    What they cannot tell is as in the version with this first convolution: its stride, the final
    ReLU, the pooling after the last Fire module; a simple bypass is not seen, either. "1.1" and
    "cifar" differ in nothing else: it is "cifar" for pictures of up to 64 pixels or, where their
    size is unknown, for ten classes.

    Parameters
    ----------
    shapes : mapping of our names to shapes
    size : int, optional
        Height and width of the pictures, if known.

    Raises
    ------
    ValueError
        If no SqueezeNet has such a state; the message names what does not fit. What passes need
        not fit either: `check_state` compares every name and shape.
    """
    filters, _, height, width = _shape(shapes, "features.0.weight", (4,))
    classes = _shape(shapes, "classifier.1.weight", (2, 4))
    if (height, width) == (7, 7):
        version = "1.0"
    elif (height, width) == (3, 3):
        small = classes[0] == CIFAR_CLASSES if size is None else size <= LARGEST_CIFAR_PICTURE
        version = "cifar" if small else "1.1"
    else:
        raise ValueError(f"features.0.weight: expected filters of 7x7 or 3x3, got {height}x{width}")
    fires = _fire_modules(shapes)
    squeeze = [_shape(shapes, f"features.{index}.squeeze.weight", (4,))[0] for index in fires]
    expand = [_expand_filters(shapes, index) for index in fires]
    totals = [sum(branches.values()) for branches in expand]
    given = {
        "version": version,
        "seed": 0,
        "num_classes": classes[0],
        "batch_norm": "features.0_norm.weight" in shapes,
        "bypass": "complex" if any(".bypass." in name for name in shapes) else "none",
        "head": "linear" if len(classes) == 2 else "conv",
        "pool_after": _pooled_units(fires),
        "squeeze_ratio": _factor("squeeze", zip(totals, squeeze, strict=True), 1 / 8),
        "expand": _shares(totals, expand),
    }
    return complete(given | _channels(version, filters, totals))


def _shape(shapes: Mapping[str, Shape], name: str, ranks: tuple[int, ...]) -> Shape:
    """Return the shape of an array that must be there, with so many dimensions and not empty."""
    shape = shapes.get(name)
    if shape is None:
        raise ValueError(f"{name}: expected among the weights, and is missing")
    if len(shape) not in ranks or min(shape) < 1:
        raise ValueError(f"{name}: expected {ranks[-1]} dimensions, none of them 0, got {shape}")
    return shape


def _fire_modules(shapes: Iterable[str]) -> list[int]:
    """Return the numbers of the Fire modules in `features`."""
    found = (re.fullmatch(r"features\.(\d{1,3})\.squeeze\.weight", name) for name in shapes)
    fires = sorted(int(match[1]) for match in found if match)
    if len(fires) != FIRE_MODULES:
        raise ValueError(
            f"features.*.squeeze.weight: expected {FIRE_MODULES} Fire modules, got {len(fires)}"
        )
    return fires


def _pooled_units(fires: list[int]) -> tuple[int, ...]:
    """Return the units that a pooling follows: there the numbers leave out one."""
    pools = [0, *(index - unit for unit, index in enumerate(fires, 2))]
    steps = [after - before for before, after in pairwise(pools)]
    if not set(steps) <= {0, 1}:
        raise ValueError(
            f"features.*.squeeze.weight: expected each Fire module one or two numbers after the "
            f"last, from 2 or 3 on, got {fires}"
        )
    return tuple(unit for unit, step in enumerate(steps, 1) if step)


def _expand_filters(shapes: Mapping[str, Shape], index: int) -> dict[int, int]:
    """Return the expand filters of a Fire module by kernel size."""
    pattern = rf"features\.{index}\.expand(\d{{1,3}})x\1\.weight"
    found = [match for match in (re.fullmatch(pattern, name) for name in shapes) if match]
    if not found:
        raise ValueError(f"features.{index}: expected expand filters, got none")
    return {int(match[1]): _shape(shapes, match[0], (4,))[0] for match in found}


def _channels(version: str, stem: int, totals: list[int]) -> dict[str, Any]:
    """Return the metaparameters of a first convolution and Fire modules with so many filters.

    It is the version's, made wider or narrower; or else its own, of width 1.
    """
    usual = VERSIONS[version]
    channels, *rest = usual["stem"]
    base, increment, freq = (usual[name] for name in ("base_e", "incr_e", "freq"))
    planned = [base + increment * (i // freq) for i in range(FIRE_MODULES)]
    try:
        return {
            "width": _factor("width", zip([channels, *planned], [stem, *totals], strict=True), 1.0)
        }
    except ValueError:
        base = totals[0]
        freq = next((i for i, total in enumerate(totals) if total != base), FIRE_MODULES)
        increment = totals[freq] - base if freq < FIRE_MODULES else 0
        return {"stem": (stem, *rest), "base_e": base, "incr_e": increment, "freq": freq}


def _shares(totals: list[int], expand: list[dict[int, int]]) -> dict[int, float]:
    """Return which share of the expand filters each kernel size has; the last has the rest."""
    sizes = sorted(expand[0])
    for branches in expand:
        if sorted(branches) != sizes:
            raise ValueError(
                f"expand: expected kernel sizes {sizes} in every Fire module, got "
                f"{sorted(branches)} in one"
            )
    shares = {
        size: _factor("expand", ((n, e[size]) for n, e in zip(totals, expand, strict=True)), 0.5)
        for size in sizes[:-1]
    }
    return shares | {sizes[-1]: 1 - sum(shares.values())}


def _factor(name: str, pairs: Iterable[tuple[int, int]], usual: float) -> float:
    """Return a factor f with max(1, round(f·n)) = m for every pair (n, m).

    The `usual` one if it does, else the fraction with the smallest denominator.
    """
    pairs = list(pairs)
    low = max(Fraction(2 * m - 1, 2 * n) if m > 1 else Fraction(0) for n, m in pairs)
    high = min(Fraction(2 * m + 1, 2 * n) for n, m in pairs)
    if low > high:
        found = ", ".join(f"{m} of {n}" for n, m in dict.fromkeys(pairs))
        raise ValueError(f"{name}: expected one factor for all Fire modules, got {found} filters")
    if low <= usual <= high:
        return usual
    margin = (high - low) / 1000  # at the very ends rounding goes either way
    return float(_simplest(low + margin, high - margin))


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction with the smallest denominator in [low, high], by continued fractions."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    return whole - 1 + 1 / _simplest(1 / (high - whole + 1), 1 / (low - whole + 1))
