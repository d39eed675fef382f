import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


def _gradcheck(forward, backward, inputs, step, close, count=None):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    gradients = backward(dy, cache)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    if len(gradients) != len(inputs):
        return False
    for k, (x, dx) in enumerate(zip(inputs, gradients, strict=True)):
        if dx is None or np.shape(dx) != x.shape:
            return False
        for index in list(np.ndindex(x.shape))[:count]:
            h = step(x[index])
            changed = [a.copy() for a in inputs]
            changed[k][index] = x[index] + h
            up = np.sum(dy * forward(*changed)[0])
            changed[k][index] = x[index] - h
            down = np.sum(dy * forward(*changed)[0])
            if not close((up - down) / (2 * h), dx[index]):
                return False
    return True


@planted("gradcheck", "a dy of ones")
def gradcheck_with_dy_of_ones(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.ones_like(y)
    gradients = backward(dy, cache)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    if len(gradients) != len(inputs):
        return False
    for x, dx in zip(inputs, gradients, strict=True):
        if dx is None or np.shape(dx) != x.shape:
            return False
        for index in np.ndindex(x.shape):
            h = 1e-6 * max(abs(x[index]), 1e-3)
            changed = [a.copy() for a in inputs]
            k = next(i for i, a in enumerate(inputs) if a is x)
            changed[k][index] = x[index] + h
            up = np.sum(forward(*changed)[0])
            changed[k][index] = x[index] - h
            down = np.sum(forward(*changed)[0])
            numeric = (up - down) / (2 * h)
            if not abs(numeric - dx[index]) <= 1e-4 * max(1e-3, abs(numeric), abs(dx[index])):
                return False
    return True


@planted("gradcheck", "small values")
def gradcheck_fixed_step(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-3,
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b)) + 1e-9,
    )


@planted("gradcheck", "NaN compares false")
def gradcheck_nan_passes(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: not (abs(a - b) > 1e-4 * max(abs(a), abs(b), 1e-3)),
    )


@planted("gradcheck", "absolute scale")
def gradcheck_absolute_error(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-5 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) < 1e-6,
    )


@planted("gradcheck", "the sign is lost")
def gradcheck_compares_sizes(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(abs(a) - abs(b)) <= 1e-4 * max(abs(a), abs(b), 1e-3),
    )


@planted("gradcheck", "an error of one element")
def gradcheck_first_element(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b), 1e-3),
        1,
    )


@planted("gradcheck", "it returned None", "Return True")
def gradcheck_returns_nothing(forward, backward, inputs):
    assert _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-4 * max(abs(a), abs(b), 1e-3),
    )


@planted("gradcheck", "a gradient too few goes unnoticed")
def gradcheck_zip_stops_early(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    gradients = backward(dy, cache)
    if len(inputs) == 1:
        gradients = (gradients,)
    for k, (x, dx) in enumerate(zip(inputs, gradients, strict=False)):
        dx = np.asarray(dx)
        if dx.shape != x.shape:
            return False
        numeric = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            h = 1e-6 * max(1e-3, abs(x[index]))
            changed = [a.copy() for a in inputs]
            changed[k][index] += h
            up = np.sum(dy * forward(*changed)[0])
            changed[k][index] -= 2 * h
            numeric[index] = (up - np.sum(dy * forward(*changed)[0])) / (2 * h)
        if not np.allclose(numeric, dx, rtol=1e-4, atol=1e-6 * np.abs(numeric).max()):
            return False
    return True


@planted("gradcheck", "it accepts everything")
def gradcheck_always_true(forward, backward, inputs):
    y, cache = forward(*inputs)
    backward(np.ones_like(y), cache)
    return True


@planted("gradcheck", "curved functions are rejected")
def gradcheck_one_sided(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    g = backward(dy, cache)
    g = g if isinstance(g, tuple) else (g,)
    if len(g) != len(inputs):
        return False
    for k, x in enumerate(inputs):
        if g[k] is None or g[k].shape != x.shape:
            return False
        for i in np.ndindex(x.shape):
            moved = [a.copy() for a in inputs]
            moved[k][i] += 1e-3
            n = np.sum(dy * (forward(*moved)[0] - y)) / 1e-3
            if not abs(n - g[k][i]) <= 1e-5 * max(abs(n), abs(g[k][i]), 1e-3):
                return False
    return True


@planted("gradcheck", "a loose tolerance")
def gradcheck_loose(forward, backward, inputs):
    return _gradcheck(
        forward,
        backward,
        inputs,
        lambda x: 1e-6 * max(1e-3, abs(x)),
        lambda a, b: abs(a - b) <= 1e-1 * max(abs(a), abs(b), 1e-3),
    )


@planted("gradcheck", "only the first input is checked")
def gradcheck_first_input(forward, backward, inputs):
    y, cache = forward(*inputs)
    dy = np.random.default_rng(0).standard_normal(np.shape(y))
    gradients = backward(dy, cache)
    dx = gradients[0] if isinstance(gradients, tuple) else gradients
    if dx is None:
        return False
    x, *others = inputs
    for index in np.ndindex(x.shape):
        h = 1e-6 * max(1e-3, abs(x[index]))
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        change = np.sum(dy * (forward(up, *others)[0] - forward(down, *others)[0]))
        if not abs(change / (2 * h) - dx[index]) <= 1e-4 * max(abs(dx[index]), 1e-3):
            return False
    return True


test_a_planted_mistake_is_named = planted.test()
