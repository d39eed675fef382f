"""Random numbers by key: every draw has a generator of its own and depends on no earlier draw."""

from numbers import Integral

import numpy as np

# The middle number of a key says what the numbers are for.
INITIALIZATION, DROPOUT, SUBSET, PERMUTATION, AUGMENTATION, CUTOUT = range(6)


def generator(key: tuple[int, ...]) -> np.random.Generator:
    """Return the counter-based generator (Philox; Salmon et al. 2011) that belongs to `key`.

    Parameters
    ----------
    key : tuple of int
        A seed from 0 to 2¹²⁸ - 1 and further numbers from 0 to 2³² - 1, here always (seed, purpose,
        step). Within these bounds no two keys are the same to NumPy, which cuts larger numbers into
        words of 32 bits and would not tell (2³², 1) from (0, 1, 1).

    Raises
    ------
    ValueError
        If a part of `key` is no such number.
    """
    bounds = [2**128] + [2**32] * (len(key) - 1)
    if not key or not all(
        isinstance(part, Integral) and 0 <= part < bound
        for part, bound in zip(key, bounds, strict=True)
    ):
        raise ValueError(
            "seed, step: expected ints of at least 0, the seed below 2**128 and the step below "
            f"2**32, got the key {key}"
        )
    sequence = np.random.SeedSequence(key[0], spawn_key=key[1:])
    return np.random.Generator(np.random.Philox(sequence))
