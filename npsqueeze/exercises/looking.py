"""Exercise of notebook 12: the class activation map."""

from collections.abc import Callable

import numpy as np

from npsqueeze import explaining, functional
from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Exercise, Mistake, Trait, arrays

NOTEBOOK = "12_looking_inside.ipynb"
OTHER_ORDER = "w is read by columns: w[c, k] belongs to class c and channel k, so take the row w[c]"
FIRST_ONLY = "all pictures are asked about the class of the first one: each has its own label"


def _cases() -> list[Arguments]:
    draw = np.random.default_rng(19)
    shapes = (  # N, classes, K, h, w, labels
        (2, 4, 4, 3, 2, (2, 0)),  # as many classes as channels: mixed-up axes raise nothing
        (3, 5, 6, 4, 4, (1, 4, 1)),
        (1, 3, 7, 2, 5, (2,)),
        (3, 3, 3, 3, 3, (1, 2, 0)),
        (4, 2, 5, 2, 1, (1, 1, 0, 1)),
    )
    return [
        {
            "features": np.maximum(draw.normal(0.3, 1, (n, k, height, width)), 0),
            "weight": draw.normal(size=(classes, k)),
            "bias": draw.normal(size=classes),
            "labels": np.array(labels),
        }
        for n, classes, k, height, width, labels in shapes
    ]


def _mistake(meaning: str, formula: Callable[[Array, Array, Array, Array], Array]) -> Mistake:
    return Mistake(meaning, lambda a, _: {"maps": formula(*a.values())})


def _of_map(meaning: str, change: Callable[[Array], Array]) -> Mistake:
    """Return the mistake of doing something to the right map in the end."""
    return Mistake(meaning, lambda _, right: {"maps": change(right["maps"])})


def _all_maps(f: Array, w: Array, b: Array) -> Array:
    """Return the maps of all classes, (N, classes, h, w)."""
    return np.einsum("ck,nkhw->nchw", w, f) + b[:, None, None]


def _without_bias(f: Array, w: Array, labels: Array) -> Array:
    return explaining.evidence(f, w, np.zeros(len(w)), labels)


def _with_bias(f: Array, w: Array, labels: Array, bias: Array) -> Array:
    """Return the maps with a bias for each picture, (N,), of one's own choice."""
    return _without_bias(f, w, labels) + bias[:, None, None]


def _logits(f: Array, w: Array, b: Array, labels: Array) -> Array:
    """Return each picture's logit, (N,)."""
    return explaining.evidence(f, w, b, labels).mean(axis=(1, 2))


def _over_the_map(value: Array, f: Array) -> Array:
    """Return one number a picture as maps that are the same everywhere."""
    return np.broadcast_to(value[:, None, None], (len(f), *f.shape[2:]))


def _scaled(maps: Array) -> Array:
    """Return each map stretched from 0 to 1."""
    low = maps.min(axis=(1, 2), keepdims=True)
    return (maps - low) / np.ptp(maps, axis=(1, 2), keepdims=True)


