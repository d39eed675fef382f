"""All Numba code of npsqueeze: arrays in, arrays out.

`jit` decides how kernels are compiled and kept, `threads` who runs them, and `simd` gives them
vectors; the other files hold the kernels. These check nothing, because their callers do. They get
C-contiguous, writable arrays of one float type, and write their result into an array of the
caller's. The work is cut by the problem's shape alone, each element is written by one thread, and
every sum has a fixed order: the same bits come out for any number of threads.
"""

from npsqueeze.kernels.batchnorm import channel_moments, normalize_backward, normalize_forward
from npsqueeze.kernels.conv import add_gathered, convolve, gather, weight_gradient
from npsqueeze.kernels.gemm import gemm
from npsqueeze.kernels.im2col import col2im, im2col
from npsqueeze.kernels.jit import cache_folder, is_compiled, listening
from npsqueeze.kernels.optim import adamw_step, sgd_step
from npsqueeze.kernels.peak import fma_chains, triad
from npsqueeze.kernels.pixels import (
    add_pixels,
    average_pixels,
    drop_pixels,
    max_pool,
    max_pool_backward_pixels,
    moments,
    normalize_backward_pixels,
    normalize_gradient_sums,
    normalize_pixels,
    send_pixels,
    write_pixels,
)
from npsqueeze.kernels.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from npsqueeze.kernels.relu import relu_backward, relu_forward
from npsqueeze.kernels.threads import get_num_threads, set_num_threads, threading_layer
from npsqueeze.kernels.winograd import (
    add_filter_gradients,
    convolve_3x3,
    transform_filters,
    weight_gradient_3x3,
)

__all__ = [
    "adamw_step",
    "add_filter_gradients",
    "add_gathered",
    "add_pixels",
    "average_pixels",
    "avg_pool_backward",
    "avg_pool_forward",
    "cache_folder",
    "channel_moments",
    "col2im",
    "convolve",
    "convolve_3x3",
    "drop_pixels",
    "fma_chains",
    "gather",
    "gemm",
    "get_num_threads",
    "im2col",
    "is_compiled",
    "listening",
    "max_pool",
    "max_pool_backward",
    "max_pool_backward_pixels",
    "max_pool_forward",
    "moments",
    "normalize_backward",
    "normalize_backward_pixels",
    "normalize_forward",
    "normalize_gradient_sums",
    "normalize_pixels",
    "relu_backward",
    "relu_forward",
    "send_pixels",
    "set_num_threads",
    "sgd_step",
    "threading_layer",
    "transform_filters",
    "triad",
    "weight_gradient",
    "weight_gradient_3x3",
    "write_pixels",
]
