import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npsqueeze.generators import generator

words = st.sampled_from([0, 1, 7, 2**31, 2**32 - 1])
seeds = words | st.sampled_from([2**32, 2**32 + 7, 2**64 + 1, 2**96, 2**128 - 1])
keys = st.tuples(seeds) | st.tuples(seeds, words) | st.tuples(seeds, words, words)


def draw(key):
    return tuple(generator(key).integers(2**64, size=2, dtype=np.uint64))


@given(keys, keys)
def test_two_keys_have_two_generators(key, other):
    assume(key != other)
    assert draw(key) == draw(key)
    assert draw(key) != draw(other)


@pytest.mark.parametrize(
    ("key", "other"), [((2**32 + 7, 1, 0), (7, 1, 1)), ((1,), (1, 0)), ((1, 0), (1, 0, 0))]
)
def test_a_key_is_no_mere_list_of_words(key, other):
    assert draw(key) != draw(other)


def test_the_numbers_stay_those_of_earlier_versions():
    assert generator((7, 1, 2)).integers(1000, size=5).tolist() == [943, 627, 558, 629, 528]


def test_numpys_integers_are_integers():
    assert draw((np.int64(5), np.uint8(1), np.int32(2))) == draw((5, 1, 2))


@pytest.mark.parametrize(
    "key", [(), (-1,), (0, -1), (0.5, 1), (1, 2.0), ("1",), (None,), (2**128,), (0, 2**32)]
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match=r"^seed, step: expected ints of at least 0"):
        generator(key)
