"""The mathematics: every operation as a forward/backward pair of functions with an explicit cache.

    y, cache = conv2d_forward(x, w, b, stride=2)
    dx, dw, db = conv2d_backward(dy, cache)

The forward pass returns its result and what the backward pass needs of it; the backward pass takes
the gradient of the loss with respect to the result, `dy` = ∂L/∂y, and returns those with respect to
the inputs. Every formula stands in the docstring of its function, and the code beside it. A cache
keeps the arrays themselves, not copies: change no input, weight or result in place between a
forward pass and its backward pass.

The legend, for all files: N batch, C channels in, F filters (channels out), H W height and width,
oh ow height and width of the output, kh kw of the kernel, K = C·kh·kw, P = oh·ow output pixels.
Images are NCHW, filters FCHW; all arrays of a call share one type, float32 or float64.
"""

from npsqueeze.functional.batchnorm import batch_norm2d_backward, batch_norm2d_forward
from npsqueeze.functional.concat import concat_backward, concat_forward
from npsqueeze.functional.conv import conv2d_backward, conv2d_forward
from npsqueeze.functional.dropout import dropout_backward, dropout_forward
from npsqueeze.functional.fire import fire_backward, fire_forward
from npsqueeze.functional.im2col import col2im, im2col
from npsqueeze.functional.linear import linear_backward, linear_forward
from npsqueeze.functional.loss import (
    softmax,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from npsqueeze.functional.pool import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool2d_backward,
    global_avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from npsqueeze.functional.relu import relu_backward, relu_forward
from npsqueeze.functional.windows import output_size, pool_windows

__all__ = [
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm2d_backward",
    "batch_norm2d_forward",
    "col2im",
    "concat_backward",
    "concat_forward",
    "conv2d_backward",
    "conv2d_forward",
    "dropout_backward",
    "dropout_forward",
    "fire_backward",
    "fire_forward",
    "global_avg_pool2d_backward",
    "global_avg_pool2d_forward",
    "im2col",
    "linear_backward",
    "linear_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "output_size",
    "pool_windows",
    "relu_backward",
    "relu_forward",
    "softmax",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]
