"""Exercises of notebook 07: concatenation and the Fire module."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npsqueeze import functional as F  # noqa: N812 (as PyTorch users write it)
from npsqueeze import reference
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import (
    Arguments,
    Exercise,
    Mistake,
    Results,
    Trait,
    Trouble,
    named,
    number_array,
)

NOTEBOOK = "07_fire.ipynb"
EXPAND_WEIGHT = re.compile(r"expand.*\.weight")


def _concat_cases() -> list[Arguments]:
    draw = np.random.default_rng(16)
    cases = []
    for n, channels, height, width in (
        (2, (2, 2), 3, 3), (2, (1, 3), 3, 4), (1, (3, 1, 2), 2, 5), (3, (4,), 2, 2),
    ):  # fmt: skip
        arrays = [draw.normal(size=(n, c, height, width)) for c in channels]
        cases.append({"dy": draw.normal(size=(n, sum(channels), height, width)), "arrays": arrays})
    return cases


def _read_parts(value: Any, arguments: Arguments) -> Results:
    names = [f"the gradient of arrays[{k}]" for k in range(len(arguments["arrays"]))]
    return named(names, value)


def _parts(parts: list[Array]) -> dict[str, Array]:
    return {f"the gradient of arrays[{k}]": part for k, part in enumerate(parts)}


def _split_wrongly(meaning: str, split: Callable[[Array, list[int]], list[Array]]) -> Mistake:
    """Return the mistake of another way to split dy, given the channels of each part."""

    def wrong(a: Arguments, _: Results) -> dict[str, Array]:
        return _parts(split(a["dy"], [x.shape[1] for x in a["arrays"]]))

    return Mistake(meaning, wrong)


def _split(dy: Array, channels: list[int]) -> list[Array]:
    return np.split(dy, np.cumsum(channels)[:-1], axis=1)


def _concat_loss(a: Arguments) -> tuple[Any, list[Array]]:
    return lambda *arrays: float(np.sum(a["dy"] * F.concat_forward(arrays)[0])), a["arrays"]


concat_backward = Exercise(
    name="concat_backward",
    notebook=NOTEBOOK,
    solution=F.concat_backward,
    answer=reference.concat_backward,
    cases=_concat_cases(),
    read=_read_parts,
    traits=(
        Trait("parts of different size", "parts of equal size",
              lambda a: len({x.shape[1] for x in a["arrays"]}) > 1),
        Trait("more than two arrays", "two arrays or fewer", lambda a: len(a["arrays"]) > 2),
        Trait("a batch of one", "a larger batch", lambda a: len(a["dy"]) == 1),
    ),
    cache=lambda a: F.concat_forward(a["arrays"])[1],
    function=_concat_loss,
    mistakes=(
        _split_wrongly(
            "dy is cut into equal parts; each array gets as many channels as it brought",
            lambda dy, channels: np.array_split(dy, len(channels), axis=1),
        ),
        _split_wrongly(
            "the parts come in the wrong order: the first channels belong to the first array",
            lambda dy, channels: _split(dy, channels[::-1])[::-1],
        ),
        _split_wrongly(
            "a part starts at the size of the one before; it starts where that ended, so add up: "
            "first += channels, not first = channels",
            lambda dy, channels: [
                dy[:, first : first + count]
                for first, count in zip([0, *channels], channels, strict=False)
            ],
        ),
        _split_wrongly(
            "every part starts at channel 0; each starts where the one before ended",
            lambda dy, channels: [dy[:, :count] for count in channels],
        ),
        *(
            _split_wrongly(
                "the sizes of the parts were taken for the places to cut; those are their running "
                "sums",
                lambda dy, channels, end=end: np.split(dy, channels[:end], axis=1)[: len(channels)],  # type: ignore[misc]
            )
            for end in (None, -1)
        ),
        _split_wrongly(
            "the last channel of each part is missing: a slice first:last ends before last",
            lambda dy, channels: [part[:, :-1] for part in _split(dy, channels)],
        ),
        _split_wrongly(
            "cut along axis 0, the images; the channels are axis 1",
            lambda dy, channels: np.split(dy, np.cumsum(channels)[:-1], axis=0),
        ),
        Mistake(
            "dy is multiplied by the arrays; they were copied, so the slope is 1",
            lambda a, right: _parts(
                [x * part for x, part in zip(a["arrays"], right.values(), strict=True)]
            ),
        ),
        Mistake(
            "these are the arrays themselves; their gradients are parts of dy",
            lambda a, _: _parts(a["arrays"]),
        ),
        _split_wrongly(
            "every array gets all of dy; each gets only its own channels",
            lambda dy, channels: [dy] * len(channels),
        ),
    ),
    hints=(
        "y[:, first : first + C_k] = arrays[k], nothing is computed: where does dy of these "
        "channels go?",
        "The channels lie along axis 1: cut dy there, in the order of the arrays.",
        "np.split(dy, np.cumsum(channels)[:-1], axis=1)",
    ),
)  # fmt: skip


def _fire_cases() -> list[Arguments]:
    draw = np.random.default_rng(17)
    # (N, C, H, W), squeeze filters, expand filters by kernel size, bypass
    sizes = (
        ((2, 4, 4, 4), 2, {1: 3, 3: 3}, "none"),
        ((2, 5, 4, 5), 2, {1: 2, 3: 4}, "none"),
        ((1, 4, 3, 3), 3, {1: 3, 3: 2}, "none"),
        ((2, 6, 4, 4), 2, {1: 3, 3: 3}, "simple"),
        ((2, 4, 4, 4), 2, {1: 2, 3: 4}, "complex"),
        ((2, 3, 5, 4), 2, {1: 2, 3: 2, 5: 3}, "none"),
        # the order in the dictionary means nothing
        ((2, 3, 4, 5), 2, {5: 2, 3: 1, 1: 3}, "complex"),
    )
    cases = []
    for shape, squeezed, expand, bypass in sizes:
        filters = {"squeeze": (squeezed, shape[1], 1)}
        filters |= {f"expand{k}x{k}": (count, squeezed, k) for k, count in expand.items()}
        if bypass == "complex":
            filters["bypass"] = (sum(expand.values()), shape[1], 1)
        parameters: dict[str, Array] = {}
        for name, (out, into, size) in filters.items():
            parameters[f"{name}.weight"] = draw.normal(size=(out, into, size, size))
            parameters[f"{name}.bias"] = draw.normal(size=out)
        y_shape = (shape[0], sum(expand.values()), *shape[2:])
        cases.append(
            {
                "dy": draw.normal(size=y_shape),
                "x": draw.normal(size=shape),
                "parameters": parameters,
                "bypass": bypass,
            }
        )
    return cases


def _read_gradients(value: Any, arguments: Arguments) -> Results:
    """Return dx and the gradients of all parameters in one dictionary."""
    expected = "expected (dx, a dictionary of gradients under the names of the parameters)"
    if value is None:
        raise Trouble(
            f"it returned None: is the function finished, and is there a return? {expected}"
        )
    if not isinstance(value, tuple | list) or len(value) != 2 or not isinstance(value[1], Mapping):
        raise Trouble(f"it returned something else; {expected}")
    dx, gradients = value
    missing = [name for name in arguments["parameters"] if name not in gradients]
    unknown = [str(name) for name in gradients if name not in arguments["parameters"]]
    if missing:
        raise Trouble(f"the gradients of {', '.join(missing)} are missing")
    if unknown:
        raise Trouble(f"there are gradients of {', '.join(unknown)}, which are no parameters here")
    results = {"dx": dx} | {name: gradients[name] for name in arguments["parameters"]}
    return {name: number_array(name, each) for name, each in results.items()}


def _branch_names(a: Arguments) -> list[str]:
    """Return the names of the expand branches as they stand in the dictionary."""
    return [name.removesuffix(".weight") for name in a["parameters"] if EXPAND_WEIGHT.match(name)]


def _backward(
    a: Arguments,
    *,
    expand_relu: bool = True,
    squeeze_relu: bool = True,
    expand_mask_of_dy: bool = False,
    expand_mask_of_y: bool = False,
    squeeze_mask_of_gradient: bool = False,
    mean_of_branches: bool = False,
    last_branch_only: bool = False,
    first_branch_only: bool = False,
    dy_of_shortcut: Callable[[Array, Array], Array] | None = lambda dy, masked: dy,
    dx_of_complex: bool = True,
    reversed_branches: bool = False,
    branches_as_stored: bool = False,
) -> Results:
    """Return all gradients of a Fire module, right by default; each option is a mistake."""
    x, parameters, bypass = a["x"], a["parameters"], a["bypass"]
    gradients: Results = {}

    def forward(name: str, inputs: Array) -> tuple[Array, Any]:
        w = parameters[f"{name}.weight"]
        return F.conv2d_forward(inputs, w, parameters[f"{name}.bias"], padding=w.shape[-1] // 2)

    def back(name: str, dy: Array, cache: Any) -> Array:
        dx, gradients[f"{name}.weight"], db = F.conv2d_backward(dy, cache)
        gradients[f"{name}.bias"] = np.asarray(db)
        return dx

    squeezed, squeeze_cache = forward("squeeze", x)
    squeezed = np.maximum(squeezed, 0)
    names = _branch_names(a) if branches_as_stored else sorted(_branch_names(a))
    branches = {name: forward(name, squeezed) for name in names}
    joined = np.concatenate([y for y, _ in branches.values()], axis=1)
    decides = joined
    if expand_mask_of_dy:
        decides = a["dy"]
    if expand_mask_of_y:
        decides = F.fire_forward(x, parameters, bypass)[0]
    masked = a["dy"] * (decides > 0)
    order = list(branches)[::-1] if reversed_branches else list(branches)
    ends = np.cumsum([branches[name][0].shape[1] for name in order])[:-1]
    parts = dict(
        zip(order, np.split(masked if expand_relu else a["dy"], ends, axis=1), strict=True)
    )
    dsqueezed = np.zeros_like(squeezed)
    for place, (name, (_, cache)) in enumerate(branches.items()):
        received = back(name, parts[name], cache)
        if last_branch_only and place < len(branches) - 1:
            continue
        if first_branch_only and place > 0:
            continue
        dsqueezed += received / len(branches) if mean_of_branches else received
    if squeeze_relu:
        dsqueezed = dsqueezed * ((dsqueezed if squeeze_mask_of_gradient else squeezed) > 0)
    dx = back("squeeze", dsqueezed, squeeze_cache)
    if bypass != "none" and dy_of_shortcut is not None:
        dshortcut = dy_of_shortcut(a["dy"], masked)
        if bypass == "complex":
            dshortcut = back("bypass", dshortcut, forward("bypass", x)[1])
        if bypass == "simple" or dx_of_complex:
            dx = dx + dshortcut
    return {"dx": dx} | {name: gradients[name] for name in parameters if name in gradients}


def _fire_mistake(meaning: str, **options: Any) -> Mistake:
    """Return the mistake of a wrong step; it has no opinion on what it leaves as it was."""

    def wrong(a: Arguments, right: Results) -> Results:
        return _backward(a, **options)

    return Mistake(meaning, wrong)


def _fire_loss(a: Arguments) -> tuple[Any, list[Array]]:
    names = list(a["parameters"])

    def loss(x: Array, *values: Array) -> float:
        parameters = dict(zip(names, values, strict=True))
        return float(np.sum(a["dy"] * F.fire_forward(x, parameters, a["bypass"])[0]))

    return loss, [a["x"], *a["parameters"].values()]


fire_backward = Exercise(
    name="fire_backward",
    notebook=NOTEBOOK,
    solution=F.fire_backward,
    answer=reference.fire_backward,
    cases=_fire_cases(),
    read=_read_gradients,
    traits=(
        Trait("a bypass", "no bypass", lambda a: a["bypass"] != "none"),
        Trait("the simple bypass", "other cases", lambda a: a["bypass"] == "simple"),
        Trait("the complex bypass", "other cases", lambda a: a["bypass"] == "complex"),
        Trait("a 5x5 branch", "1x1 and 3x3 branches",
              lambda a: "expand5x5.weight" in a["parameters"]),
        Trait("branches of different size", "branches of equal size", lambda a: len(
            {len(w) for name, w in a["parameters"].items() if name.startswith("expand")}) > 1),
        Trait("a batch of one", "a larger batch", lambda a: len(a["x"]) == 1),
        Trait("a dictionary with the largest kernel first", "one in ascending order",
              lambda a: _branch_names(a) != sorted(_branch_names(a))),
    ),
    counts={"N (the batch size)": lambda a: len(a["x"])},
    cache=lambda a: F.fire_forward(a["x"], a["parameters"], a["bypass"])[1],
    function=_fire_loss,
    mistakes=(
        _fire_mistake(
            "only the last expand branch sends its gradient to the squeezed array: that went into "
            "all branches, so add (+=) what each sends back",
            last_branch_only=True,
        ),
        _fire_mistake(
            "only the first expand branch sends its gradient to the squeezed array: that went "
            "into all branches, so add up what each sends back",
            first_branch_only=True,
        ),
        _fire_mistake(
            "the ReLU behind the expand convolutions is missing: dy passes only where its result "
            "was above 0",
            expand_relu=False,
        ),
        _fire_mistake(
            "the ReLU behind the squeeze convolution is missing: the gradient passes only where "
            "the squeezed array is above 0",
            squeeze_relu=False,
        ),
        *(
            _fire_mistake(
                f"the mask of {which} is taken from the gradient; what passed was decided by the "
                "array of the forward pass",
                expand_mask_of_dy=expand,
                squeeze_mask_of_gradient=squeeze,
            )
            for which, expand, squeeze in (
                ("the ReLU behind the squeeze convolution", False, True),
                ("the ReLU behind the expand convolutions", True, False),
                ("both ReLUs", True, True),
            )
        ),
        _fire_mistake(
            "the mean of what the branches send back is taken; it is their sum",
            mean_of_branches=True,
        ),
        _fire_mistake("both ReLUs are missing", squeeze_relu=False, expand_relu=False),
        Mistake(
            "the bypass is missing: x also went straight to y, so dx receives dy on this way too",
            lambda a, _: {"dx": _backward(a, dy_of_shortcut=None)["dx"]},
        ),
        Mistake(
            "the bypass convolution has gradients, but what it sends back to x is not added to dx",
            lambda a, _: {"dx": _backward(a, dx_of_complex=False)["dx"]},
        ),
        _fire_mistake(
            "the bypass gets its gradient through the ReLU; here the bypass is added after the "
            "ReLU, so it gets dy itself",
            dy_of_shortcut=lambda dy, masked: masked,
        ),
        _fire_mistake(
            "the last ReLU is masked with y, bypass included; its own result decided what passed",
            expand_mask_of_y=True,
        ),
        _fire_mistake(
            "the branches get each other's channels: the smallest kernel comes first in the "
            "concatenation",
            reversed_branches=True,
        ),
        _fire_mistake(
            "the branches are taken in the order of the dictionary; in y they stand in ascending "
            "order of the kernel size",
            branches_as_stored=True,
        ),
    ),
    hints=(
        "Do the forward pass again, and keep every intermediate array and cache (or take them "
        "from the cache): squeezed, joined, the caches of all convolutions.",
        "Backwards: dy through the ReLU (joined > 0), then split it among the expand branches.",
        "The squeezed array went into every branch: its gradient is the sum of what the branches' "
        "conv2d_backward return as dx. Then through its ReLU, then through the squeeze "
        "convolution.",
        "With a bypass x went another way too: add dy to dx (simple), or what conv2d_backward of "
        "the bypass convolution makes of dy (complex). The bypass is added behind the ReLU.",
    ),
)  # fmt: skip

EXERCISES = (concat_backward, fire_backward)
