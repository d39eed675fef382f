"""Where the padding lies, and the ways to cut it off wrongly: mistakes of several exercises."""

from collections.abc import Callable

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.exercises.exercise import Arguments, Mistake

TOO_LARGE = "the padding is still there: cut it off at the end"
PARTLY_CUT = (
    "some of the padding is still there: cut it off on all four sides, [padding : padding + H] "
    "and [padding : padding + W]"
)
TOO_FAR = (
    "all of it stands padding too far down and right: cut from [padding] on, not from [0], or "
    "subtract the padding from the place"
)
EMPTIED = (
    "nothing is left where the padding is 0: [padding:-padding] is then [0:-0], an empty slice; "
    "write [padding : padding + H]"
)

Cut = Callable[[int, int, int], tuple[slice, slice]]
WRONG_CUTS: tuple[tuple[str, Cut], ...] = (
    (TOO_LARGE, lambda p, height, width: (slice(None), slice(None))),
    (PARTLY_CUT, lambda p, height, width: (slice(p, None), slice(p, None))),
    (PARTLY_CUT, lambda p, height, width: (slice(p, p + height), slice(p, None))),
    (PARTLY_CUT, lambda p, height, width: (slice(p, p + height), slice(None))),
    (PARTLY_CUT, lambda p, height, width: (slice(None), slice(p, p + width))),
    (TOO_FAR, lambda p, height, width: (slice(height), slice(width))),
    (EMPTIED, lambda p, height, width: (slice(p, -p), slice(p, -p))),
)
"""What is wrong, and the rows and columns that are kept, of the padding and the image's size."""


def one_sided(a: Arguments) -> Array:
    """Return x with all of the padding below and on the right."""
    return np.pad(a["x"], ((0, 0), (0, 0), *2 * ((0, 2 * a["padding"]),)))


def cutting_mistakes(result: str, padded: Callable[[Arguments], Array]) -> tuple[Mistake, ...]:
    """Return the mistakes of cutting the padding off `padded`, the right result before that."""

    def mistake(meaning: str, cut: Cut) -> Mistake:
        def wrong(a: Arguments, _: object) -> dict[str, Array]:
            height, width = a["x_shape"][2:] if "x_shape" in a else a["x"].shape[2:]
            rows, columns = cut(a["padding"], height, width)
            return {result: padded(a)[:, :, rows, columns]}

        return Mistake(meaning, wrong)

    return tuple(mistake(*each) for each in WRONG_CUTS)
