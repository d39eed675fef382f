"""Random numbers by key: every draw has a generator of its own and depends on no earlier draw."""

from numbers import Integral

import numpy as np

# The middle number of a key says what the numbers are for.
INITIALIZATION, DROPOUT, SUBSET, PERMUTATION, AUGMENTATION = range(5)


def generator(key: tuple[int, ...]) -> np.random.Generator:
    """Return the counter-based generator (Philox; Salmon et al. 2011) that belongs to `key`.

    Parameters
    ----------
    key : tuple of int
        Non-negative numbers, here always (seed, purpose, step).

    Raises
    ------
    ValueError
        If a part of `key` is no non-negative int.
    """
    if not all(isinstance(part, Integral) and part >= 0 for part in key):
        raise ValueError(f"seed, step: expected ints of at least 0, got the key {key}")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
