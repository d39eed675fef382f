import math

import numpy as np

from npsqueeze.exercises.adam import adam_step as exercise
from tests.exercise_checks import Planted, verdict_on

planted = Planted()


def step_loops(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    w, m, v = w.copy(), m.copy(), v.copy()
    for i in np.ndindex(w.shape):
        m[i] = beta1 * m[i] + (1 - beta1) * dw[i]
        v[i] = beta2 * v[i] + (1 - beta2) * dw[i] * dw[i]
        m_hat = m[i] / (1 - beta1**t)
        v_hat = v[i] / (1 - beta2**t)
        w[i] = w[i] - lr * weight_decay * w[i] - lr * m_hat / (math.sqrt(v_hat) + eps)
    return w, m, v


def step_by_differences(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = m + (1 - beta1) * (dw - m)
    v = v + (1 - beta2) * (dw**2 - v)
    rate = lr / (1 - beta1**t)
    return w * (1 - lr * weight_decay) - rate * m / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def test_right_steps_pass() -> None:
    for function in (step_loops, step_by_differences):
        verdict = verdict_on("adam_step", function)
        assert verdict.passed, verdict.message
        assert f"in all {len(exercise.cases)} cases" in verdict.message
        assert "npsqueeze/optim.py" in verdict.message


@planted("adam_step", "no bias correction")
def adam_without_correction(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    return w - lr * m / (np.sqrt(v) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "m is not corrected")
def adam_only_v_is_corrected(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    v_hat = v / (1 - beta2**t)
    return w - lr * m / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "v is not corrected")
def adam_only_m_is_corrected(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat = m / (1 - beta1**t)
    return w - lr * m_hat / (np.sqrt(v) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "t - 1")
def adam_counted_from_zero(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    with np.errstate(all="ignore"):
        m_hat = m / (1 - beta1 ** (t - 1))
        v_hat = v / (1 - beta2 ** (t - 1))
        return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "t + 1")
def adam_counted_from_two(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    t = t + 1
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * w), m, v


@planted("adam_step", "1 - beta·t")
def adam_correction_without_a_power(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1 * t), v / (1 - beta2 * t)
    with np.errstate(invalid="ignore"):
        return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "leaves out the power t")
def adam_correction_of_the_first_step(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1), v / (1 - beta2)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "betas of the two corrections are exchanged")
def adam_corrections_exchanged(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta2**t), v / (1 - beta1**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "eps is inside the root")
def adam_eps_inside(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / np.sqrt(v_hat + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "before √v is corrected")
def adam_eps_too_early(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
    return w - rate * m / (np.sqrt(v) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "eps is forgotten")
def adam_without_eps(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / np.sqrt(v_hat) - lr * weight_decay * w, m, v


@planted("adam_step", "square root is forgotten")
def adam_without_the_root(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "outside the root")
def adam_root_before_the_correction(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    root = np.sqrt(v) / (1 - beta2**t)
    return w - lr * m / (1 - beta1**t) / (root + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "goes along the gradient")
def adam_without_the_mean(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    v_hat = v / (1 - beta2**t)
    return w - lr * dw / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "uses the old m and v")
def adam_step_first(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    w = w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    return w, m, v


@planted("adam_step", "downhill is against the gradient")
def adam_uphill(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w + lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "the betas are exchanged")
def adam_betas_exchanged(w, dw, m, v, t, lr, beta2, beta1, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "dw², not dw")
def adam_not_squared(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    with np.errstate(invalid="ignore"):
        return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "square is taken of m")
def adam_square_of_the_mean(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * m**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "factors 1 - beta are forgotten")
def adam_sums(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + dw
    v = beta2 * v + dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "beta and 1 - beta are exchanged")
def adam_shares_exchanged(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = (1 - beta1) * m + beta1 * dw
    v = (1 - beta2) * v + beta2 * dw**2
    m_hat, v_hat = m / (1 - (1 - beta1) ** t), v / (1 - (1 - beta2) ** t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "beta and 1 - beta are exchanged")
def adam_shares_exchanged_in_the_moments(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = (1 - beta1) * m + beta1 * dw
    v = (1 - beta2) * v + beta2 * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "decoupled")
def adam_decay_in_the_gradient(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    g = dw + weight_decay * w
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@planted("adam_step", "the corrected m̂ and v̂ are returned")
def adam_corrections_returned(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = (beta1 * m + (1 - beta1) * dw) / (1 - beta1**t)
    v = (beta2 * v + (1 - beta2) * dw**2) / (1 - beta2**t)
    return w - lr * m / (np.sqrt(v) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "the old m and v are returned")
def adam_moments_not_updated(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m_hat = (beta1 * m + (1 - beta1) * dw) / (1 - beta1**t)
    v_hat = (beta2 * v + (1 - beta2) * dw**2) / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * weight_decay * w, m, v


@planted("adam_step", "weight decay is forgotten")
def adam_without_decay(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@planted("adam_step", "not multiplied by lr")
def adam_decay_without_the_rate(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w * (1 - weight_decay) - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@planted("adam_step", "taken of w after its step")
def adam_decay_after_the_step(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    w = w - lr * weight_decay * w
    return w, m, v


@planted("adam_step", "sign of the weight decay")
def adam_growth(w, dw, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * (m_hat / (np.sqrt(v_hat) + eps) - weight_decay * w), m, v


test_a_planted_mistake_is_named = planted.test()
