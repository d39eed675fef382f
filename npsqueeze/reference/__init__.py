"""Every operation as plain loops over numbers: a transcription of its formula, and nothing else.

These functions are slow, and easy to believe. They are the oracle of the tests, and the first step
of every tutorial. They take the arguments of the pairs in `npsqueeze.functional`, but no cache: a
backward is given dy, the gradient of the loss with respect to y, and what the forward was given.

`for n, c, p, q in np.ndindex(y.shape)` stands for four nested loops, one over each dimension of y,
the last one running fastest. Sums are kept in float64; results have the dtype of the input.
"""

from npsqueeze.reference.batchnorm import batch_norm2d, batch_norm2d_backward
from npsqueeze.reference.concat import concat, concat_backward
from npsqueeze.reference.conv import conv2d, conv2d_backward
from npsqueeze.reference.dropout import dropout, dropout_backward
from npsqueeze.reference.fire import fire, fire_backward
from npsqueeze.reference.im2col import col2im, im2col
from npsqueeze.reference.linear import linear, linear_backward
from npsqueeze.reference.loss import softmax_cross_entropy, softmax_cross_entropy_backward
from npsqueeze.reference.matmul import matmul
from npsqueeze.reference.pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from npsqueeze.reference.relu import relu, relu_backward
from npsqueeze.reference.sizes import output_size

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm2d",
    "batch_norm2d_backward",
    "col2im",
    "concat",
    "concat_backward",
    "conv2d",
    "conv2d_backward",
    "dropout",
    "dropout_backward",
    "fire",
    "fire_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "im2col",
    "linear",
    "linear_backward",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "output_size",
    "relu",
    "relu_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]
