import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


@planted("linear_backward", "dw: transposed")
def linear_backward_dw_transposed(dy, x, w):
    return dy @ w, x.T @ dy, dy.sum(axis=0)


@planted("linear_backward", "dx: w is transposed", "`return dy @ w.T")
def linear_backward_w_the_other_way(dy, x, w):
    return dy @ w.T, dy.T @ x, dy.sum(axis=0)


@planted("linear_backward", "db: the shape (1, M) remains")
def linear_backward_db_keepdims(dy, x, w):
    return dy @ w, dy.T @ x, np.sum(dy, axis=0, keepdims=True)


@planted("linear_backward", "dw: N times too small", "db: N times too small")
def linear_backward_mean(dy, x, w):
    N = len(x)
    return dy @ w, dy.T @ x / N, dy.mean(axis=0)


@planted("linear_backward", "db: the sum runs over the outputs")
def linear_backward_db_over_the_wrong_axis(dy, x, w):
    return np.dot(dy, w), np.dot(dy.T, x), np.sum(dy, axis=1)


@planted("linear_backward", "db: sum over the batch")
def linear_backward_db_is_dy(dy, x, w):
    return dy.dot(w), dy.T.dot(x), dy


@planted("linear_backward", "db: one number for all")
def linear_backward_db_one_number(dy, x, w):
    return dy @ w, dy.T @ x, np.sum(dy)


@planted("linear_backward", "in the order dw, db, dx; expected dx, dw, db")
def linear_backward_dw_first(dy, x, w):
    return dy.T @ x, dy.sum(axis=0), dy @ w


@planted("linear_backward", "dw: only the last row", "db: only the last row")
def linear_backward_dw_overwritten(dy, x, w):
    dx = np.zeros_like(x)
    for n in range(len(x)):
        dx[n] = w.T @ dy[n]
        dw = np.outer(dy[n], x[n])
        db = dy[n]
    return dx, dw, db


@planted("linear_backward", "dx: dy meets x", "dw: dy meets w")
def linear_backward_x_and_w_mixed_up(dy, x, w):
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for n in range(x.shape[0]):
        for m in range(w.shape[0]):
            for d in range(x.shape[1]):
                dx[n, d] += dy[n, m] * x[n, d]
                dw[m, d] += dy[n, m] * w[m, d]
    return dx, dw, dy.sum(axis=0)


@planted("linear_backward", "dx: M (the number of outputs) times too small")
def linear_backward_divided_by_m(dy, x, w):
    return dy @ w / len(w), dy.T @ x, dy.sum(axis=0)


@planted(
    "linear_backward", "dx: twice too large", "dw: the sign is wrong", "db: it is zero everywhere"
)
def linear_backward_dx_twice(dy, x, w):
    dx = np.zeros_like(x)
    for _ in range(2):
        dx += dy @ w
    return dx, -(dy.T @ x), np.zeros(len(w))


test_a_planted_mistake_is_named = planted.test()
