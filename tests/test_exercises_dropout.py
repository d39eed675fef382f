import numpy as np
import pytest

from npsqueeze.functional.dropout import kept
from npsqueeze.generators import generator
from tests.exercise_checks import Planted, verdict_on

planted = Planted()


@planted("dropout_forward", "what is kept is not scaled")
def forward_not_scaled(x, p, key, training):
    return x * kept(x.shape, p, key) if training else x


@planted("dropout_forward", "as it was first published")
def forward_of_the_first_paper(x, p, key, training):
    if not training:
        return x * (1 - p)
    y = x.copy()
    y[~kept(x.shape, p, key)] = 0
    return y


@planted("dropout_forward", "divided by p")
def forward_divided_by_p(x, p, key, training):
    return np.where(kept(x.shape, p, key), x / np.float64(p), 0) if training else x


@planted("dropout_forward", "multiplied by 1 - p; divide")
def forward_times_the_share(x, p, key, training):
    return np.where(kept(x.shape, p, key), x * (1 - p), 0) if training else x


@planted("dropout_forward", "divided by 1 - p twice")
def forward_scaled_twice(x, p, key, training):
    factor = kept(x.shape, p, key) / (1 - p) if training else 1
    return x * factor / (1 - p) if training else x


@planted("dropout_forward", "the wrong way round")
def forward_mask_inverted(x, p, key, training):
    return np.where(kept(x.shape, p, key), 0, x / (1 - p)) if training else x


@planted("dropout_forward", "the wrong way round")
def forward_zeroes_what_is_kept(x, p, key, training):
    y = x.copy()
    if training:
        y[kept(x.shape, p, key)] = 0
    return y


@planted("dropout_forward", "the mask was asked for with 1 - p")
def forward_asks_for_what_is_dropped(x, p, key, training):
    return np.where(kept(x.shape, 1 - p, key), x / (1 - p), 0) if training else x


@planted("dropout_forward", "the mask was asked for with 1 - p")
def forward_takes_p_for_the_share_kept(x, p, key, training):
    return x * kept(x.shape, 1 - p, key) / np.float64(p) if training else x


@planted("dropout_forward", "the mask was asked for with 1 - p")
def forward_asks_for_what_is_dropped_and_does_not_scale(x, p, key, training):
    return x * kept(x.shape, 1 - p, key) if training else x


@planted("dropout_forward", "that is the factor alone")
def forward_forgets_x(x, p, key, training):
    return kept(x.shape, p, key) / (1 - p) if training else x


@planted("dropout_forward", "the mask of the first example")
def forward_one_mask_for_the_batch(x, p, key, training):
    return x * kept(x.shape, p, key)[0] / (1 - p) if training else x


@planted("dropout_forward", "elsewhere than those of kept(x.shape, p, key)")
def forward_of_another_generator(x, p, key, training):
    return x * (np.random.default_rng().random(x.shape) >= p) / (1 - p) if training else x


@planted("dropout_forward", "elsewhere than those of kept(x.shape, p, key)")
def forward_of_another_key(x, p, key, training):
    return x * kept(x.shape, p, (key[0], key[1], 7)) / (1 - p) if training else x


@planted("dropout_forward", "nothing is dropped")
def forward_is_nothing(x, p, key, training):
    return x


@planted("dropout_forward", "divided by 1 - p, but nothing is dropped")
def forward_scales_only(x, p, key, training):
    return x / (1 - p) if training else x


@planted("dropout_forward", "training and inference are exchanged")
def forward_the_wrong_way_round(x, p, key, training):
    return x if training else np.where(kept(x.shape, p, key), x / (1 - p), 0)


@planted("dropout_forward", "dropped in inference as well")
def forward_always(x, p, key, training):
    return x * kept(x.shape, p, key) / (1 - p)


@planted("dropout_forward", "scaled in inference")
def forward_scales_inference_too(x, p, key, training):
    if not training:
        return x * (1 - p)
    return np.where(kept(x.shape, p, key), x / (1 - p), 0)


@planted("dropout_forward", "changes its argument x in place")
def forward_in_place(x, p, key, training):
    x[~kept(x.shape, p, key)] = 0
    return x / (1 - p)


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


def forward_where(x, p, key, training):
    return np.where(kept(x.shape, p, key), x / (1 - p), 0) if training else x


def forward_with_a_cache(x, p, key, training):
    factor = kept(x.shape, p, key) / (1 - p) if training else np.ones_like(x)
    return x * factor, factor


def forward_that_draws_itself(x, p, key, training):
    if not training:
        return x.copy()
    words = generator(key).bit_generator.random_raw(x.size // 4 + 1)
    number = words.view(np.uint16)[: x.size].reshape(x.shape)
    y = x / (1 - p)
    y[number < round(p * 2**16)] = 0
    return y


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
        ("dropout_forward", forward_that_draws_itself),
        ("dropout_backward", backward_number_by_number),
        ("dropout_backward", backward_of_the_cache),
        ("dropout_backward", backward_float32),
    ],
)
def test_what_is_right_passes(name, function):
    assert verdict_on(name, function).passed, verdict_on(name, function).message
