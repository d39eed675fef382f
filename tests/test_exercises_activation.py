import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


@planted("relu_forward", "absolute value")
def relu_abs(x):
    return np.abs(x)


@planted("relu_forward", "leaky")
def relu_leaky(x):
    return np.where(x > 0, x, 0.01 * x)


@planted("relu_forward", "0 times -inf")
def relu_mask_product(x):
    return x * (x > 0)


@planted("relu_forward", "NaN is swallowed")
def relu_where(x):
    return np.where(x > 0, x, 0)


@planted("relu_forward", "changes its argument x in place")
def relu_in_place(x):
    x[x < 0] = 0
    return x


@planted("relu_forward", "capped at 1")
def relu_6(x):
    return np.clip(x, 0, 1)


@planted("relu_forward", "the wrong half is kept")
def relu_min(x):
    return np.minimum(x, 0)


@planted("relu_backward", "at x = 0 the gradient passes")
def relu_backward_ge(dy, x):
    return dy * (x >= 0)


@planted("relu_backward", "taken from dy, not from x")
def relu_backward_mask_of_dy(dy, x):
    dx = dy.copy()
    dx[dy <= 0] = 0
    return dx


@planted("relu_backward", "slope alone")
def relu_backward_forgets_dy(dy, x):
    return (x > 0).astype(float)


@planted("relu_backward", "multiplied by relu(x)")
def relu_backward_dy_times_y(dy, x):
    return dy * np.maximum(x, 0)


@planted("relu_backward", "wrong way round")
def relu_backward_wrong_side(dy, x):
    return np.where(x > 0, 0.0, dy)


@planted("relu_backward", "changes its argument dy in place")
def relu_backward_in_place(dy, x):
    dy[x <= 0] = 0
    return dy


@planted("relu_backward", "right but for places where 0 is expected")
def relu_backward_leaves_x(dy, x):
    return np.where(x > 0, dy, x)


@planted("relu_backward", "where x is NaN dy must pass too")
def relu_backward_swallows_nan(dy, x):
    return np.where(x > 0, dy, 0)


@planted("he_normal", "that is the variance")
def he_variance_as_std(shape, generator):
    return generator.normal(0.0, 2.0 / np.prod(shape[1:]), shape)


@planted("he_normal", "sqrt(2/fan_out)")
def he_fan_out(shape, generator):
    fan_out = shape[0] * np.prod(shape[2:])
    return generator.normal(0.0, np.sqrt(2.0 / fan_out), shape)


@planted("he_normal", "sqrt(1/fan_in)")
def he_lecun(shape, generator):
    return generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))


@planted("he_normal", "not C alone")
def he_channels_only(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / shape[1])


@planted("he_normal", "uniform, not normal")
def he_uniform(shape, generator):
    bound = np.sqrt(6 / np.prod(shape[1:]))
    return generator.uniform(-bound, bound, shape)


@planted("he_normal", "draws nothing from generator")
def he_global_generator(shape, generator):
    return np.random.default_rng().standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))


@planted("he_normal", "Xavier")
def he_xavier(shape, generator):
    fan_in, fan_out = np.prod(shape[1:]), shape[0] * np.prod(shape[2:])
    return generator.standard_normal(shape) * np.sqrt(2 / (fan_in + fan_out))


@planted("he_normal", "all weights were counted")
def he_all_elements(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape))


@planted("he_normal", "all weights are positive")
def he_positive(shape, generator):
    return np.abs(generator.standard_normal(shape)) * np.sqrt(2 / np.prod(shape[1:]))


@planted("he_normal", "sqrt(6/fan_in)")
def he_with_six(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(6 / np.prod(shape[1:]))


@planted("he_normal", "right for matrices (out, in), wrong for filters")
def he_fan_in_of_matrices_only(shape, generator):
    return generator.standard_normal(shape) * np.sqrt(2 / shape[-1])


@planted("he_normal", "it returned None: is the function finished?")
def he_unfinished(shape, generator): ...


@planted("he_normal", "half of them should be below 0", "uniform, not normal")
def he_from_zero_up(shape, generator):
    bound = np.sqrt(24 / np.prod(shape[1:]))
    return generator.uniform(0, bound, shape)


test_a_planted_mistake_is_named = planted.test()
