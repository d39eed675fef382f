"""Convolution of NHWC images without a column matrix: the patches are gathered on the fly.

A pass of a convolution is a table of sums of products, and one tile of code computes them all:

    sums[r, :] = Σ_t x[rows[r] + terms[t]] · w[t, :]

Six rows and one vector of columns stay in registers. What rows and terms are makes the pass:

    pass             rows              terms                       w
    forward          windows in x      taps (i, j, c) of x         the weights
    gradient of x    pixels of x,      taps (-i, -j, f) of dy      the weights, C and F swapped
                     found in dy
    gradient of w    taps (i, j, c)    windows in x                dy

Rows and terms are offsets in memory. A window stands at its pixel p·stride; its taps are counted
from there, up and left by the padding. So stride, padding and kernel size are in the tables alone,
and what a window sees outside of the image is the zero border of its buffer. The gradient of x is
such a sum for stride 1 only; a layer in the middle of a network with another stride is computed
without the engine.
"""

from npsqueeze.arrays import Array
from npsqueeze.kernels.gemm import ceil_divide, scratch
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import add, broadcast, fma, keep_positive, lanes, load, store, zeros

TILE_ROWS = 6  # as `tile` is written: on AVX2, 12 registers of sums, 2 of w and 1 of x, of 16
BLOCK_ROWS = (
    96  # of a task, at least: their patches stay in the cache while all panels of w pass by
)
FEW_WEIGHTS = 4096  # numbers that stay in the first-level cache
MIN_TASKS = 16  # where there are few rows, the panels are shared out too
CHUNK = 256  # pixels that the gradient of w adds up in registers


@kernel(parallel=True)
def convolve(
    x: Array, rows: Array, terms: Array, w: Array, bias: Array,
    y: Array, places: Array, first_column: int,
    relu: bool, accumulate: bool, gate: Array, gated: bool,
) -> None:  # fmt: skip
    """Write y[places[r] + first_column + f] = Σ_t x[rows[r] + terms[t]]·w[t, f] + bias[f].

    The rows make whole tiles, that is a multiple of six. Those too many are pixels of an image that
    was not asked for or, behind the last image, of none: nobody reads what they write.

    Parameters
    ----------
    x, y, gate : one-dimensional
    rows, places : (rows,) offsets
    terms : (terms,) offsets
    w : (panels, terms, lanes), one-dimensional
        The columns f, a vector of them in each panel.
    bias : (panels·lanes,)
    accumulate, relu, gated : bool
        In this order: add to what y holds; set what is negative to zero; set to zero where the
        gate, read at the places of y, is zero or below.
    """
    count, width = terms.size, lanes(w)
    panels, blocks = w.size // (count * width), max(1, rows.size // BLOCK_ROWS)
    block_rows = ceil_divide(ceil_divide(rows.size, blocks), TILE_ROWS) * TILE_ROWS
    groups = min(panels, ceil_divide(MIN_TASKS, blocks))
    # Few weights stay in the cache: then a tile's panels come one after the other, so that whole
    # pixels are written. Else the panel stays there, and a block's tiles pass by.
    pass_rows = TILE_ROWS if count * panels * width <= FEW_WEIGHTS else block_rows
    for task in prange(blocks * groups):
        start, group = task % blocks * block_rows, task // blocks
        first_panel, last_panel = group * panels // groups, (group + 1) * panels // groups
        for first_row in range(start, min(start + block_rows, rows.size), pass_rows):
            last_row = min(first_row + pass_rows, rows.size)
            for panel in range(first_panel, last_panel):
                column = first_column + panel * width
                shift = load(bias, panel * width)
                for row in range(first_row, last_row, TILE_ROWS):
                    sum0, sum1, sum2, sum3, sum4, sum5 = tile(
                        x, rows, row, terms, 0, count, w, panel * count * width
                    )
                    for i, total in enumerate((sum0, sum1, sum2, sum3, sum4, sum5)):
                        finish(
                            y, places[row + i] + column, add(total, shift),
                            relu, accumulate, gate, gated,
                        )  # fmt: skip


