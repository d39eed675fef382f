"""The matrix product C = A·B, for a batch of matrices, on every core.

The plan, from the outside in (Goto & van de Geijn, "Anatomy of high-performance matrix
multiplication", 2008; Van Zee & van de Geijn, "BLIS", 2015):

1. The result is cut into *tasks*, blocks of rows and columns of one matrix, for the cores to share.
2. A task walks down the summed dimension in blocks of `DEPTH_BLOCK`. It *packs* its part of B:
   panels one vector wide, copied so that the innermost loop reads memory in a straight line.
3. A *tile* of `TILE_ROWS` rows by one vector of C stays in registers while the micro-kernel adds up
   a[i, k]·b[k, :] over the block: each vector of B that it loads serves six rows.

A is read in place. Both A and B may be transposed; for A that is only a change of strides.
"""

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import VECTOR_BYTES, add, broadcast, fma, lanes, load, store, zeros

DEPTH_BLOCK = 256
TILE_ROWS = 6
TASK_PANELS = 8  # a packed block of B is then 128 KiB, which fits in the second-level cache
MIN_TASK_ROWS = 24  # below four tiles, packing B takes longer than what it saves
MIN_TASKS = 8  # as many tasks as this, where the shape allows it, keep the cores evenly busy


@kernel(parallel=True)
def gemm(a: Array, b: Array, c: Array, transpose_a: bool, transpose_b: bool) -> None:
    """Write C = A·B for a batch of matrices.

    Parameters
    ----------
    a : (matrices, rows, depth), or (matrices, depth, rows) if `transpose_a`
        Product i takes a[i mod matrices]: one matrix for all, one for each, or one for each group.
    b : (products, depth, columns), or (products, columns, depth) if `transpose_b`
    c : (sums, rows, columns)
        `sums` divides `products`, and each c[s] is the sum of products/sums successive ones: with
        as many sums as products every product stands by itself, with one they are all added up.
    """
    if c.size == 0:
        return
    sums, rows, columns = c.shape
    panels = ceil_divide(columns, lanes(c))
    task_rows, task_panels = task_size(sums, rows, panels)
    row_tasks, panel_tasks = ceil_divide(rows, task_rows), ceil_divide(panels, task_panels)
    for task in prange(sums * panel_tasks * row_tasks):
        first_row = task % row_tasks * task_rows
        first_panel = task // row_tasks % panel_tasks * task_panels
        run_task(
            a, b, c, transpose_a, transpose_b, task // (row_tasks * panel_tasks),
            first_row, min(first_row + task_rows, rows),
            first_panel, min(first_panel + task_panels, panels),
        )  # fmt: skip


@kernel()
def ceil_divide(count: int, size: int) -> int:
    """Return how many parts of at most `size` make up `count`."""
    return (count + size - 1) // size


@kernel(makes_arrays=True)
def scratch(size: int, like: Array) -> Array:
    """Return room for `size` numbers that starts at a cache line, so that no vector takes two."""
    room = np.empty(size + lanes(like), like.dtype)
    start = -room.ctypes.data % VECTOR_BYTES // room.itemsize
    return room[start : start + size]


@kernel()
def task_size(sums: int, rows: int, panels: int) -> tuple[int, int]:
    """Return the rows (whole tiles) and the panels of a task: a large one, in enough tasks."""
    task_panels = min(TASK_PANELS, panels)
    while task_panels > 1 and sums * ceil_divide(panels, task_panels) < MIN_TASKS:
        task_panels = (task_panels + 1) // 2
    row_tasks = min(
        ceil_divide(rows, MIN_TASK_ROWS),
        ceil_divide(MIN_TASKS, sums * ceil_divide(panels, task_panels)),
    )
    return ceil_divide(ceil_divide(rows, row_tasks), TILE_ROWS) * TILE_ROWS, task_panels


