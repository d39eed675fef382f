import numpy as np

from npsqueeze.exercises.momentum import sgd_momentum_step as exercise
from tests.exercise_checks import Planted, verdict_on

planted = Planted()


def step_loops(w, dw, v, lr, momentum, nesterov, weight_decay):
    w, v = w.copy(), v.copy()
    for i in np.ndindex(w.shape):
        g = dw[i] + weight_decay * w[i]
        v[i] = momentum * v[i] + g
        if nesterov:
            w[i] -= lr * (g + momentum * v[i])
        else:
            w[i] -= lr * v[i]
    return w, v


def step_as_a_list(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    along = g + momentum * v if nesterov else v
    return [w - lr * along, v]


def test_right_steps_pass() -> None:
    for function in (step_loops, step_as_a_list):
        verdict = verdict_on("sgd_momentum_step", function)
        assert verdict.passed, verdict.message
        assert f"in all {len(exercise.cases)} cases" in verdict.message
        assert "npsqueeze/optim.py" in verdict.message


@planted("sgd_momentum_step", "damped by (1 - momentum)")
def momentum_damped(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + (1 - momentum) * g
    if nesterov:
        return w - lr * (g + momentum * v), v
    return w - lr * v, v


@planted("sgd_momentum_step", "momentum 0 is taken")
def momentum_velocity_never_used(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v_new = momentum * v + g
    return w - lr * g, v_new


@planted("sgd_momentum_step", "momentum multiplies the new gradient too")
def momentum_of_the_sum(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * (v + g)
    return (w - lr * (g + momentum * v), v) if nesterov else (w - lr * v, v)


@planted("sgd_momentum_step", "does not fade")
def momentum_without_friction(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = v + g
    step = g + momentum * v if nesterov else v
    return w - lr * step, v


@planted("sgd_momentum_step", "the old velocity is forgotten")
def momentum_without_memory(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = g
    step = g + momentum * v if nesterov else v
    return w - lr * step, v


@planted("sgd_momentum_step", "inside the velocity")
def momentum_rate_inside(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + lr * g
    return (w - lr * g - momentum * v, v) if nesterov else (w - v, v)


@planted("sgd_momentum_step", "inside the velocity")
def momentum_rate_inside_as_in_the_paper(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v - lr * g
    if nesterov:
        return w + momentum * v - lr * g, v
    return w + v, v


@planted("sgd_momentum_step", "downhill is against the gradient")
def momentum_uphill(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    if nesterov:
        v_ahead = g + momentum * v
        return w + lr * v_ahead, v
    return w + lr * v, v


@planted("sgd_momentum_step", "look-ahead is missing")
def momentum_nesterov_forgotten(w, dw, v, lr, momentum, nesterov, weight_decay):
    v = momentum * v + dw + weight_decay * w
    return w - lr * v, v


@planted("sgd_momentum_step", "without being asked for")
def momentum_nesterov_always(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v), v


@planted("sgd_momentum_step", "with the old one, that is plain momentum again")
def momentum_nesterov_with_the_old_velocity(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v_prev = v
    v = momentum * v_prev + g
    if nesterov:
        return w - lr * (g + momentum * v_prev), v
    return w - lr * v, v


@planted("sgd_momentum_step", "g + momentum·v, not g + v")
def momentum_nesterov_adds_v(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return (w - lr * (g + v), v) if nesterov else (w - lr * v, v)


@planted("sgd_momentum_step", "twice over")
def momentum_nesterov_twice(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return (w - lr * (v + momentum * v), v) if nesterov else (w - lr * v, v)


@planted("sgd_momentum_step", "adds v once too often", "right already: v")
def momentum_nesterov_on_top(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return w - lr * (nesterov * (g + momentum * v) + v), v


@planted("sgd_momentum_step", "the look-ahead uses dw", "right already: v")
def momentum_nesterov_of_the_raw_gradient(w, dw, v, lr, momentum, nesterov, weight_decay):
    v = momentum * v + (dw + weight_decay * w)
    step = dw + momentum * v if nesterov else v
    return w - lr * step, v


@planted("sgd_momentum_step", "along the old velocity")
def momentum_step_before_the_velocity(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    w = w - lr * (g + momentum * v if nesterov else v)
    v = momentum * v + g
    return w, v


@planted("sgd_momentum_step", "weight decay is forgotten")
def momentum_without_decay(w, dw, v, lr, momentum, nesterov, weight_decay):
    v = momentum * v + dw
    return (w - lr * (dw + momentum * v), v) if nesterov else (w - lr * v, v)


@planted("sgd_momentum_step", "the decay acts on w alone")
def momentum_decoupled(w, dw, v, lr, momentum, nesterov, weight_decay):
    v = momentum * v + dw
    step = dw + momentum * v if nesterov else v
    return w - lr * step - lr * weight_decay * w, v


@planted("sgd_momentum_step", "the decay acts on w alone")
def momentum_decay_after_the_step(w, dw, v, lr, momentum, nesterov, weight_decay):
    v = momentum * v + dw
    w = w - lr * (dw + momentum * v if nesterov else v)
    w = w * (1 - lr * weight_decay)
    return w, v


@planted("sgd_momentum_step", "sign of the weight decay")
def momentum_growth(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw - weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v), v


@planted("sgd_momentum_step", "added without w")
def momentum_decay_without_w(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v), v


@planted("sgd_momentum_step", "decay counts twice")
def momentum_decay_of_the_whole_square(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + 2 * weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v), v


@planted("sgd_momentum_step", "old velocity is returned")
def momentum_velocity_not_updated(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    new = momentum * v + g
    return w - lr * (g + momentum * new if nesterov else new), v


@planted("sgd_momentum_step", "what is returned is the step")
def momentum_the_step_is_returned(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    w = w - lr * (g + momentum * v if nesterov else v)
    return w, lr * v


@planted("sgd_momentum_step", "look-ahead g + momentum·v is returned")
def momentum_the_look_ahead_is_returned(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    if nesterov:
        v = g + momentum * v
    return w - lr * v, v


@planted("sgd_momentum_step", "changes its argument v in place")
def momentum_in_place(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v *= momentum
    v += g
    return w - lr * (g + momentum * v if nesterov else v), v


@planted("sgd_momentum_step", "it returned one array", "expected w, v")
def momentum_velocity_not_returned(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v)


@planted("sgd_momentum_step", "they come in the order v, w")
def momentum_in_the_wrong_order(w, dw, v, lr, momentum, nesterov, weight_decay):
    g = dw + weight_decay * w
    v = momentum * v + g
    return v, w - lr * (g + momentum * v if nesterov else v)


test_a_planted_mistake_is_named = planted.test()
