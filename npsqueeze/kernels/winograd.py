"""Convolution with 3x3 windows in 16 multiplications for four outputs, where the sum takes 36.

Four neighbouring outputs (2x2) see 4x4 inputs d. With filters g, and ⊙ the product place by place,

    y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A        summed over channels inside the brackets

    Bᵀ = 1  0 -1  0      G = 1    0    0       Aᵀ = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2          0  1 -1 -1
         0 -1  1  0          1/2 -1/2  1/2
         0  1  0 -1          0    0    1

which is Winograd's F(2x2, 3x3) (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks",
2016, section 4.1). The sum over channels is 16 matrix products, one for each place in the brackets,
and they run in the register tile of `conv`.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.conv import MIN_TASKS, TILE_ROWS, finish, tile
from npsqueeze.kernels.gemm import ceil_divide, scratch
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import add, fill, lanes, load, multiply, store, subtract

TASK_SQUARES = 24  # 4x4 inputs that stay in the cache while all filters pass by; in whole tiles
PLACES = 16


@kernel(parallel=True)
def convolve_3x3(
    x: Array, corners: Array, x_row: int, x_pixel: int, channels: Array,
    weights: Array, bias: Array, y: Array, places: Array, first_column: int,
    relu: bool, accumulate: bool, gate: Array, gated: bool,
) -> None:  # fmt: skip
    """Write 2x2 outputs for each square of 4x4 inputs; what is written is as `conv.convolve` says.

    Parameters
    ----------
    x, y, gate : one-dimensional
    corners : (squares,) offsets of the upper left input; the squares make whole tiles
    x_row, x_pixel : int
        How far the next row and the next pixel of x are.
    channels : (channels,)
        0, 1, 2 …, in whole vectors.
    weights : (16, panels, channels, lanes), one-dimensional, by `transform_filters`
    bias : (panels·lanes,)
    places : (squares·4,) offsets of the outputs, row by row
    """
    count, width = channels.size, lanes(x)
    panels, blocks = bias.size // width, ceil_divide(corners.size, TASK_SQUARES)
    groups = min(panels, ceil_divide(MIN_TASKS, blocks))
    for task in prange(blocks * groups):
        first = task % blocks * TASK_SQUARES
        squares = min(TASK_SQUARES, corners.size - first)
        inputs = scratch(PLACES * squares * count, x)  # (16, squares, channels)
        sums = scratch(PLACES * squares * width, x)  # (16, squares, lanes)
        rows = np.arange(PLACES * squares) * count
        for s in range(squares):
            for c in range(0, count, width):
                corner, step = corners[first + s] + c, squares * count
                transform_inputs(x, corner, x_row, x_pixel, inputs, s * count + c, step)
        group = task // blocks
        for panel in range(group * panels // groups, (group + 1) * panels // groups):
            for row in range(0, PLACES * squares, TILE_ROWS):
                start = (row // squares * panels + panel) * count * width
                parts = tile(inputs, rows, row, channels, 0, count, weights, start)
                for i, part in enumerate(parts):
                    store(sums, (row + i) * width, part)
            column, shift = first_column + panel * width, load(bias, panel * width)
            for s in range(squares):
                outputs = transform_sums(sums, s * width, squares * width)
                for i, output in enumerate(outputs):
                    finish(
                        y, places[4 * (first + s) + i] + column, add(output, shift),
                        relu, accumulate, gate, gated,
                    )  # fmt: skip


@kernel()
def transform_inputs(
    x: Array, corner: int, row: int, pixel: int, result: Array, start: int, step: int
) -> None:
    """Store Bᵀ d B for one vector of channels, its 16 places `step` apart."""
    row0 = differences(x, corner, pixel)
    row1 = differences(x, corner + row, pixel)
    row2 = differences(x, corner + 2 * row, pixel)
    row3 = differences(x, corner + 3 * row, pixel)
    for j, (d0, d1, d2, d3) in enumerate(zip(row0, row1, row2, row3)):  # noqa: B905 (not in Numba)
        store(result, start + j * step, subtract(d0, d2))
        store(result, start + (4 + j) * step, add(d1, d2))
        store(result, start + (8 + j) * step, subtract(d2, d1))
        store(result, start + (12 + j) * step, subtract(d1, d3))


@kernel()
def differences(x: Array, start: int, step: int) -> tuple[Array, Array, Array, Array]:
    """Return d B for one row of four vectors."""
    d0, d1 = load(x, start), load(x, start + step)
    d2, d3 = load(x, start + 2 * step), load(x, start + 3 * step)
    return subtract(d0, d2), add(d1, d2), subtract(d2, d1), subtract(d1, d3)


@kernel()
def transform_sums(sums: Array, start: int, step: int) -> tuple[Array, Array, Array, Array]:
    """Return Aᵀ m A, the 2x2 outputs, of 16 places `step` apart."""
    left0, right0 = pair_of_sums(sums, start, step)
    left1, right1 = pair_of_sums(sums, start + 4 * step, step)
    left2, right2 = pair_of_sums(sums, start + 8 * step, step)
    left3, right3 = pair_of_sums(sums, start + 12 * step, step)
    return (
        add(add(left0, left1), left2),
        add(add(right0, right1), right2),
        subtract(subtract(left1, left2), left3),
        subtract(subtract(right1, right2), right3),
    )


@kernel()
def pair_of_sums(sums: Array, start: int, step: int) -> tuple[Array, Array]:
    """Return m A for one row of four vectors."""
    m0, m1 = load(sums, start), load(sums, start + step)
    m2, m3 = load(sums, start + 2 * step), load(sums, start + 3 * step)
    return add(add(m0, m1), m2), subtract(subtract(m1, m2), m3)


@kernel(parallel=True)
def transform_filters(
    filters: Array, terms: Array, filter_at: Array, count: int, turned: bool, result: Array
) -> None:
    """Write G g Gᵀ of each filter g where `convolve_3x3` expects it.

    Parameters
    ----------
    filters : (columns, terms, 9), or (terms, columns, 9) if `turned`
        If turned, each is turned by half a circle, as the gradient of x asks.
    terms : (terms,)
        The places in memory of the channels read.
    filter_at : (panels·lanes,)
        Which filter is at each place of the channels written; -1 for none.
    count : int
        The number of channels read in memory.
    result : (16, panels, count, lanes), one-dimensional
    """
    width, step = lanes(result), result.size // PLACES
    for t in prange(terms.size):
        g = scratch(9 * width, result)
        for panel in range(filter_at.size // width):
            for lane in range(width):
                f = filter_at[panel * width + lane]
                for k in range(9):
                    value = filters[t, f, 8 - k] if turned else filters[f, t, k]
                    g[k * width + lane] = value if f >= 0 else result.dtype.type(0)
            start = (panel * count + terms[t]) * width
            left, middle = spread(g, 0, 3 * width), spread(g, width, 3 * width)
            right = spread(g, 2 * width, 3 * width)
            for i, (g0, g1, g2) in enumerate(zip(left, middle, right)):  # noqa: B905
                place = start + 4 * i * step
                r0, r1, r2, r3 = spread_vectors(g0, g1, g2, fill(g, g.dtype.type(0.5)))
                store(result, place, r0)
                store(result, place + step, r1)
                store(result, place + 2 * step, r2)
                store(result, place + 3 * step, r3)


@kernel()
def spread(g: Array, start: int, step: int) -> tuple[Array, Array, Array, Array]:
    """Return G g for one column of g, three vectors `step` apart."""
    g0, g1, g2 = load(g, start), load(g, start + step), load(g, start + 2 * step)
    return spread_vectors(g0, g1, g2, fill(g, g.dtype.type(0.5)))


@kernel()
def spread_vectors(
    g0: Array, g1: Array, g2: Array, half: Array
) -> tuple[Array, Array, Array, Array]:
    """Return G g of three vectors."""
    ends = add(g0, g2)
    return g0, multiply(add(ends, g1), half), multiply(subtract(ends, g1), half), g2