@kernel()
def tile(
    x: Array, rows: Array, row: int, terms: Array, first: int, count: int, w: Array, start: int
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return the sums over terms[first : first + count] of the six rows from `row` on."""
    width = lanes(w)
    row0, row1, row2 = rows[row], rows[row + 1], rows[row + 2]
    row3, row4, row5 = rows[row + 3], rows[row + 4], rows[row + 5]
    sum0, sum1, sum2, sum3, sum4, sum5 = zeros(w), zeros(w), zeros(w), zeros(w), zeros(w), zeros(w)
    for t in range(count):
        term, vector = terms[first + t], load(w, start + t * width)
        sum0 = fma(broadcast(x, row0 + term), vector, sum0)
        sum1 = fma(broadcast(x, row1 + term), vector, sum1)
        sum2 = fma(broadcast(x, row2 + term), vector, sum2)
        sum3 = fma(broadcast(x, row3 + term), vector, sum3)
        sum4 = fma(broadcast(x, row4 + term), vector, sum4)
        sum5 = fma(broadcast(x, row5 + term), vector, sum5)
    return sum0, sum1, sum2, sum3, sum4, sum5


@kernel()
def finish(
    y: Array, place: int, total: Array, relu: bool, accumulate: bool, gate: Array, gated: bool
) -> None:
    """Store one vector of sums after all that `convolve` does to it on the way out."""
    if accumulate:
        total = add(total, load(y, place))
    if relu:
        total = keep_positive(total, total)
    if gated:
        total = keep_positive(total, load(gate, place))
    store(y, place, total)


@kernel(parallel=True)
def weight_gradient(
    x: Array, taps: Array, pixels: Array, dy: Array, places: Array, first_column: int,
    dw: Array, db: Array,
) -> None:  # fmt: skip
    """Write dw[s, k, f] = Σ_p x[taps[k] + pixels[p]]·dy_pf and db[s, f] = Σ_p dy_pf.

    Here dy_pf is dy[places[p] + first_column + f].

    The pixels are cut into as many shares s as dw has, which the caller adds up.

    Parameters
    ----------
    x, dy : one-dimensional
    taps : (taps,) offsets, in whole tiles
    pixels, places : (pixels,) offsets of the windows in x, and of the pixels of dy
    dw : (shares, taps, channels)
    db : (shares, channels)
        The channels are whole vectors.
    """
    shares, count, channels = dw.shape
    width = lanes(dy)
    panels, share_size = channels // width, ceil_divide(pixels.size, shares)
    flat_dw, flat_db = dw.reshape(-1), db.reshape(-1)
    for task in prange(shares * panels):
        share, column = task // panels, task % panels * width
        start, end = share * share_size, min((share + 1) * share_size, pixels.size)
        target = share * count * channels + column
        total, packed = zeros(dy), scratch(CHUNK * width, dy)
        for k in range(count):
            store(flat_dw, target + k * channels, zeros(dy))
        for first in range(start, end, CHUNK):
            size = min(CHUNK, end - first)
            for p in range(size):
                vector = load(dy, places[first + p] + first_column + column)
                total = add(total, vector)
                store(packed, p * width, vector)
            for k in range(0, count, TILE_ROWS):
                sum0, sum1, sum2, sum3, sum4, sum5 = tile(
                    x, taps, k, pixels, first, size, packed, 0
                )
                place = target + k * channels
                add_to(flat_dw, place, sum0)
                add_to(flat_dw, place + channels, sum1)
                add_to(flat_dw, place + 2 * channels, sum2)
                add_to(flat_dw, place + 3 * channels, sum3)
                add_to(flat_dw, place + 4 * channels, sum4)
                add_to(flat_dw, place + 5 * channels, sum5)
        store(flat_db, share * channels + column, total)


@kernel()
def add_to(y: Array, place: int, vector: Array) -> None:
    """Add a vector to what y holds."""
    store(y, place, add(load(y, place), vector))


@kernel(parallel=True)
def gather(values: Array, sources: Array, result: Array) -> None:
    """Write result[i] = values[sources[i]], and zero where the source is negative."""
    for i in prange(result.size):
        source = sources[i]
        result[i] = values[source] if source >= 0 else result.dtype.type(0)


@kernel(parallel=True)
def add_gathered(shares: Array, sources: Array, result: Array) -> None:
    """Add Σ_s shares[s, sources[i]] to result[i]."""
    for i in prange(result.size):
        total = result.dtype.type(0)
        for s in range(shares.shape[0]):
            total += shares[s, sources[i]]
        result[i] += total
