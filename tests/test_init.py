"""Initial weights: variance, what it preserves, determinism."""

import numpy as np
import pytest

from npsqueeze.init import SCHEMES, fans, he_normal, he_uniform, normal, xavier_normal


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((96, 3, 7, 7), (147, 4704)), ((16, 8, 1, 3), (24, 48)), ((5, 9), (9, 5))],
)
def test_fans(shape, expected):
    assert fans(shape) == expected


@pytest.mark.parametrize(
    ("scheme", "shape", "variance"),
    [
        (he_normal, (128, 64, 3, 3), 2 / 576),
        (he_normal, (300, 200), 2 / 200),
        (he_uniform, (128, 64, 3, 3), 2 / 576),
        (xavier_normal, (128, 64, 3, 3), 2 / (576 + 1152)),
        (xavier_normal, (300, 200), 2 / 500),
    ],
)
def test_mean_and_variance(scheme, shape, variance):
    weight = scheme(shape, np.random.default_rng(0))
    assert weight.shape == shape
    n = weight.size  # the bounds are five standard errors
    assert abs(weight.mean()) < 5 * np.sqrt(variance / n)
    assert weight.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))


def test_the_uniform_scheme_stays_within_its_bounds():
    weight = he_uniform((64, 32, 3, 3), np.random.default_rng(0))
    bound = np.sqrt(6 / 288)
    assert 0.99 * bound < weight.max() <= bound
    assert -bound <= weight.min() < -0.99 * bound


def test_he_keeps_the_signal_through_relus():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(256, 512))
    before = np.square(x).mean()
    for _ in range(10):
        x = np.maximum(x, 0) @ he_normal((512, 512), generator)
    assert 0.5 < np.square(x).mean() / before < 2


def test_normal_has_its_std():
    weight = normal((10, 512, 1, 1), np.random.default_rng(0), std=0.01)
    assert weight.std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_depends_on_the_generator_alone(scheme):
    shape = (4, 3, 3, 3)
    first = scheme(shape, np.random.default_rng(7))
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    np.testing.assert_array_equal(scheme(shape, np.random.default_rng(7)), first)
    assert (scheme(shape, np.random.default_rng(8)) != first).any()


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_draws_are_in_float64(scheme):
    weight = scheme((4, 3, 3, 3), np.random.default_rng(7))
    assert weight.dtype == np.float64
    assert (weight != weight.astype(np.float32)).any()


@pytest.mark.parametrize("shape", [(), (3,), (3, 3, 3), (4, 0), (4, 3, 0, 3)])
@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_bad_shapes(scheme, shape):
    with pytest.raises(ValueError, match="shape: expected"):
        scheme(shape, np.random.default_rng(0))


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_bad_generator(scheme):
    with pytest.raises(TypeError, match=r"generator: expected .*got 0"):
        scheme((4, 3), 0)
