"""What NHWC images go through beside convolution: a pixel is a row of channels, and so of vectors.

Pixels are given by tables of offsets in memory, so that images may have a border.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.gemm import ceil_divide
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import (
    add,
    fill,
    fma,
    keep_equal,
    keep_positive,
    lanes,
    load,
    multiply,
    select_above,
    store,
    zeros,
)

MOMENT_PIXELS = 512  # that one partial sum of a normalisation adds up, in float64
RUN_PIXELS = 128  # of these, added up in the images' own type


@kernel(parallel=True)
def write_pixels(
    images: Array, y: Array, rows: Array, channels: int, channel_places: Array
) -> None:
    """Write images (N, C, H, W) pixel by pixel.

    Parameters
    ----------
    y : one-dimensional
    rows : (N·H,) offsets in y at which the rows of pixels start
    channels : int
        The size of a pixel.
    channel_places : (C,) where in a pixel each channel is
    """
    height, width = images.shape[2:]
    for i in prange(rows.size):
        pixels = y[rows[i] : rows[i] + width * channels].reshape(width, channels)
        for c, place in enumerate(channel_places):
            pixels[:, place] = images[i // height, c, i % height]


@kernel(parallel=True)
def average_pixels(x: Array, pixels: Array, y: Array, places: Array, channels: int) -> None:
    """Write the mean of each image's pixels; the channels are whole vectors.

    Parameters
    ----------
    x, y : one-dimensional
    pixels : (all pixels,) offsets in x
    places : (images,) offsets in y
    """
    vectors, per_image = channels // lanes(x), pixels.size // places.size
    share = fill(x, x.dtype.type(1 / per_image))
    for task in prange(places.size * vectors):
        image, c = task // vectors, task % vectors * lanes(x)
        total = zeros(x)
        for p in range(image * per_image, (image + 1) * per_image):
            total = add(total, load(x, pixels[p] + c))
        store(y, places[image] + c, multiply(total, share))


@kernel(parallel=True)
def max_pool(
    x: Array, image: int, windows: Array, y: Array, places: Array, winner: Array, channels: int
) -> None:
    """Write each window's maximum, and in `winner` the number of the tap where it is.

    Parameters
    ----------
    x, y, winner : one-dimensional
        A window's winners stand one after the other, its channels are whole vectors.
    image : int
        The size of an image in x.
    windows : (windows of an image, taps)
        The offsets in an image. A tap outside repeats the first one inside: it never wins, but if
        it is number 0, that number stands for the first one inside.
    places : (all windows,) offsets in y
    """
    per_image, taps = windows.shape
    for o in prange(places.size):
        start, window = o // per_image * image, windows[o % per_image]
        for c in range(0, channels, lanes(x)):
            best, number = load(x, start + window[0] + c), zeros(x)
            for t in range(1, taps):
                value, this = load(x, start + window[t] + c), fill(x, x.dtype.type(t))
                number = select_above(value, best, this, number)
                best = select_above(value, best, value, best)
            store(y, places[o] + c, best)
            store(winner, o * channels + c, number)


@kernel(parallel=True)
def max_pool_backward_pixels(
    dy: Array, places: Array, winner: Array, covering: Array, dx: Array, pixels: Array,
    channels: int, y: Array, accumulate: bool, gated: bool,
) -> None:  # fmt: skip
    """Write for each pixel of x what it gets from the windows that it won.

    Where `gated`, nothing comes from a maximum that is not positive. (What dx held is not gated.)

    Parameters
    ----------
    dy, dx, y : one-dimensional; y has the places of dy
    places : (all windows,) offsets in dy
    winner : as `max_pool` wrote it
    covering : (pixels of an image, most windows that see one, 2)
        The number of a window in its image, and that of the tap; -1 for none.
    pixels : (all pixels,) offsets in dx
    """
    per_image, most = covering.shape[:2]
    windows = places.size // (pixels.size // per_image)
    for i in prange(pixels.size):
        first_window, cover = i // per_image * windows, covering[i % per_image]
        for c in range(0, channels, lanes(dx)):
            total = load(dx, pixels[i] + c) if accumulate else zeros(dx)
            for e in range(most):
                if cover[e, 0] >= 0:
                    window, tap = first_window + cover[e, 0], fill(dx, dx.dtype.type(cover[e, 1]))
                    gradient = load(dy, places[window] + c)
                    if gated:
                        gradient = keep_positive(gradient, load(y, places[window] + c))
                    won = keep_equal(gradient, load(winner, window * channels + c), tap)
                    total = add(total, won)
            store(dx, pixels[i] + c, total)


@kernel(parallel=True)
def add_pixels(
    x: Array, x_pixels: Array, other: Array, other_pixels: Array,
    y: Array, places: Array, channels: int,
) -> None:  # fmt: skip
    """Write y = x + other, pixel by pixel; the channels are whole vectors."""
    for i in prange(places.size):
        for c in range(0, channels, lanes(x)):
            total = add(load(x, x_pixels[i] + c), load(other, other_pixels[i] + c))
            store(y, places[i] + c, total)


@kernel(parallel=True)
def send_pixels(
    dy: Array, places: Array, dx: Array, pixels: Array, channels: int,
    x: Array, accumulate: bool, gated: bool,
) -> None:  # fmt: skip
    """Write dy to dx, or add it; where `gated`, zero where x is not positive.

    The channels are whole vectors, and x has the places of dx.
    """
    for i in prange(places.size):
        for c in range(0, channels, lanes(x)):
            at, gradient = pixels[i] + c, load(dy, places[i] + c)
            if accumulate:
                gradient = add(gradient, load(dx, at))
            if gated:
                gradient = keep_positive(gradient, load(x, at))
            store(dx, at, gradient)


@kernel(parallel=True)
def drop_pixels(
    x: Array, x_pixels: Array, kept: Array, channel_places: Array, scale: float,
    y: Array, places: Array,
) -> None:  # fmt: skip
    """Write y = x·scale for what is kept, and x·0 for all other.

    Parameters
    ----------
    x, y : one-dimensional
    x_pixels, places : (all pixels,) offsets
    kept : (images, channels, pixels of an image) bool
    channel_places : (channels,) where in a pixel each channel is
    """
    per_image = kept.shape[2]
    for i in prange(places.size):
        keeps, pixel = kept[i // per_image], i % per_image
        for c, place in enumerate(channel_places):
            factor = scale if keeps[c, pixel] else x.dtype.type(0)
            y[places[i] + place] = x[x_pixels[i] + place] * factor


@kernel(parallel=True)
def moments(x: Array, pixels: Array, mean: Array, variance: Array) -> None:
    """Write mean and (biased) variance of each channel, in float64.

    The channels are whole vectors.
    """
    channels, chunks = mean.size, ceil_divide(pixels.size, MOMENT_PIXELS)
    sums, squares = np.zeros((chunks, channels)), np.zeros((chunks, channels))
    first = x[pixels[0] : pixels[0] + channels].copy()  # not far from the mean: squares stay small
    for chunk in prange(chunks):
        start, end = chunk * MOMENT_PIXELS, min((chunk + 1) * MOMENT_PIXELS, pixels.size)
        add_products(x, pixels, x, pixels, -first, start, end, True, sums[chunk], squares[chunk])
    for c in range(channels):
        shift, square = column_sum(sums, c) / pixels.size, column_sum(squares, c) / pixels.size
        mean[c] = np.float64(first[c]) + shift
        variance[c] = max(square - shift * shift, 0.0)


@kernel(parallel=True)
def normalize_pixels(
    x: Array, pixels: Array, minus_mean: Array, scale: Array, shift: Array,
    y: Array, places: Array, relu: bool,
) -> None:  # fmt: skip
    """Write y = (x - mean)·scale + shift, with what is negative set to zero if `relu`.

    The channels are whole vectors.
    """
    for p in prange(pixels.size):
        for c in range(0, scale.size, lanes(x)):
            centred = add(load(x, pixels[p] + c), load(minus_mean, c))
            value = fma(centred, load(scale, c), load(shift, c))
            if relu:
                value = keep_positive(value, value)
            store(y, places[p] + c, value)


@kernel(parallel=True)
def normalize_gradient_sums(
    dy: Array, places: Array, x: Array, pixels: Array, minus_mean: Array,
    sums: Array, products: Array,
) -> None:  # fmt: skip
    """Write Σ dy and Σ dy·(x - mean) of each channel, in float64.

    The channels are whole vectors.
    """
    channels, chunks = sums.size, ceil_divide(pixels.size, MOMENT_PIXELS)
    part, product_part = np.zeros((chunks, channels)), np.zeros((chunks, channels))
    for chunk in prange(chunks):
        start, end = chunk * MOMENT_PIXELS, min((chunk + 1) * MOMENT_PIXELS, pixels.size)
        add_products(
            dy, places, x, pixels, minus_mean, start, end, False, part[chunk], product_part[chunk]
        )
    for c in range(channels):
        sums[c], products[c] = column_sum(part, c), column_sum(product_part, c)


@kernel(makes_arrays=True)
def add_products(
    y: Array, places: Array, x: Array, pixels: Array, shift: Array, start: int, end: int,
    squares: bool, sums: Array, products: Array,
) -> None:  # fmt: skip
    """Add Σ y and Σ y·(x + shift) over some pixels to sums and products, which are float64.

    If `squares`, what y holds does not matter: x + shift takes its place.
    """
    total, product = np.zeros((2, sums.size), x.dtype)
    for first in range(start, end, RUN_PIXELS):
        for p in range(first, min(first + RUN_PIXELS, end)):
            for c in range(0, sums.size, lanes(x)):
                moved, value = add(load(x, pixels[p] + c), load(shift, c)), load(y, places[p] + c)
                if squares:
                    value = moved
                store(total, c, add(load(total, c), value))
                store(product, c, fma(value, moved, load(product, c)))
        for c in range(sums.size):
            sums[c] += np.float64(total[c])
            products[c] += np.float64(product[c])
        total[:], product[:] = 0, 0


@kernel()
def column_sum(parts: Array, column: int) -> float:
    """Return the sum of one column, top down; NumPy's would be a parallel region of its own."""
    total = 0.0
    for row in range(len(parts)):
        total += parts[row, column]
    return total


@kernel(parallel=True)
def normalize_backward_pixels(
    dy: Array, places: Array, x: Array, pixels: Array,
    minus_mean: Array, scale: Array, minus_shift: Array, minus_slope: Array,
) -> None:  # fmt: skip
    """Turn dy in place into dx = scale·(dy - shift - (x - mean)·slope).

    The channels are whole vectors.
    """
    for p in prange(pixels.size):
        for c in range(0, scale.size, lanes(x)):
            centred = add(load(x, pixels[p] + c), load(minus_mean, c))
            gradient = add(load(dy, places[p] + c), load(minus_shift, c))
            gradient = fma(centred, load(minus_slope, c), gradient)
            store(dy, places[p] + c, multiply(gradient, load(scale, c)))