class_activation_map = Exercise(
    name="class_activation_map",
    notebook=NOTEBOOK,
    solution=explaining.evidence,
    answer=explaining.evidence,
    cases=_cases(),
    read=arrays("maps"),
    traits=(
        Trait("a batch of one", "a larger batch", lambda a: len(a["labels"]) == 1),
        Trait(
            "maps that are not square", "square ones",
            lambda a: a["features"].shape[2] != a["features"].shape[3],
        ),
    ),
    counts={
        "P (the number of pixels)": lambda a: a["features"][0, 0].size,
        "N (the batch size)": lambda a: len(a["labels"]),
    },
    mistakes=(
        _mistake(
            "the bias is left out, as in the paper: here the mean of the map shall be the logit, "
            "so add b_c to every pixel",
            lambda f, w, b, c: _without_bias(f, w, c),
        ),
        _mistake(
            "that is the paper's map with negative numbers cut off, and without the bias",
            lambda f, w, b, c: np.maximum(_without_bias(f, w, c), 0),
        ),
        _of_map(
            "negative numbers are cut off: what speaks against a class belongs to the map, and to "
            "the mean that is the logit",
            lambda maps: np.maximum(maps, 0),
        ),
        _of_map(
            "each map is stretched to 0 … 1: its mean is the logit no longer; leave that to the "
            "drawing",
            _scaled,
        ),
        _of_map(
            "each map is divided by its largest number: leave that to the drawing",
            lambda maps: maps / np.abs(maps).max(axis=(1, 2), keepdims=True),
        ),
        _of_map(
            "each map is divided by its largest number: leave that to the drawing",
            lambda maps: maps / maps.max(axis=(1, 2), keepdims=True),
        ),
        _mistake(OTHER_ORDER,
                 lambda f, w, b, c: np.einsum("kn,nkhw->nhw", w[:, c], f) + b[c, None, None]),
        _mistake(OTHER_ORDER, lambda f, w, b, c: _without_bias(f, w.T, c)),
        _mistake(
            "the sum runs over the pixels; it runs over the channels k (axis 1), and the pixels "
            "stay",
            lambda f, w, b, c: w[c] * f.sum(axis=(2, 3)) + b[c, None],
        ),
        _mistake(
            "the features were averaged over the pixels first: that is the logit, and where "
            "something lies is lost",
            _logits,
        ),
        _mistake(
            "the features were averaged over the pixels first: that is the logit, the same number "
            "at every pixel",
            lambda f, w, b, c: _over_the_map(_logits(f, w, b, c), f),
        ),
        _mistake(
            "the channels are averaged; the logit is their weighted sum (K times as much)",
            lambda f, w, b, c: _without_bias(f, w, c) / f.shape[1] + b[c, None, None],
        ),
        _mistake(
            "the channels are averaged, and the bias is left out: the logit is their weighted sum",
            lambda f, w, b, c: _without_bias(f, w, c) / f.shape[1],
        ),
        _mistake(
            "the bias is added to every channel, K times: it comes once, after the sum",
            lambda f, w, b, c: _without_bias(f, w, c) + f.shape[1] * b[c, None, None],
        ),
        _mistake(
            "the bias is divided by P, the number of pixels: the mean over the pixels of b_c is "
            "b_c, so add the whole of it",
            lambda f, w, b, c: _without_bias(f, w, c) + b[c, None, None] / f[0, 0].size,
        ),
        _mistake("the weights are not used: that is the plain sum of the channels",
                 lambda f, w, b, c: f.sum(axis=1)),
        _mistake("the weights are not used: that is the plain mean of the channels",
                 lambda f, w, b, c: f.mean(axis=1)),
        _mistake("the sign of the weights is lost: a negative weight speaks against the class",
                 lambda f, w, b, c: explaining.evidence(f, np.abs(w), b, c)),
        _mistake(FIRST_ONLY,
                 lambda f, w, b, c: explaining.evidence(f, w, b, np.full(len(f), c[0]))),
        *(
            _mistake(
                "the number of a picture is taken for its label: the row of picture n is "
                "weight[labels[n]], and its bias is bias[labels[n]]",
                formula,
            )
            for formula in (
                lambda f, w, b, c: explaining.evidence(f, w, b, np.arange(len(f))),
                lambda f, w, b, c: _with_bias(f, w, np.arange(len(f)), b[c]),
            )
        ),
        _mistake(
            "the number of a picture is taken for its label in the bias: bias[labels]",
            lambda f, w, b, c: _with_bias(f, w, c, b[np.arange(len(f))]),
        ),
        _mistake(
            "the bias is subtracted; add it",
            lambda f, w, b, c: _with_bias(f, w, c, -b[c]),
        ),
        _mistake(
            "that is class 0 for every picture: labels says which class each is asked about",
            lambda f, w, b, c: explaining.evidence(f, w, b, 0 * c),
        ),
        _mistake(
            "that is the class with the highest logit; the label asked for may be another one",
            lambda f, w, b, c: explaining.evidence(
                f, w, b, _all_maps(f, w, b).mean(axis=(2, 3)).argmax(axis=1)
            ),
        ),
        _mistake(
            "those are the maps of all classes: pick each picture's, [np.arange(N), labels]",
            lambda f, w, b, c: _all_maps(f, w, b),
        ),
        _mistake(
            "[:, labels] gives every picture the classes of all: it takes pairs, "
            "[np.arange(N), labels]",
            lambda f, w, b, c: _all_maps(f, w, b)[:, c],
        ),
        _mistake(
            "a softmax over the classes was taken at each pixel; the logit is the mean of the raw "
            "numbers",
            lambda f, w, b, c: np.stack([
                functional.softmax(each.reshape(len(w), -1).T)[:, label].reshape(each.shape[1:])
                for each, label in zip(_all_maps(f, w, b), c, strict=True)
            ]),
        ),
    ),
    hints=(
        "The logit is z_c = b_c + Σ_k w[c, k]·mean_p f[k, p]. Both sums are finite: write the mean "
        "in front of everything, and look at what it is the mean of.",
        "M_c(p) = b_c + Σ_k w[c, k]·f[k, p]: weight[labels] has the shape (N, K), one row a "
        "picture; give it two axes of length 1 for the pixels.",
        "(weight[labels][:, :, None, None] * features).sum(axis=1), and the bias of each label.",
    ),
)  # fmt: skip

EXERCISES = (class_activation_map,)
