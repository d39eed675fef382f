"""Convolution with 3x3 windows in 16 multiplications for four outputs, where the sum takes 36.

Four neighbouring outputs (2x2) see 4x4 inputs d. With filters g, and ⊙ the product place by place,

    y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A        summed over channels inside the brackets

    Bᵀ = 1  0 -1  0      G = 1    0    0       Aᵀ = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2          0  1 -1  1
         0 -1  1  0          1/2 -1/2  1/2
         0 -1  0  1          0    0    1

which is Winograd's F(2x2, 3x3) (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks",
2016, section 4.1; the signs in the last row of Bᵀ and the last column of Aᵀ are ours). The sum over
channels is 16 matrix products, one for each place in the brackets, and they run in the register
tile of `conv`. The gradient of x is such a convolution again. That of the filters goes the same way
backwards, each step transposed:

    dg = Gᵀ[(A dy Aᵀ) ⊙ (Bᵀ d B)]G      summed over squares inside the brackets
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.conv import MIN_TASKS, TILE_ROWS, add_to, finish, tile
from npsqueeze.kernels.gemm import ceil_divide, scratch
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import add, fill, lanes, load, multiply, store, subtract, zeros

TASK_SQUARES = 24  # 4x4 inputs that stay in the cache while all filters pass by; in whole tiles
GRADIENT_SQUARES = 48  # the same, for the gradient of the filters
GRADIENT_PANELS = 4  # that share one transformation of the inputs
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
        transform_squares(x, corners, first, squares, x_row, x_pixel, count, inputs, squares)
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
def transform_squares(
    x: Array, corners: Array, first: int, squares: int, row: int, pixel: int, channels: int,
    result: Array, room: int,
) -> None:  # fmt: skip
    """Store Bᵀ d B for some squares from the `first` on, as (16, room, channels)."""
    for s in range(squares):
        for c in range(0, channels, lanes(x)):
            start, step = s * channels + c, room * channels
            transform_inputs(x, corners[first + s] + c, row, pixel, result, start, step)


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
        store(result, start + (12 + j) * step, subtract(d3, d1))


@kernel()
def differences(x: Array, start: int, step: int) -> tuple[Array, Array, Array, Array]:
    """Return d B for one row of four vectors."""
    d0, d1 = load(x, start), load(x, start + step)
    d2, d3 = load(x, start + 2 * step), load(x, start + 3 * step)
    return subtract(d0, d2), add(d1, d2), subtract(d2, d1), subtract(d3, d1)


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
        add(subtract(left1, left2), left3),
        add(subtract(right1, right2), right3),
    )


@kernel()
def pair_of_sums(sums: Array, start: int, step: int) -> tuple[Array, Array]:
    """Return m A for one row of four vectors."""
    m0, m1 = load(sums, start), load(sums, start + step)
    m2, m3 = load(sums, start + 2 * step), load(sums, start + 3 * step)
    return add(add(m0, m1), m2), add(subtract(m1, m2), m3)


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


@kernel(parallel=True)
def weight_gradient_3x3(
    x: Array, corners: Array, x_row: int, x_pixel: int, rows: Array, channels: int,
    dy: Array, positions: Array, dy_row: int, dy_pixel: int, sums: Array, db: Array,
) -> None:  # fmt: skip
    """Write sums = Σ (A dy Aᵀ) ⊙ (Bᵀ d B), and db = Σ dy, over squares.

    The squares are cut into as many shares as sums has, which `add_filter_gradients` adds up.

    Parameters
    ----------
    x, dy : one-dimensional
    corners : (squares,) offsets of the upper left input
    x_row, x_pixel, dy_row, dy_pixel : int
        How far the next row and the next pixel are.
    rows : (16·padded,)
        Where in (16, GRADIENT_SQUARES, channels) each channel is; `padded` are the channels in
        whole tiles, those too many read again.
    channels : int
        Those of x in memory, whole vectors.
    positions : (squares,) offsets of the upper left output, at the first column
    sums : (shares, 16, padded, columns)
    db : (shares, columns)
    """
    shares, _, padded, columns = sums.shape
    width, flat_sums, flat_db = lanes(x), sums.reshape(-1), db.reshape(-1)
    panels, share_size = columns // width, ceil_divide(corners.size, shares)
    groups = ceil_divide(panels, GRADIENT_PANELS)
    sums[:] = 0
    db[:] = 0
    for task in prange(shares * groups):
        share, group = task // groups, task % groups
        first_panel, last_panel = group * panels // groups, (group + 1) * panels // groups
        inputs = scratch(PLACES * GRADIENT_SQUARES * channels, x)  # (16, squares, channels)
        spread = scratch(PLACES * GRADIENT_SQUARES * width, x)  # A dy Aᵀ (16, squares, lanes)
        terms = np.arange(GRADIENT_SQUARES) * channels
        end = min((share + 1) * share_size, corners.size)
        for first in range(share * share_size, end, GRADIENT_SQUARES):
            squares = min(GRADIENT_SQUARES, end - first)
            transform_squares(
                x, corners, first, squares, x_row, x_pixel, channels, inputs, GRADIENT_SQUARES
            )
            for column in range(first_panel * width, last_panel * width, width):
                for s in range(squares):
                    total = transform_gradients(
                        dy, positions[first + s] + column, dy_row, dy_pixel,
                        spread, s * width, GRADIENT_SQUARES * width,
                    )  # fmt: skip
                    add_to(flat_db, share * columns + column, total)
                for row in range(0, PLACES * padded, TILE_ROWS):
                    start = row // padded * GRADIENT_SQUARES * width
                    parts = tile(inputs, rows, row, terms, 0, squares, spread, start)
                    for i, part in enumerate(parts):
                        target = ((share * PLACES * padded) + row + i) * columns + column
                        add_to(flat_sums, target, part)


@kernel()
def transform_gradients(
    dy: Array, position: int, row: int, pixel: int, result: Array, start: int, step: int
) -> Array:
    """Store A dy Aᵀ for one vector of columns, its 16 places `step` apart; return Σ dy."""
    upper0, upper1, upper2, upper3 = spread_pair(load(dy, position), load(dy, position + pixel))
    lower0, lower1, lower2, lower3 = spread_pair(
        load(dy, position + row), load(dy, position + row + pixel)
    )
    uppers, lowers = (upper0, upper1, upper2, upper3), (lower0, lower1, lower2, lower3)
    for j, (upper, lower) in enumerate(zip(uppers, lowers)):  # noqa: B905 (not in Numba)
        m0, m1, m2, m3 = spread_pair(upper, lower)
        store(result, start + j * step, m0)
        store(result, start + (4 + j) * step, m1)
        store(result, start + (8 + j) * step, m2)
        store(result, start + (12 + j) * step, m3)
    return add(upper1, lower1)


@kernel()
def spread_pair(first: Array, second: Array) -> tuple[Array, Array, Array, Array]:
    """Return A d of two vectors."""
    return first, add(first, second), subtract(first, second), second


@kernel(parallel=True)
def add_filter_gradients(sums: Array, filter_at: Array, terms: Array, gradient: Array) -> None:
    """Add Gᵀ m G to the gradient of each filter, where m is what `weight_gradient_3x3` summed.

    Parameters
    ----------
    sums : as written there
    filter_at : (columns,)
        Which filter is at each column; -1 for none.
    terms : (channels of the filters,)
        Where in sums each channel is.
    gradient : (filters, channels, 9)
    """
    shares, _, padded, columns = sums.shape
    flat, width = sums.reshape(-1), lanes(sums)
    for t in prange(terms.size):
        g, m = scratch(9 * width, sums), scratch(PLACES * width, sums)
        for column in range(0, columns, width):
            for place in range(PLACES):
                total = zeros(sums)
                for share in range(shares):
                    row = (share * PLACES + place) * padded + terms[t]
                    total = add(total, load(flat, row * columns + column))
                store(m, place * width, total)
            column0, column1 = collect(m, 0, 4 * width), collect(m, width, 4 * width)
            column2, column3 = collect(m, 2 * width, 4 * width), collect(m, 3 * width, 4 * width)
            half = fill(m, m.dtype.type(0.5))
            for i, (m0, m1, m2, m3) in enumerate(zip(column0, column1, column2, column3)):  # noqa: B905
                left, middle, right = collect_vectors(m0, m1, m2, m3, half)
                store(g, 3 * i * width, left)
                store(g, (3 * i + 1) * width, middle)
                store(g, (3 * i + 2) * width, right)
            for lane in range(width):
                f = filter_at[column + lane]
                if f >= 0:
                    for k in range(9):
                        gradient[f, t, k] += g[k * width + lane]


@kernel()
def collect(m: Array, start: int, step: int) -> tuple[Array, Array, Array]:
    """Return Gᵀ m for one column of m, four vectors `step` apart."""
    m0, m1 = load(m, start), load(m, start + step)
    m2, m3 = load(m, start + 2 * step), load(m, start + 3 * step)
    return collect_vectors(m0, m1, m2, m3, fill(m, m.dtype.type(0.5)))


@kernel()
def collect_vectors(
    m0: Array, m1: Array, m2: Array, m3: Array, half: Array
) -> tuple[Array, Array, Array]:
    """Return Gᵀ m of four vectors."""
    sum_of_halves = multiply(add(m1, m2), half)
    return add(m0, sum_of_halves), multiply(subtract(m1, m2), half), add(m3, sum_of_halves)
