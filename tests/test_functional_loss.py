import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze import reference
from npsqueeze.functional import (
    softmax,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from tests.functional_checks import TOLERANCE, assert_all_close, check_layouts, torch_results
from tests.strategies import assert_close, dtypes, random_array, seeds

smoothings = st.sampled_from([0.0, 0.1, 0.9, 1.0])


def cross_entropy(logits, labels, label_smoothing=0.0, dloss=1.0):
    loss, cache = softmax_cross_entropy_forward(logits, labels, label_smoothing)
    assert type(loss) is float
    return [np.asarray(loss), softmax_cross_entropy_backward(dloss, cache)]


def loops(logits, labels, label_smoothing, dloss):
    target = logits, labels, label_smoothing
    return [
        reference.softmax_cross_entropy(*target),
        reference.softmax_cross_entropy_backward(dloss, *target),
    ]


def torchs(logits, labels, label_smoothing, dloss):
    torch = pytest.importorskip("torch")

    def forward(F, logits):
        return F.cross_entropy(logits, torch.tensor(labels), label_smoothing=label_smoothing)

    return torch_results(forward, [logits], np.float64(dloss))


def check(oracle, n, classes, label_smoothing, seed, dtype):
    """Compare the loss and its gradient with those of the oracle in float64."""
    logits = 3 * random_array((seed, 0), (n, classes), dtype)
    labels = np.random.default_rng((seed, 1)).integers(classes, size=n)
    dloss = float(random_array((seed, 2), ()))
    loss, dlogits = cross_entropy(logits, labels, label_smoothing, dloss)
    assert dlogits.dtype == dtype
    expected = oracle(logits.astype(np.float64), labels, label_smoothing, dloss)
    for result, right in zip((loss, dlogits), expected, strict=True):
        assert_close(result, right, TOLERANCE[np.dtype(dtype)])


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(n=st.integers(1, 5), classes=st.integers(1, 6), label_smoothing=smoothings, seed=seeds)
def test_cross_entropy_is_that_of_the_oracle(oracle, n, classes, label_smoothing, seed):
    check(oracle, n, classes, label_smoothing, seed, np.float64)


@pytest.mark.parametrize("oracle", [loops, torchs])
@given(label_smoothing=smoothings, seed=seeds)
def test_float32(oracle, label_smoothing, seed):
    # Many rows: the gradient p - t of a single sure prediction is all cancellation.
    check(oracle, 30, 7, label_smoothing, seed, np.float32)


@given(st.integers(1, 5), st.integers(1, 6), dtypes, seeds)
def test_softmax_is_torchs(n, classes, dtype, seed):
    logits = 5 * random_array(seed, (n, classes), dtype)
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    torch = pytest.importorskip("torch")
    expected = torch.tensor(logits.astype(np.float64)).softmax(dim=1).numpy()
    assert_all_close([probabilities], [expected], dtype)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_the_loss_of_knowing_nothing_is_the_logarithm_of_the_classes(classes):
    loss, _ = softmax_cross_entropy_forward(np.ones((3, classes), np.float32), np.array([0, 1, 1]))
    assert loss == pytest.approx(math.log(classes), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_do_not_overflow(dtype):
    logits = np.array([[1e4, -1e4, 0], [-np.inf, 1e4, 1e4]], dtype)
    loss, dlogits = cross_entropy(logits, np.array([1, 2]))
    assert loss == pytest.approx((2e4 + math.log(2)) / 2, rel=1e-6)
    assert_close(dlogits, [[0.5, -0.5, 0], [0, 0.25, -0.25]], 1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_nan_propagates_as_in_torch(label_smoothing):
    logits, labels = np.array([[0.0, np.nan], [1.0, 2.0]]), np.array([0, 1])
    actual = cross_entropy(logits, labels, label_smoothing)
    assert_all_close(actual, torchs(logits, labels, label_smoothing, 1.0), np.float64)
    np.testing.assert_array_equal(np.isnan(softmax(logits)), [[True, True], [False, False]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_memory_layout_gives_the_same_bits(dtype):
    labels = np.array([3, 0, 2, 2, 4])
    logits = random_array(0, (5, 6), dtype)
    check_layouts(lambda z: [*cross_entropy(z, labels, 0.1), softmax(z)], logits)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8"])
def test_labels_are_any_integers(dtype):
    logits, labels = random_array(0, (3, 4)), np.array([3, 0, 2])
    expected = cross_entropy(logits, labels)
    np.testing.assert_array_equal(cross_entropy(logits, labels.astype(dtype))[1], expected[1])
    np.testing.assert_array_equal(cross_entropy(logits, labels.tolist())[1], expected[1])


LOGITS, LABELS = random_array(0, (3, 4)), np.array([3, 0, 2])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"logits": LOGITS[0]}, ValueError, "^logits: expected 2 dimensions"),
        ({"logits": LOGITS[:0]}, ValueError, "^logits: expected at least one element"),
        ({"logits": LOGITS.astype(int)}, TypeError, "^logits: "),
        ({"logits": LOGITS.astype(np.float16)}, TypeError, "^logits: .* got float16"),
        ({"labels": LABELS.astype(float)}, TypeError, "^labels: expected integers, got float64"),
        ({"labels": LABELS > 0}, TypeError, "^labels: expected integers, got bool"),
        ({"labels": LABELS[:2]}, ValueError, r"^labels: expected shape \(3,\)"),
        ({"labels": LABELS[:, None]}, ValueError, r"^labels: expected shape \(3,\)"),
        ({"labels": LABELS + 1}, ValueError, "^labels: expected 0 to 3, got 1 to 4"),
        ({"labels": LABELS - 1}, ValueError, "^labels: expected 0 to 3, got -1 to 2"),
        ({"label_smoothing": -0.1}, ValueError, "^label_smoothing: "),
        ({"label_smoothing": 1.1}, ValueError, "^label_smoothing: "),
        ({"label_smoothing": np.nan}, ValueError, "^label_smoothing: "),
    ],
)
def test_bad_input_is_refused_by_name(changes, error, message):
    with pytest.raises(error, match=message):
        softmax_cross_entropy_forward(**{"logits": LOGITS, "labels": LABELS} | changes)


@pytest.mark.parametrize(
    ("logits", "error"), [(LOGITS[0], ValueError), (LOGITS.astype(int), TypeError)]
)
def test_bad_logits_of_softmax_are_refused_by_name(logits, error):
    with pytest.raises(error, match=r"^logits: expected"):
        softmax(logits)
