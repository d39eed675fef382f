import numpy as np
import pytest

from tests.exercise_checks import Planted, message_about, verdict_on

planted = Planted()


@planted("dropout_forward", "here it is that of keeping it")
def forward_keeps_with_p(x, p, generator):
    return x * (generator.random(x.shape) < p) / (1 - p)


@planted("dropout_forward", "here it is that of keeping it")
def forward_of_the_paper_inverted(x, p, generator):
    kept = generator.binomial(1, p, x.shape)
    return x * kept / p


@planted("dropout_forward", "what is kept is not scaled")
def forward_not_scaled(x, p, generator):
    y = x.copy()
    y[generator.random(x.shape) < p] = 0
    return y


@planted("dropout_forward", "divided by p")
def forward_divided_by_p(x, p, generator):
    return np.where(generator.random(x.shape) < p, 0, x / p)


@planted("dropout_forward", "multiplied by 1 - p; divide")
def forward_times_the_share(x, p, generator):
    return np.where(generator.random(x.shape) < p, 0, x * (1 - p))


@planted("dropout_forward", "divided by 1 - p twice")
def forward_scaled_twice(x, p, generator):
    factor = (generator.random(x.shape) >= p) / (1 - p)
    return x * factor / (1 - p)


@planted("dropout_forward", "one draw serves the whole batch")
def forward_one_mask_for_the_batch(x, p, generator):
    kept = generator.random(x.shape[1:]) >= p
    return x * kept / (1 - p)


@planted("dropout_forward", "one draw serves a whole row")
def forward_one_number_a_row(x, p, generator):
    kept = generator.random((*x.shape[:-1], 1)) >= p
    return x * kept / (1 - p)


@planted("dropout_forward", "nothing is dropped")
def forward_compares_the_wrong_way(x, p, generator):
    u = generator.random(x.shape)
    return np.where(u < 0, 0, x / (1 - p))


@planted("dropout_forward", "draws nothing from generator")
def forward_of_the_global_generator(x, p, generator):
    return x * (np.random.default_rng(0).random(x.shape) >= p) / (1 - p)


@planted("dropout_forward", "changes its argument x in place")
def forward_in_place(x, p, generator):
    x[generator.random(x.shape) < p] = 0
    return x / (1 - p)


@planted("dropout_forward", "not x times one factor")
def forward_noise_instead(x, p, generator):
    return x + p * generator.standard_normal(x.shape)


@planted("dropout_forward", "0 everywhere")
def forward_all_dropped(x, p, generator):
    return x * int(generator.random() > 1)


@planted("dropout_backward", "was the mask drawn anew?")
def backward_draws_anew(dy, kept, p):
    return dy * (np.random.default_rng().random(dy.shape) >= p) / (1 - p)


@planted("dropout_backward", "was the mask drawn anew?")
def backward_draws_on_top(dy, kept, p):
    again = np.random.default_rng(1).random(dy.shape) >= p
    return dy * kept * again / (1 - p) ** 2


@planted("dropout_backward", "not scaled")
def backward_not_scaled(dy, kept, p):
    dx = np.zeros_like(dy)
    dx[kept] = dy[kept]
    return dx


@planted("dropout_backward", "not scaled")
def backward_of_the_cache_as_a_mask(dy, cache):
    return np.where(cache > 0, dy, 0)


@planted("dropout_backward", "scaled twice")
def backward_scaled_twice(dy, kept, p):
    scale = 1 / (1 - p)
    return scale * (scale * dy * kept)


@planted("dropout_backward", "scaled twice")
def backward_of_the_cache_scaled_twice(dy, cache):
    return dy * cache * cache.max()


@planted("dropout_backward", "divided by p; what is kept")
def backward_divided_by_p(dy, kept, p):
    return np.where(kept, dy / p, 0)


@planted("dropout_backward", "multiplied by 1 - p")
def backward_times_the_share(dy, kept, p):
    return dy * kept * (1 - p)


@planted("dropout_backward", "the wrong way round")
def backward_mask_inverted(dy, kept, p):
    return np.where(kept, 0, dy / (1 - p))


@planted("dropout_backward", "the wrong way round")
def backward_zeroes_what_was_kept(dy, kept, p):
    dx = dy.copy()
    dx[kept] = 0
    return dx


@planted("dropout_backward", "dy passes everywhere")
def backward_is_nothing(dy, kept, p):
    return dy


@planted("dropout_backward", "the mask is missing")
def backward_without_the_mask(dy, kept, p):
    return dy / (1 - p)


@planted("dropout_backward", "slope alone")
def backward_forgets_dy(dy, kept, p):
    return kept.astype(float) / (1 - p)


@planted("dropout_backward", "taken from dy")
def backward_like_relu(dy, kept, p):
    return np.where(dy > 0, dy / (1 - p), 0)


@planted("dropout_backward", "changes its argument dy in place")
def backward_in_place(dy, kept, p):
    dy[~kept] = 0
    return dy / (1 - p)


@planted("dropout_backward", "the mask of the first example serves the whole batch")
def backward_first_mask_for_all(dy, kept, p):
    return dy * kept[0] / (1 - p)


test_a_planted_mistake_is_named = planted.test()


def forward_where(x, p, generator):
    return np.where(generator.random(x.shape) < p, 0, x / (1 - p))


def forward_with_a_cache(x, p, generator):
    factor = generator.binomial(1, 1 - p, x.shape) / (1 - p)
    return x * factor, factor


def forward_bytes(x, p, generator):
    kept = generator.integers(0, 256, x.shape) >= round(256 * p)
    return kept * x * (1 / (1 - p))


def backward_number_by_number(dy, kept, p):
    pairs = zip(dy.ravel(), kept.ravel(), strict=True)
    return np.reshape([d / (1 - p) if keep else 0.0 for d, keep in pairs], dy.shape)


def backward_of_the_cache(dy, cache):
    return dy * cache


def backward_float32(dy, kept, p):
    return (dy.astype(np.float32) * kept) / np.float32(1 - p)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("dropout_forward", forward_where),
        ("dropout_forward", forward_with_a_cache),
        ("dropout_forward", forward_bytes),
        ("dropout_backward", backward_number_by_number),
        ("dropout_backward", backward_of_the_cache),
        ("dropout_backward", backward_float32),
    ],
)
def test_what_is_right_passes(name, function):
    assert verdict_on(name, function).passed, verdict_on(name, function).message


@pytest.mark.parametrize("seed", range(20))
def test_chance_does_not_fail_a_right_draw(seed):
    extra = np.random.default_rng(seed)

    def forward(x, p, generator):
        generator.random()
        return np.where(extra.random(x.shape) < p, 0, x / (1 - p))

    assert verdict_on("dropout_forward", forward).passed


def test_a_wrong_shape_is_told():
    def forward(x, p, generator):
        return generator.random(3)

    assert "y has shape (3,); expected (4, 1500, 40)" in message_about("dropout_forward", forward)