@kernel(makes_arrays=True)
def run_task(
    a: Array, b: Array, c: Array, transpose_a: bool, transpose_b: bool, result: int,
    first_row: int, last_row: int, first_panel: int, last_panel: int,
) -> None:  # fmt: skip
    """Write one task's rows and panels of c[result]."""
    products, (sums, rows, columns) = b.shape[0], c.shape
    depth = a.shape[1] if transpose_a else a.shape[2]
    a_row, a_depth = (1, rows) if transpose_a else (depth, 1)
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    packed = scratch((last_panel - first_panel) * lanes(b) * DEPTH_BLOCK, b)
    edge = scratch(TILE_ROWS * lanes(b), b)
    first_product = result * (products // sums)
    for product in range(first_product, first_product + products // sums):
        for k in range(0, max(depth, 1), DEPTH_BLOCK):  # once for an empty sum, which is zero
            block = min(DEPTH_BLOCK, depth - k)
            for panel in range(first_panel, last_panel):
                pack(
                    flat_b, product * depth * columns, depth, columns, transpose_b, k, block,
                    panel * lanes(b), packed, (panel - first_panel) * lanes(b) * block,
                )  # fmt: skip
            start_a = product % a.shape[0] * rows * depth + k * a_depth
            multiply_block(
                flat_a, start_a, a_row, a_depth, packed, block, flat_c, result * rows, columns,
                edge, product == first_product and k == 0,
                first_row, last_row, first_panel, last_panel,
            )  # fmt: skip


@kernel()
def multiply_block(
    a: Array, start_a: int, a_row: int, a_depth: int, packed: Array, depth: int,
    c: Array, c_rows_before: int, columns: int, edge: Array, overwrite: bool,
    first_row: int, last_row: int, first_panel: int, last_panel: int,
) -> None:  # fmt: skip
    """Multiply a task's rows of A with its packed panels, tile by tile.

    A tile that hangs over the border of C is written to `edge` first.
    """
    width = lanes(c)
    row = first_row
    while row < last_row:
        height = tile_height(last_row - row)
        for panel in range(first_panel, last_panel):
            start_b = (panel - first_panel) * width * depth
            start_c = (c_rows_before + row) * columns + panel * width
            in_panel = min(width, columns - panel * width)
            whole = height >= 4 and in_panel == width
            multiply_tile(
                height, depth, a, start_a + row * a_row, a_row, a_depth, packed, start_b,
                c if whole else edge, start_c if whole else 0,
                columns if whole else width, overwrite or not whole,
            )  # fmt: skip
            if not whole:
                add_edge(edge, height, in_panel, c, start_c, columns, overwrite)
        row += height


@kernel()
def tile_height(rows: int) -> int:
    """Return how many of the remaining rows the next tile takes: 6 or 4, fewer only at the end."""
    return min(rows, 4) if rows in (1, 2, 3, 4, 5, 8) else 6


@kernel()
def pack(
    b: Array, start: int, depth: int, columns: int, transposed: bool,
    k: int, block: int, column: int, packed: Array, target: int,
) -> None:  # fmt: skip
    """Copy B[k : k+block, column : column+width], each row as one vector, filled up with zeros."""
    width = lanes(b)
    count = min(width, columns - column)
    if not transposed and count == width:
        for i in range(block):
            store(packed, target + i * width, load(b, start + (k + i) * columns + column))
        return
    across, down = (depth, 1) if transposed else (1, columns)
    start += column * across + k * down
    for j in range(count):
        for i in range(block):
            packed[target + i * width + j] = b[start + j * across + i * down]
    for j in range(count, width):
        for i in range(block):
            packed[target + i * width + j] = 0


@kernel()
def add_edge(
    edge: Array, height: int, width: int, c: Array, start: int, c_row: int, overwrite: bool
) -> None:
    """Write or add the valid part of a tile that hangs over the border of C."""
    for i in range(height):
        for j in range(width):
            previous = edge.dtype.type(0) if overwrite else c[start + i * c_row + j]
            c[start + i * c_row + j] = previous + edge[i * lanes(edge) + j]


@kernel()
def multiply_tile(
    height: int, depth: int, a: Array, start: int, a_row: int, a_depth: int,
    b: Array, start_b: int, c: Array, start_c: int, c_row: int, overwrite: bool,
) -> None:  # fmt: skip
    """Multiply up to six rows of A with one packed panel of B, into a tile of C."""
    if height == 6:
        multiply_tile_6(depth, a, start, a_row, a_depth, b, start_b, c, start_c, c_row, overwrite)
    else:
        multiply_tile_4(
            height, depth, a, start, a_row, a_depth, b, start_b, c, start_c, c_row, overwrite
        )


@kernel()
def multiply_tile_6(
    depth: int, a: Array, start: int, a_row: int, a_depth: int,
    b: Array, start_b: int, c: Array, start_c: int, c_row: int, overwrite: bool,
) -> None:  # fmt: skip
    """Multiply six rows: six vectors of sums in registers, one vector of B, one number of A."""
    width = lanes(b)
    sum0, sum1, sum2, sum3, sum4, sum5 = zeros(b), zeros(b), zeros(b), zeros(b), zeros(b), zeros(b)
    for k in range(depth):
        vector = load(b, start_b + k * width)
        column = start + k * a_depth
        sum0 = fma(broadcast(a, column), vector, sum0)
        sum1 = fma(broadcast(a, column + a_row), vector, sum1)
        sum2 = fma(broadcast(a, column + 2 * a_row), vector, sum2)
        sum3 = fma(broadcast(a, column + 3 * a_row), vector, sum3)
        sum4 = fma(broadcast(a, column + 4 * a_row), vector, sum4)
        sum5 = fma(broadcast(a, column + 5 * a_row), vector, sum5)
    write(c, start_c, sum0, overwrite)
    write(c, start_c + c_row, sum1, overwrite)
    write(c, start_c + 2 * c_row, sum2, overwrite)
    write(c, start_c + 3 * c_row, sum3, overwrite)
    write(c, start_c + 4 * c_row, sum4, overwrite)
    write(c, start_c + 5 * c_row, sum5, overwrite)


@kernel()
def multiply_tile_4(
    height: int, depth: int, a: Array, start: int, a_row: int, a_depth: int,
    b: Array, start_b: int, c: Array, start_c: int, c_row: int, overwrite: bool,
) -> None:  # fmt: skip
    """Multiply four rows; where A has fewer, the last one is computed again and not used."""
    width = lanes(b)
    row1, row2, row3 = min(1, height - 1) * a_row, min(2, height - 1) * a_row, (height - 1) * a_row
    sum0, sum1, sum2, sum3 = zeros(b), zeros(b), zeros(b), zeros(b)
    for k in range(depth):
        vector = load(b, start_b + k * width)
        column = start + k * a_depth
        sum0 = fma(broadcast(a, column), vector, sum0)
        sum1 = fma(broadcast(a, column + row1), vector, sum1)
        sum2 = fma(broadcast(a, column + row2), vector, sum2)
        sum3 = fma(broadcast(a, column + row3), vector, sum3)
    write(c, start_c, sum0, overwrite)
    write(c, start_c + c_row, sum1, overwrite)
    write(c, start_c + 2 * c_row, sum2, overwrite)
    write(c, start_c + 3 * c_row, sum3, overwrite)


@kernel()
def write(c: Array, index: int, vector: Array, overwrite: bool) -> None:
    """Store a vector of sums in C, or add it to what stands there."""
    if overwrite:
        store(c, index, vector)
    else:
        store(c, index, add(load(c, index), vector))
