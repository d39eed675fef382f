"""Softmax followed by the cross-entropy, as one operation."""

import math

import numpy as np

from npsqueeze.arrays import Array, check_shape


def softmax_cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0) -> float:
    """Return the mean loss of logits (N, classes) against labels (N,), 0 to classes - 1.

        loss = 1/N Σ_n Σ_k t[n, k] (log Σ_j exp(z[n, j]) - z[n, k])

    where z are the logits and t is the target: 1 at the label and 0 elsewhere, or, smoothed,
    (1 - label_smoothing) times that plus label_smoothing / classes everywhere.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.

    Source: Szegedy et al., Rethinking the Inception architecture for computer vision (2016),
    section 7, for the smoothing.

    Raises
    ------
    ValueError
        If a label or label_smoothing is out of range, or the shapes do not fit together.
    """
    targets = _targets(logits, labels, label_smoothing)
    loss = 0.0
    for z, t in zip(logits.tolist(), targets.tolist(), strict=True):
        for k in range(len(z)):
            # A class that is no target costs nothing, even at -inf (where 0 times inf is NaN).
            if t[k] > 0:
                loss += t[k] * (_log_sum_exp(z) - z[k]) / len(logits)
    return loss


def softmax_cross_entropy_backward(
    dloss: float, logits: Array, labels: Array, label_smoothing: float = 0.0
) -> Array:
    """Return dlogits (N, classes): dloss (softmax(z) - t) / N, since Σ_k t[n, k] = 1.

    Derived in tutorials/05_linear_and_cross_entropy.ipynb.
    """
    targets = _targets(logits, labels, label_smoothing)
    dlogits = np.zeros_like(logits)
    for n, z in enumerate(logits.tolist()):
        for k in range(len(z)):
            probability = math.exp(z[k] - _log_sum_exp(z))
            dlogits[n, k] = dloss * (probability - targets[n, k]) / len(logits)
    return dlogits


def _log_sum_exp(z: list[float]) -> float:
    """Return log Σ exp(z), with the largest exponent shifted to 0 so that nothing overflows."""
    largest = max(z)
    return largest + math.log(sum(math.exp(value - largest) for value in z))


def _targets(logits: Array, labels: Array, label_smoothing: float) -> Array:
    """Return the target distribution t (N, classes)."""
    N, classes = logits.shape
    check_shape("labels", labels, (N,))
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing: expected a number from 0 to 1, got {label_smoothing}")
    targets = np.zeros((N, classes))
    for n, k in np.ndindex(targets.shape):
        if labels[n] not in range(classes):
            raise ValueError(f"labels: expected classes from 0 to {classes - 1}, got {labels[n]}")
        targets[n, k] = (1 - label_smoothing) * (k == labels[n]) + label_smoothing / classes
    return targets
