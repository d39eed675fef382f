import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


@planted("softmax", "over the batch (axis 0)")
def softmax_axis_0(logits):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


@planted("softmax", "over all numbers")
def softmax_over_everything(logits):
    e = np.exp(logits - np.max(logits))
    return e / np.sum(e)


@planted("softmax", "exp overflows")
def softmax_overflows(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "one maximum is subtracted for the whole batch")
def softmax_one_shift_for_all_rows(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "logarithm of the softmax")
def softmax_log(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@planted("softmax", "exp is missing")
def softmax_without_exp(logits):
    return logits / logits.sum(axis=1, keepdims=True)


@planted("softmax", "not divided by the sum of its row")
def softmax_divided_by_the_largest(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.max(axis=1, keepdims=True)


@planted("softmax", "sigmoid")
def softmax_sigmoid(logits):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


@planted("softmax", "nearly right")
def softmax_in_float16(logits):
    z = (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "of each column was subtracted")
def softmax_max_over_axis_0(logits):
    e = np.exp(logits - logits.max(axis=0, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@planted("softmax", "could not be broadcast", "by keepdims=True")
def softmax_no_keepdims(logits):
    e = np.exp(logits - logits.max(axis=1)[:, None])
    return e / e.sum(axis=1)


@planted("softmax", "1 for the largest logit")
def softmax_one_hot(logits):
    return np.eye(logits.shape[1])[logits.argmax(axis=1)]


@planted("softmax", "2 to the power of z")
def softmax_base_two(logits):
    e = 2.0 ** (logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


test_a_planted_mistake_is_named = planted.test()
