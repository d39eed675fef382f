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
    """Return the metaparameters of the `squeezenet` whose state has these names and shapes.

    If there is none, they are those of the closest one: `check_state` then names what differs.

    What names and shapes cannot tell is as in the version with this first convolution: its stride,
    the final ReLU, a pooling after the last Fire module; a simple bypass is not seen, either. "1.1"
    and "cifar" differ in nothing else: it is "cifar" for pictures of up to 64 pixels or, where
    their size is unknown, for ten classes.

    Parameters
    ----------
    shapes : mapping of our names to shapes
    size : int, optional
        Height and width of the pictures, if known.

    Raises
    ------
    ValueError
        If the first or the last layer is missing, or is none of a SqueezeNet.
    """
    stem = _shape(shapes, "features.0.weight", (4,))
    head = _shape(shapes, "classifier.1.weight", (2, 4))
    version = _version(stem, head[0], size)
    inferred = {
        "version": version,
        "seed": 0,
        "num_classes": head[0],
        "batch_norm": "features.0_norm.weight" in shapes,
        "bypass": "complex" if any(".bypass." in name for name in shapes) else "none",
        "head": "linear" if len(head) == 2 else "conv",
    }
    fires = _fire_modules(shapes)
    if len(fires) == FIRE_MODULES:
        squeeze = [_filters(shapes, f"features.{index}.squeeze.weight") for index in fires]
        expand = [_expand_filters(shapes, index) for index in fires]
        totals = [sum(branches.values()) for branches in expand]
        inferred |= _pooling(fires)
        if min(squeeze) > 0 and min(totals) > 0:
            inferred |= _channels(version, stem[0], totals)
            inferred |= _shares(totals, expand)
            inferred |= _factor("squeeze_ratio", zip(totals, squeeze, strict=True), 1 / 8)
    return complete(inferred)


def _shape(shapes: Mapping[str, Shape], name: str, ranks: tuple[int, ...]) -> Shape:
    """Return the shape of an array that must be there, with so many dimensions and not empty."""
    shape = shapes.get(name)
    if shape is None:
        raise ValueError(f"{name}: expected among the weights, and is missing")
    if len(shape) not in ranks or min(shape) < 1:
        raise ValueError(f"{name}: expected {ranks[-1]} dimensions, none of them 0, got {shape}")
    return shape


def _version(stem: Shape, classes: int, size: int | None) -> str:
    kernel_size = stem[2:]
    if kernel_size == (7, 7):
        return "1.0"
    if kernel_size != (3, 3):
        raise ValueError(f"features.0.weight: expected filters of 7x7 or 3x3, got shape {stem}")
    is_small = classes == CIFAR_CLASSES if size is None else size <= LARGEST_CIFAR_PICTURE
    return "cifar" if is_small else "1.1"


def _fire_modules(shapes: Iterable[str]) -> list[int]:
    """Return the numbers of the Fire modules in `features`."""
    found = (re.fullmatch(r"features\.(\d{1,3})\.squeeze\.weight", name) for name in shapes)
    return sorted(int(match[1]) for match in found if match)


def _filters(shapes: Mapping[str, Shape], name: str) -> int:
    return shapes[name][0] if shapes[name] else 0


def _expand_filters(shapes: Mapping[str, Shape], index: int) -> dict[int, int]:
    """Return the expand filters of a Fire module by kernel size."""
    pattern = rf"features\.{index}\.expand(\d{{1,3}})x\1\.weight"
    found = (re.fullmatch(pattern, name) for name in shapes)
    return {int(match[1]): _filters(shapes, match[0]) for match in found if match}


def _pooling(fires: list[int]) -> dict[str, Any]:
    """Return the units that a pooling follows: there the numbers leave out one."""
    pools = [0, *(index - unit for unit, index in enumerate(fires, 2))]
    steps = [after - before for before, after in pairwise(pools)]
    if not set(steps) <= {0, 1}:
        return {}
    return {"pool_after": tuple(unit for unit, step in enumerate(steps, 1) if step)}


def _channels(version: str, stem: int, totals: list[int]) -> dict[str, Any]:
    """Return what gives the first convolution and the Fire modules so many filters.

    It is the version's network, wider or narrower; or else one of its own, of width 1.
    """
    usual = VERSIONS[version]
    channels, *rest = usual["stem"]
    planned = _planned(usual["base_e"], usual["incr_e"], usual["freq"])
    width = _factor("width", zip([channels, *planned], [stem, *totals], strict=True), 1.0)
    if width:
        return width
    base = totals[0]
    freq = next((i for i, total in enumerate(totals) if total != base), FIRE_MODULES)
    increment = totals[freq] - base if freq < FIRE_MODULES else 0
    if increment < 0 or _planned(base, increment, freq) != totals:
        return {}
    return {"stem": (stem, *rest), "base_e": base, "incr_e": increment, "freq": freq}


def _planned(base: int, increment: int, freq: int) -> list[int]:
    return [base + increment * (i // freq) for i in range(FIRE_MODULES)]


def _shares(totals: list[int], expand: list[dict[int, int]]) -> dict[str, Any]:
    """Return which share of the expand filters each kernel size has; the last has the rest."""
    sizes = sorted(expand[0])
    if any(sorted(branches) != sizes for branches in expand):
        return {}
    shares: dict[int, float] = {}
    for size in sizes[:-1]:
        counts = [branches[size] for branches in expand]
        share = _factor("share", zip(totals, counts, strict=True), 0.5)
        if not share:
            return {}
        shares[size] = share["share"]
    rest = 1 - sum(shares.values())
    is_sound = rest >= 0 and all(size % 2 for size in sizes)
    return {"expand": shares | {sizes[-1]: rest}} if is_sound else {}


def _factor(name: str, pairs: Iterable[tuple[int, int]], usual: float) -> dict[str, float]:
    """Return under its name a factor f with max(1, round(f·n)) = m for every pair (n, m).

    It is the `usual` one if that fits, else the fraction with the smallest denominator; nothing if
    there is none.
    """
    pairs = list(pairs)
    low = max(Fraction(2 * m - 1, 2 * n) if m > 1 else Fraction(0) for n, m in pairs)
    high = min(Fraction(2 * m + 1, 2 * n) for n, m in pairs)
    if all(max(1, round(usual * n)) == m for n, m in pairs):
        return {name: usual}
    if low > high:
        return {}
    margin = (high - low) / 1000  # at the very ends rounding goes either way
    return {name: float(_simplest(low + margin, high - margin))}


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction with the smallest denominator in [low, high], by continued fractions."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    return whole - 1 + 1 / _simplest(1 / (high - whole + 1), 1 / (low - whole + 1))
