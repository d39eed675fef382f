"""Pooling and batch normalisation of NHWC images: a pixel is a row of channels, and so of vectors.

Pixels are given by tables of offsets in memory, so that images may have a border.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.gemm import ceil_divide
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import add, keep_positive, lanes, load, store

MOMENT_PIXELS = 512  # that one partial sum of a normalisation adds up


@kernel(parallel=True)
def max_pool(
    x: Array, image: int, windows: Array, y: Array, places: Array, winner: Array, channels: int
) -> None:
    """Write each window's maximum, and in `winner` the number of the tap where it is.

    Parameters
    ----------
    x, y : one-dimensional
    image : int
        The size of an image in x.
    windows : (windows of an image, taps)
        The offsets in an image. A tap outside repeats the first one inside, and so never wins.
    places : (all windows,) offsets in y
    winner : (all windows, channels) uint8
    """
    per_image, taps = windows.shape
    for o in prange(places.size):
        start, place, window, winners = (
            o // per_image * image,
            places[o],
            windows[o % per_image],
            winner[o],
        )
        best = y[place : place + channels]
        best[:] = x[start + window[0] : start + window[0] + channels]
        winners[:] = 0
        for t in range(1, taps):
            values = x[start + window[t] : start + window[t] + channels]
            for c in range(channels):
                value = values[c]
                wins = (value > best[c]) | ((value != value) & (best[c] == best[c]))
                best[c] = value if wins else best[c]
                winners[c] = np.uint8(t) if wins else winners[c]


@kernel(parallel=True)
def max_pool_backward_pixels(
    dy: Array, places: Array, winner: Array, covering: Array, dx: Array, pixels: Array,
    channels: int, y: Array, accumulate: bool, gated: bool,
) -> None:  # fmt: skip
    """Write for each pixel of x what it gets from the windows that it won.

    Where `gated`, nothing comes from a maximum that is not positive.

    Parameters
    ----------
    dy, dx, y : one-dimensional; y has the places of dy
    places : (all windows,) offsets in dy
    winner : (all windows, channels) uint8
    covering : (pixels of an image, most windows that see one, 2)
        The number of a window in its image, and that of the tap; -1 for none.
    pixels : (all pixels,) offsets in dx
    """
    per_image, most = covering.shape[:2]
    windows = places.size // (pixels.size // per_image)
    zero = dx.dtype.type(0)
    for i in prange(pixels.size):
        first_window = i // per_image * windows
        target = dx[pixels[i] : pixels[i] + channels]
        if not accumulate:
            target[:] = 0
        for e in range(most):
            window, tap = covering[i % per_image, e]
            if window >= 0:
                place, winners = places[first_window + window], winner[first_window + window]
                source, maxima = dy[place : place + channels], y[place : place + channels]
                for c in range(channels):
                    dead = gated & (maxima[c] <= 0)
                    target[c] += zero if dead | (winners[c] != tap) else source[c]


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
    """Write mean and (biased) variance of each channel, in float64, from sums over fixed shares."""
    channels, chunks = mean.size, ceil_divide(pixels.size, MOMENT_PIXELS)
    sums, squares = np.zeros((chunks, channels)), np.zeros((chunks, channels))
    first = x[pixels[0] : pixels[0] + channels]  # not far from the mean: squares stay small
    for chunk in prange(chunks):
        total, square = sums[chunk], squares[chunk]
        for p in range(chunk * MOMENT_PIXELS, min((chunk + 1) * MOMENT_PIXELS, pixels.size)):
            values = x[pixels[p] : pixels[p] + channels]
            for c in range(channels):
                value = np.float64(values[c]) - np.float64(first[c])
                total[c] += value
                square[c] += value * value
    for c in range(channels):
        total_c, square_c = 0.0, 0.0
        for chunk in range(chunks):
            total_c += sums[chunk, c]
            square_c += squares[chunk, c]
        shift = total_c / pixels.size
        mean[c] = np.float64(first[c]) + shift
        variance[c] = max(square_c / pixels.size - shift * shift, 0.0)


@kernel(parallel=True)
def normalize_pixels(
    x: Array, pixels: Array, mean: Array, scale: Array, shift: Array,
    y: Array, places: Array, relu: bool,
) -> None:  # fmt: skip
    """Write y = (x - mean)·scale + shift, with what is negative set to zero if `relu`."""
    channels = mean.size
    for p in prange(pixels.size):
        values, result = x[pixels[p] : pixels[p] + channels], y[places[p] : places[p] + channels]
        for c in range(channels):
            value = (values[c] - mean[c]) * scale[c] + shift[c]
            result[c] = x.dtype.type(0) if relu and value <= 0 else value


@kernel(parallel=True)
def normalize_gradient_sums(
    dy: Array, places: Array, x: Array, pixels: Array, mean: Array, sums: Array, products: Array
) -> None:
    """Write Σ dy and Σ dy·(x - mean) of each channel, in float64, from sums over fixed shares."""
    channels, chunks = mean.size, ceil_divide(pixels.size, MOMENT_PIXELS)
    part, product_part = np.zeros((chunks, channels)), np.zeros((chunks, channels))
    for chunk in prange(chunks):
        total, product = part[chunk], product_part[chunk]
        for p in range(chunk * MOMENT_PIXELS, min((chunk + 1) * MOMENT_PIXELS, pixels.size)):
            values = x[pixels[p] : pixels[p] + channels]
            gradients = dy[places[p] : places[p] + channels]
            for c in range(channels):
                gradient = np.float64(gradients[c])
                total[c] += gradient
                product[c] += gradient * np.float64(values[c] - mean[c])
    for c in range(channels):
        sums[c], products[c] = 0.0, 0.0
        for chunk in range(chunks):
            sums[c] += part[chunk, c]
            products[c] += product_part[chunk, c]


@kernel(parallel=True)
def normalize_backward_pixels(
    dy: Array, places: Array, x: Array, pixels: Array,
    mean: Array, scale: Array, shift: Array, slope: Array,
) -> None:  # fmt: skip
    """Turn dy in place into dx = scale·(dy - shift - (x - mean)·slope)."""
    channels = mean.size
    for p in prange(pixels.size):
        values = x[pixels[p] : pixels[p] + channels]
        gradients = dy[places[p] : places[p] + channels]
        for c in range(channels):
            gradients[c] = scale[c] * (gradients[c] - shift[c] - (values[c] - mean[c]) * slope[c])
