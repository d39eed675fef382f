"""Softmax and the cross-entropy loss."""

from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array, as_float_array


class CrossEntropyCache(NamedTuple):
    """The predicted probabilities and the target ones, both (N, classes)."""

    probabilities: Array
    targets: Array


def softmax(logits: Array) -> Array:
    """Return the probabilities p_k = exp(z_k)/Σ_j exp(z_j) of logits z, (N, classes).

    The largest logit is subtracted first: it cancels out, and nothing can overflow.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.

    Raises
    ------
    TypeError, ValueError
        If the logits are no array of float32 or float64 numbers with two dimensions.
    """
    return np.exp(_log_softmax(as_float_array("logits", logits, 2)))


def softmax_cross_entropy_forward(
    logits: Array, labels: Array, label_smoothing: float = 0.0
) -> tuple[float, CrossEntropyCache]:
    r"""Return the mean cross-entropy between the softmax of the logits and the labels.

    .. math:: L = -\frac{1}{N} \sum_n \sum_k t_{nk} \log p_{nk}, \qquad
              \log p_{nk} = z_{nk} - \log \sum_j e^{z_{nj}}

    The target t is 1 for the label and 0 elsewhere; with `label_smoothing` ε it is
    1 - ε + ε/classes for the label and ε/classes elsewhere.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.

    Parameters
    ----------
    logits : (N, classes)
    labels : (N,) integers
    label_smoothing : float
        0 <= ε <= 1

    Returns
    -------
    loss : float
    cache : for `softmax_cross_entropy_backward`

    Raises
    ------
    TypeError, ValueError
        If the labels are no integers, one is out of range, or a shape or ε is not as stated.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, section 7
    (label smoothing).
    """
    logits, labels = as_float_array("logits", logits, 2), np.asarray(labels)
    n, classes = logits.shape
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if labels.shape != (n,):
        raise ValueError(
            f"labels: expected shape ({n},), one for each row of logits, got {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels: expected 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing: expected a number from 0 to 1, got {label_smoothing}")

    targets = np.full_like(logits, label_smoothing / classes)
    targets[np.arange(n), labels] += 1 - label_smoothing
    log_probabilities = _log_softmax(logits)
    wanted = targets > 0  # elsewhere a log-probability of -∞ costs nothing, but -∞·0 is NaN
    loss = -np.sum(targets[wanted] * log_probabilities[wanted], dtype=np.float64) / n
    return float(loss), CrossEntropyCache(np.exp(log_probabilities), targets)


def softmax_cross_entropy_backward(dloss: float, cache: CrossEntropyCache) -> Array:
    """Return dlogits = dloss·(p - t)/N.

    From L = Σ_k t_k·(log Σ_j exp(z_j) - z_k)/N and Σ_k t_k = 1: ∂L/∂z_k = (p_k - t_k)/N. Training
    starts the backward pass here, with dloss = 1.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.
    """
    probabilities, targets = cache
    return (probabilities - targets) * probabilities.dtype.type(dloss / len(targets))


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
