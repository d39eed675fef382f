import numpy as np

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from npsqueeze.exercises.batch_normalisation import batch_norm2d_backward as exercise
from tests.exercise_checks import Planted, verdict_on

planted = Planted()
AXES = (0, 2, 3)


def forward(x, running_mean, running_var, training, eps):
    """Return what most of the functions below begin with: 1/σ and x̂."""
    if training:
        mu, var = x.mean(axis=AXES, keepdims=True), x.var(axis=AXES, keepdims=True)
    else:
        mu, var = running_mean[:, None, None], running_var[:, None, None]
    s = 1 / np.sqrt(var + eps)
    return s, (x - mu) * s


def node_by_node(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    m = x.size // x.shape[1]
    dw, db = np.einsum("nchw,nchw->c", dy, x_hat), np.einsum("nchw->c", dy)
    dx_hat = w.reshape(1, -1, 1, 1) * dy
    if not training:
        return dx_hat * s, dw, db
    centred = x - x.mean(axis=AXES, keepdims=True)
    dvar = np.sum(dx_hat * centred * -0.5 * s**3, axis=AXES, keepdims=True)
    dmu = np.sum(-dx_hat * s, axis=AXES, keepdims=True)
    return dx_hat * s + dvar * 2 * centred / m + dmu / m, dw, db


def channel_by_channel(dy, x, w, running_mean, running_var, training, eps):
    dx, dw, db = np.zeros(x.shape), [], []
    for c in range(x.shape[1]):
        v, d = x[:, c].ravel(), dy[:, c].ravel()
        mu, var = (v.mean(), v.var()) if training else (running_mean[c], running_var[c])
        s = (var + eps) ** -0.5
        x_hat = (v - mu) * s
        dw.append(d @ x_hat)
        db.append(d.sum())
        if training:
            d = d - db[-1] / len(v) - x_hat * dw[-1] / len(v)
        dx[:, c] = (w[c] * s * d).reshape(x[:, c].shape)
    return dx, dw, db


def of_the_cache(dy, cache):
    return F.batch_norm2d_backward(dy, cache)


def test_right_functions_pass() -> None:
    for function in (node_by_node, channel_by_channel, of_the_cache):
        verdict = verdict_on("batch_norm2d_backward", function)
        assert verdict.passed, verdict.message
        assert f"in all {len(exercise.cases)} cases" in verdict.message
        assert "finite differences agree" in verdict.message
        assert "One thing more" not in verdict.message


@planted("batch_norm2d_backward", "neither μ nor σ² is a constant", "right already: dw, db")
def batch_norm_moments_as_constants(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    return w[:, None, None] * s * dy, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


@planted("batch_norm2d_backward", "the way through the mean is missing")
def batch_norm_mean_as_a_constant(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    dx_hat = dy * w[:, None, None]
    dx = dx_hat * s
    if training:
        centred = x - x.mean(axis=AXES, keepdims=True)
        dvar = (dx_hat * centred).sum(axis=AXES, keepdims=True) * -0.5 * s**3
        dx = dx + dvar * 2 * centred / (x.size / x.shape[1])
    return dx, dw, db


@planted("batch_norm2d_backward", "the way through the variance is missing")
def batch_norm_variance_as_a_constant(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    g = dy - dy.mean(axis=AXES, keepdims=True) if training else dy
    return w[:, None, None] * s * g, dw, db


def closed_form(dy, x_hat, s, w, training, dw, db, m):
    g = dy
    if training:
        g = dy - (db[:, None, None] + x_hat * dw[:, None, None]) / m
    return w[:, None, None] * s * g, dw, db


@planted("batch_norm2d_backward", "sums where means are wanted")
def batch_norm_sums_for_means(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    return closed_form(dy, x_hat, s, w, training, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES), 1)


@planted("batch_norm2d_backward", "m is the number of numbers in a channel, N·H·W")
def batch_norm_divided_by_the_batch(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    return closed_form(
        dy, x_hat, s, w, training, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES), x.shape[0]
    )


@planted("batch_norm2d_backward", "m is the number of numbers in a channel, N·H·W")
def batch_norm_divided_by_the_pixels(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    m = x.shape[2] * x.shape[3]
    return closed_form(dy, x_hat, s, w, training, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES), m)


@planted("batch_norm2d_backward", "the last correction lacks x̂")
def batch_norm_without_x_hat(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    g = dy
    if training:
        g = dy - dy.mean(axis=AXES, keepdims=True) - (dy * x_hat).mean(axis=AXES, keepdims=True)
    return w[:, None, None] * s * g, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


@planted("batch_norm2d_backward", "a sign is wrong")
def batch_norm_wrong_sign_of_dvar(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    g = dy
    if training:
        g = dy - dy.mean(axis=AXES, keepdims=True)
        g = g + x_hat * (dy * x_hat).mean(axis=AXES, keepdims=True)
    return w[:, None, None] * s * g, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


def by_dvar(dy, x, w, running_mean, running_var, training, eps, slope, square):
    """Return the long road, with dvar as Σ dx̂·(x - μ)·slope(s) and a factor of 2 that may lack."""
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    dx_hat = dy * w[:, None, None]
    if not training:
        return dx_hat * s, dw, db
    centred = x - x.mean(axis=AXES, keepdims=True)
    dvar = (dx_hat * centred).sum(axis=AXES, keepdims=True) * slope(s)
    dcentred = dx_hat * s + dvar * square * centred / (x.size / x.shape[1])
    return dcentred - dcentred.mean(axis=AXES, keepdims=True), dw, db


@planted("batch_norm2d_backward", "is it the ½ that is lost")
def batch_norm_without_the_half(dy, x, w, running_mean, running_var, training, eps):
    return by_dvar(dy, x, w, running_mean, running_var, training, eps, lambda s: -(s**3), 2)


@planted("batch_norm2d_backward", "is it the 2 that is lost")
def batch_norm_without_the_two(dy, x, w, running_mean, running_var, training, eps):
    return by_dvar(dy, x, w, running_mean, running_var, training, eps, lambda s: -(s**3) / 2, 1)


@planted("batch_norm2d_backward", "the slope of the root")
def batch_norm_root_to_the_power_of_a_half(dy, x, w, running_mean, running_var, training, eps):
    return by_dvar(dy, x, w, running_mean, running_var, training, eps, lambda s: -0.5 * s, 2)


@planted("batch_norm2d_backward", "made a unit vector by its own length")
def batch_norm_projections(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    g = dy.copy()
    if training:
        for c in range(x.shape[1]):
            ones = np.ones(x[:, c].shape) / np.sqrt(x[:, c].size)
            length = np.linalg.norm(x_hat[:, c])
            with np.errstate(invalid="ignore"):
                unit = x_hat[:, c] / length
            g[:, c] -= ones * np.sum(ones * dy[:, c]) + unit * np.sum(unit * dy[:, c])
    return w[:, None, None] * s * g, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


@planted("batch_norm2d_backward", "w is forgotten")
def batch_norm_without_w(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, np.ones(len(w)), training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "w is there twice")
def batch_norm_w_twice(dy, x, w, running_mean, running_var, training, eps):
    dx, dw, db = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    return w[:, None, None] * dx, dw, db


@planted("batch_norm2d_backward", "the factor 1/√(σ² + eps) is missing")
def batch_norm_without_the_std(dy, x, w, running_mean, running_var, training, eps):
    _, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, 1.0, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "divided by the variance", "right already: dw, db")
def batch_norm_variance_for_std_in_dx(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s**2, w, training, dw, db, x.size / len(w))


def normalised_by(inverse_std, dy, x, w, running_mean, running_var, training, eps):
    if training:
        mu, var = x.mean(axis=AXES, keepdims=True), x.var(axis=AXES, keepdims=True)
    else:
        mu, var = running_mean[:, None, None], running_var[:, None, None]
    with np.errstate(all="ignore"):
        s = inverse_std(var, eps)
        x_hat = (x - mu) * s
        dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
        return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "divided by the variance", "right already: db")
def batch_norm_variance_for_std(*arguments):
    return normalised_by(lambda var, eps: 1 / (var + eps), *arguments)


@planted("batch_norm2d_backward", "multiplied by the standard deviation")
def batch_norm_times_std(*arguments):
    return normalised_by(lambda var, eps: np.sqrt(var + eps), *arguments)


@planted("batch_norm2d_backward", "eps is outside the root")
def batch_norm_eps_outside(*arguments):
    return normalised_by(lambda var, eps: 1 / (np.sqrt(var) + eps), *arguments)


@planted("batch_norm2d_backward", "eps is forgotten")
def batch_norm_without_eps(*arguments):
    return normalised_by(lambda var, eps: 1 / np.sqrt(var), *arguments)


def over(axes, dy, x, w, running_mean, running_var, training, eps):
    if training:
        mu, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    else:
        mu, var = running_mean[:, None, None], running_var[:, None, None]
    s = 1 / np.sqrt(var + eps)
    x_hat = (x - mu) * s
    dx_hat = w[:, None, None] * dy
    if training:
        dx_hat = (
            dx_hat
            - dx_hat.mean(axis=axes, keepdims=True)
            - x_hat * (dx_hat * x_hat).mean(axis=axes, keepdims=True)
        )
    return s * dx_hat, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


@planted("batch_norm2d_backward", "the moments are taken per pixel")
def batch_norm_moments_of_every_pixel(*arguments):
    return over((0,), *arguments)


@planted("batch_norm2d_backward", "the moments are taken per picture")
def batch_norm_moments_of_every_image(*arguments):
    return over((2, 3), *arguments)


@planted("batch_norm2d_backward", "the moments are taken over the channels of a picture")
def batch_norm_moments_over_the_channels(*arguments):
    return over((1, 2, 3), *arguments)


@planted("batch_norm2d_backward", "the moments are taken over all channels at once")
def batch_norm_moments_of_everything(*arguments):
    return over((0, 1, 2, 3), *arguments)


def moments_over(mean_axes, var_axes, dy, x, w, running_mean, running_var, training, eps):
    """Return the short form with moments over other axes; its own sums are right."""
    mu, var = running_mean[:, None, None], running_var[:, None, None]
    if training:
        mu, var = x.mean(axis=mean_axes, keepdims=True), x.var(axis=var_axes, keepdims=True)
    s = 1 / np.sqrt(var + eps)
    x_hat = (x - mu) * s
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "the moments are taken per picture")
def batch_norm_moments_alone_of_every_picture(*arguments):
    return moments_over((2, 3), (2, 3), *arguments)


@planted("batch_norm2d_backward", "the moments are taken per pixel")
def batch_norm_moments_alone_of_every_pixel(*arguments):
    return moments_over(0, 0, *arguments)


@planted("batch_norm2d_backward", "the moments are taken over all channels at once")
def batch_norm_moments_alone_of_everything(*arguments):
    return moments_over(None, None, *arguments)


@planted("batch_norm2d_backward", "one mean for all channels; each channel has its own")
def batch_norm_one_mean(*arguments):
    return moments_over(None, AXES, *arguments)


@planted("batch_norm2d_backward", "one variance for all channels; each channel has its own")
def batch_norm_one_variance(*arguments):
    return moments_over(AXES, None, *arguments)


def short_form(dy, x, w, running_mean, running_var, training, eps, mean_dy, mean_dy_x_hat):
    """Return the short form with other means, functions of an array."""
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    g = dy - mean_dy(dy) - x_hat * mean_dy_x_hat(dy * x_hat) if training else dy
    return w[:, None, None] * s * g, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


def of_a_channel(array):
    return array.mean(axis=AXES, keepdims=True)


@planted("batch_norm2d_backward", "one mean of dy for all channels", "right already: dw, db")
def batch_norm_one_mean_of_dy(*arguments):
    return short_form(*arguments, np.mean, of_a_channel)


@planted("batch_norm2d_backward", "the means in dx are taken over all channels at once")
def batch_norm_one_mean_of_dy_and_of_dy_x_hat(*arguments):
    return short_form(*arguments, np.mean, np.mean)


@planted("batch_norm2d_backward", "the means in dx are taken per picture", "right already: dw, db")
def batch_norm_means_of_every_picture(*arguments):
    def of_a_picture(array):
        return array.mean(axis=(2, 3), keepdims=True)

    return short_form(*arguments, of_a_picture, of_a_picture)


@planted("batch_norm2d_backward", "the moments are taken over all channels at once")
def batch_norm_all_means_of_everything(dy, x, w, running_mean, running_var, training, eps):
    if not training:
        return node_by_node(dy, x, w, running_mean, running_var, training, eps)
    s = 1 / np.sqrt(x.var() + eps)
    x_hat = (x - x.mean()) * s
    g = dy - dy.mean() - x_hat * (dy * x_hat).mean()
    return w[:, None, None] * s * g, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


@planted("batch_norm2d_backward", "only the running one divides by m - 1")
def batch_norm_unbiased_variance(dy, x, w, running_mean, running_var, training, eps):
    if training:
        mu, var = x.mean(axis=AXES, keepdims=True), x.var(axis=AXES, keepdims=True, ddof=1)
    else:
        mu, var = running_mean[:, None, None], running_var[:, None, None]
    s = 1 / np.sqrt(var + eps)
    x_hat = (x - mu) * s
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "the running moments are used")
def batch_norm_running_moments(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, False, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "the running moments are used")
def batch_norm_inference_always(dy, x, w, running_mean, running_var, training, eps):
    return node_by_node(dy, x, w, running_mean, running_var, False, eps)


@planted("batch_norm2d_backward", "in inference x̂ takes running_mean and running_var")
def batch_norm_training_always(dy, x, w, running_mean, running_var, training, eps):
    return node_by_node(dy, x, w, running_mean, running_var, True, eps)


@planted("batch_norm2d_backward", "in inference x̂ takes running_mean and running_var")
def batch_norm_batch_moments_in_inference(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, True, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "training and inference are exchanged", "right already: db")
def batch_norm_modes_exchanged(dy, x, w, running_mean, running_var, training, eps):
    return node_by_node(dy, x, w, running_mean, running_var, not training, eps)


@planted("batch_norm2d_backward", "training and inference are exchanged", "right already: dw, db")
def batch_norm_corrections_exchanged(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, not training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "running_var is used as it is", "right already: db")
def batch_norm_running_var_unbiased_again(dy, x, w, running_mean, running_var, training, eps):
    m = x.size / len(w)
    return node_by_node(dy, x, w, running_mean, running_var * m / (m - 1), training, eps)


@planted("batch_norm2d_backward", "in inference the moments are constants")
def batch_norm_corrections_in_inference(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, True, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "x stands where x̂ stands", "right already: dx, db")
def batch_norm_dw_of_x(dy, x, w, running_mean, running_var, training, eps):
    dx, _, db = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    return dx, (dy * x).sum(axis=AXES), db


@planted("batch_norm2d_backward", "x - μ is not yet normalised")
def batch_norm_dw_of_centred_x(dy, x, w, running_mean, running_var, training, eps):
    dx, _, db = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    mean = x.mean(axis=AXES, keepdims=True) if training else running_mean[:, None, None]
    return dx, (dy * (x - mean)).sum(axis=AXES), db


def of_its_sums(sum_of, dy, x, w, running_mean, running_var, training, eps):
    """Return the short form, built from sums that may be wrong: those of (dy, x, x̂, σ)."""
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    dw, db = sum_of(dy, x, x_hat, 1 / s)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "dx: follows from your dw; mend dw", "dw: x - μ is not yet norm")
def batch_norm_dx_of_the_centred_dw(*arguments):
    def sums(dy, x, x_hat, std):
        return (dy * (x_hat * std)).sum(axis=AXES), dy.sum(axis=AXES)

    return of_its_sums(sums, *arguments)


@planted(
    "batch_norm2d_backward", "dx: follows from your dw; mend dw", "dw: x stands where x̂ stands"
)
def batch_norm_dx_of_the_dw_of_x(*arguments):
    def sums(dy, x, x_hat, std):
        return (dy * x).sum(axis=AXES), dy.sum(axis=AXES)

    return of_its_sums(sums, *arguments)


@planted("batch_norm2d_backward", "dx: follows from your dw; mend dw", "dw: the sign is wrong")
def batch_norm_dx_of_a_negative_dw(*arguments):
    def sums(dy, x, x_hat, std):
        return -(dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)

    return of_its_sums(sums, *arguments)


@planted("batch_norm2d_backward", "dx: follows from your db; mend db first", "right already: dw")
def batch_norm_dx_of_a_strange_db(*arguments):
    def sums(dy, x, x_hat, std):
        return (dy * x_hat).sum(axis=AXES), np.abs(dy).sum(axis=AXES)

    return of_its_sums(sums, *arguments)


@planted(
    "batch_norm2d_backward", "follows from your dw and db; mend them", "a mean over the channel"
)
def batch_norm_dx_of_means(*arguments):
    def sums(dy, x, x_hat, std):
        return (dy * x_hat).mean(axis=AXES), dy.mean(axis=AXES)

    return of_its_sums(sums, *arguments)


@planted("batch_norm2d_backward", "dx and dw: the factor 1/√(σ² + eps) is missing in x̂")
def batch_norm_x_hat_is_centred_x(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    x_hat = x_hat / s
    dw, db = (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)
    return closed_form(dy, x_hat, s, w, training, dw, db, x.size / len(w))


@planted("batch_norm2d_backward", "dw: that is db")
def batch_norm_dw_is_db(dy, x, w, running_mean, running_var, training, eps):
    dx, _, db = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    return dx, db.copy(), db


@planted("batch_norm2d_backward", "dw: w is in it")
def batch_norm_dw_with_w(dy, x, w, running_mean, running_var, training, eps):
    dx, dw, db = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    return dx, w * dw, db


@planted("batch_norm2d_backward", "dw: a mean over the channel", "db: a mean over the channel")
def batch_norm_means_for_sums(dy, x, w, running_mean, running_var, training, eps):
    dx, _, _ = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    _, x_hat = forward(x, running_mean, running_var, training, eps)
    return dx, (dy * x_hat).mean(axis=AXES), dy.mean(axis=AXES)


@planted("batch_norm2d_backward", "dw: summed over the batch only", "db: summed over the batch")
def batch_norm_sums_over_the_batch(dy, x, w, running_mean, running_var, training, eps):
    dx, _, _ = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    _, x_hat = forward(x, running_mean, running_var, training, eps)
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


@planted("batch_norm2d_backward", "dw: it has shape (1, 3, 1, 1)", "reshape them")
def batch_norm_keepdims_remain(dy, x, w, running_mean, running_var, training, eps):
    dx, _, _ = node_by_node(dy, x, w, running_mean, running_var, training, eps)
    _, x_hat = forward(x, running_mean, running_var, training, eps)
    dw = (dy * x_hat).sum(axis=AXES, keepdims=True)
    return dx, dw, dy.sum(axis=AXES, keepdims=True)


@planted("batch_norm2d_backward", "could not be broadcast")
def batch_norm_w_along_the_columns(dy, x, w, running_mean, running_var, training, eps):
    s, x_hat = forward(x, running_mean, running_var, training, eps)
    return w * s * dy, (dy * x_hat).sum(axis=AXES), dy.sum(axis=AXES)


test_a_planted_mistake_is_named = planted.test()
