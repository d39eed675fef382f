import numpy as np

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from tests.exercise_checks import Planted

planted = Planted()


@planted("softmax_cross_entropy_forward", "the sum over the batch")
def loss_sum(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] += 1 - label_smoothing
    return -(t * log_p).sum()


@planted("softmax_cross_entropy_forward", "over all N·classes numbers")
def loss_mean_over_classes_too(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -np.mean(t * log_p)


@planted("softmax_cross_entropy_forward", "the sign is wrong")
def loss_positive_log(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return np.mean(np.sum(t * log_p, axis=1))


@planted("softmax_cross_entropy_forward", "over the other classes only")
def loss_smoothing_over_the_others(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / (K - 1))
    t[np.arange(N), labels] = 1 - label_smoothing
    return -(t * log_p).sum() / N


@planted("softmax_cross_entropy_forward", "label smoothing is ignored")
def loss_without_smoothing(logits, labels, label_smoothing):
    loss = 0.0
    for z, label in zip(logits, labels, strict=True):
        z = z - z.max()
        loss -= z[label] - np.log(np.exp(z).sum())
    return loss / len(labels)


@planted("softmax_cross_entropy_forward", "the label's target is 1 - ε;")
def loss_target_of_the_label_overwritten(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] = 1 - label_smoothing
    return -(t * log_p).sum() / N


@planted("softmax_cross_entropy_forward", "exp overflows")
def loss_log_of_softmax(logits, labels, label_smoothing):
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "a small number inside the logarithm")
def loss_with_epsilon(logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p + 1e-7)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "logarithm is taken afterwards")
def loss_log_of_an_underflow(logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * np.log(p)).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "not added again")
def loss_forgets_to_add_the_maximum(logits, labels, label_smoothing):
    N, K = logits.shape
    top = logits.max(axis=1)
    lse = np.log(np.exp(logits - top[:, None]).sum(axis=1))
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] += 1 - label_smoothing
    return np.mean(lse - (t * logits).sum(axis=1))


@planted("softmax_cross_entropy_forward", "a loss for each row")
def loss_per_image(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * log_p).sum(axis=1)


@planted("softmax_cross_entropy_forward", "base 2")
def loss_log2(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z / np.log(2) - np.log2(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return -(t * log_p).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "the labels of all rows")
def loss_every_label_for_every_row(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    hard = -log_p[:, labels].mean()
    return (1 - label_smoothing) * hard - label_smoothing * log_p.mean()


@planted("softmax_cross_entropy_forward", "nothing is taken from the label")
def loss_smoothing_added(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return -(t * log_p).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "squared error")
def loss_squared_error(logits, labels, label_smoothing):
    p = F.softmax(logits)
    t = (1 - label_smoothing) * np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return ((p - t) ** 2).sum() / len(labels)


@planted("softmax_cross_entropy_forward", "the logarithm of the probability is missing")
def loss_probability_instead_of_log(logits, labels, label_smoothing):
    p = F.softmax(logits)
    return -p[np.arange(len(labels)), labels].mean()


@planted("softmax_cross_entropy_forward", "every class gets ε")
def loss_smoothing_times_the_sum(logits, labels, label_smoothing):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    hard = -log_p[np.arange(len(labels)), labels]
    return np.mean((1 - label_smoothing) * hard - label_smoothing * log_p.sum(axis=1))


@planted("softmax_cross_entropy_backward", "dloss is ignored")
def loss_backward_forgets_dloss(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return (p - t) / len(labels)


@planted("softmax_cross_entropy_backward", "N times too large")
def loss_backward_forgets_n(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    N, K = p.shape
    p -= label_smoothing / K
    p[np.arange(N), labels] -= 1 - label_smoothing
    return dloss * p


@planted("softmax_cross_entropy_backward", "p - t, not t - p")
def loss_backward_sign(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(logits.shape[1])[labels]
    t = (1 - label_smoothing) * t + label_smoothing / logits.shape[1]
    return dloss * (t - p) / len(labels)


@planted("softmax_cross_entropy_backward", "in whole columns")
def loss_backward_subtracts_in_whole_columns(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    N, K = d.shape
    d -= label_smoothing / K
    d[:, labels] -= 1 - label_smoothing
    return dloss * d / N


@planted("softmax_cross_entropy_backward", "p alone")
def loss_backward_without_target(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return dloss * e / e.sum(axis=1, keepdims=True) / len(labels)


@planted("softmax_cross_entropy_backward", "the mean was taken twice")
def loss_backward_divides_by_n_twice(dloss, logits, labels, label_smoothing):
    N, K = logits.shape
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    t = np.full((N, K), label_smoothing / K) / N
    t[np.arange(N), labels] += (1 - label_smoothing) / N
    return dloss * (e / e.sum(axis=1, keepdims=True) / N - t) / N


@planted("softmax_cross_entropy_backward", "label smoothing is ignored")
def loss_backward_without_smoothing(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    return dloss * d / len(labels)


@planted("softmax_cross_entropy_backward", "over the other classes only")
def loss_backward_smoothing_over_the_others(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    N, K = logits.shape
    t = np.full((N, K), label_smoothing / (K - 1))
    t[np.arange(N), labels] = 1 - label_smoothing
    return dloss * (e / e.sum(axis=1, keepdims=True) - t) / N


@planted("softmax_cross_entropy_backward", "only the label's entry")
def loss_backward_label_entries_only(dloss, logits, labels, label_smoothing):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    d = np.zeros_like(p)
    rows = np.arange(len(labels))
    d[rows, labels] = p[rows, labels] - (1 - label_smoothing) - label_smoothing / p.shape[1]
    return dloss * d / len(labels)


@planted("softmax_cross_entropy_backward", "of the type int64")
def loss_backward_zeros_like_labels(dloss, logits, labels, label_smoothing):
    N, K = logits.shape
    d = np.zeros_like(labels, shape=(N, K))
    for n in range(N):
        e = np.exp(logits[n] - logits[n].max())
        d[n] = dloss * e / e.sum() / N
        d[n, labels[n]] -= dloss / N
    return d


@planted("softmax_cross_entropy_backward", "nothing is taken from the label")
def loss_backward_smoothing_added(dloss, logits, labels, label_smoothing):
    p = F.softmax(logits)
    t = np.eye(logits.shape[1])[labels] + label_smoothing / logits.shape[1]
    return dloss * (p - t) / len(labels)


@planted("softmax_cross_entropy_backward", "at the largest logit")
def loss_backward_of_the_largest(dloss, logits, labels, label_smoothing):
    d = F.softmax(logits)
    d -= label_smoothing / d.shape[1]
    d[np.arange(len(d)), logits.argmax(axis=1)] -= 1 - label_smoothing
    return dloss * d / len(d)


@planted("softmax_cross_entropy_backward", "the label's target is still 1")
def loss_backward_label_keeps_its_one(dloss, logits, labels, label_smoothing):
    p = F.softmax(logits)
    N, K = p.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] = 1
    return dloss * (p - t) / N


@planted("softmax_cross_entropy_backward", "the label's target is 1 - ε;")
def loss_backward_label_without_its_part(dloss, logits, labels, label_smoothing):
    p = F.softmax(logits)
    N, K = p.shape
    t = np.full((N, K), label_smoothing / K)
    t[np.arange(N), labels] = 1 - label_smoothing
    return dloss * (p - t) / N


test_a_planted_mistake_is_named = planted.test()
