import numpy as np
import pytest

from tests.exercise_checks import Planted, verdict_on

planted = Planted()


def cut(x, spans, value=0):
    """Set picture n to a value in the rows and columns of its two slices."""
    y = x.copy()
    for n, (height, width) in enumerate(spans):
        y[n, :, height, width] = value
    return y


@planted("hide_squares", "begin it at max(0, …)")
def hide_negative_slices(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, :, top : top + size, left : left + size] = 0
    return y


@planted("hide_squares", "only its beginning is to be cut off")
def hide_full_size_at_the_start(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = max(0, rows[n] - size // 2), max(0, columns[n] - size // 2)
        y[n, :, top : top + size, left : left + size] = 0
    return y


@planted("hide_squares", "what hangs over is to be cut off")
def hide_moved_inside(x, size, rows, columns):
    tops = np.clip(rows - size // 2, 0, x.shape[2] - size)
    lefts = np.clip(columns - size // 2, 0, x.shape[3] - size)
    pairs = zip(tops, lefts, strict=True)
    return cut(x, [(slice(t, t + size), slice(v, v + size)) for t, v in pairs])


@planted("hide_squares", "not its corner")
def hide_from_the_corner(x, size, rows, columns):
    pairs = zip(rows, columns, strict=True)
    return cut(x, [(slice(t, t + size), slice(v, v + size)) for t, v in pairs])


@planted("hide_squares", "an odd size loses a pixel")
def hide_half_on_each_side(x, size, rows, columns):
    y, half = x.copy(), size // 2
    for n, (row, column) in enumerate(zip(rows, columns, strict=True)):
        y[n, :, max(0, row - half) : row + half, max(0, column - half) : column + half] = 0
    return y


@planted("hide_squares", "an even size gains a pixel")
def hide_both_ends(x, size, rows, columns):
    h, v = np.arange(x.shape[2])[:, None], np.arange(x.shape[3])
    y = x.copy()
    for n, (row, column) in enumerate(zip(rows, columns, strict=True)):
        y[n, :, (abs(h - row) <= size // 2) & (abs(v - column) <= size // 2)] = 0
    return y


@planted("hide_squares", "one row and column too large")
def hide_with_the_end_included(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, :, max(0, top) : top + size + 1, max(0, left) : left + size + 1] = 0
    return y


@planted("hide_squares", "one row and column too small: a slice ends before its second number")
def hide_without_the_last(x, size, rows, columns):
    h, v = np.arange(x.shape[2])[:, None], np.arange(x.shape[3])
    y = x.copy()
    for n, (top, left) in enumerate(zip(rows - size // 2, columns - size // 2, strict=True)):
        y[n, :, (h >= top) & (h < top + size - 1) & (v >= left) & (v < left + size - 1)] = 0
    return y


@planted("hide_squares", "begin at row - size // 2")
def hide_even_sizes_too_late(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - (size - 1) // 2, columns[n] - (size - 1) // 2
        y[n, :, max(0, top) : top + size, max(0, left) : left + size] = 0
    return y


@planted("hide_squares", "single pixels are hidden, in every picture")
def hide_by_lists_of_indices(x, size, rows, columns):
    y = x.copy()
    y[:, :, rows, columns] = 0
    return y


@planted("hide_squares", "rows and columns are exchanged")
def hide_exchanged(x, size, rows, columns):
    y = x.copy()
    for n, (v, h) in enumerate(zip(rows, columns, strict=True)):
        top, left = h - size // 2, v - size // 2
        y[n, :, max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = 0
    return y


@planted("hide_squares", "the first picture's square")
def hide_one_for_all(x, size, rows, columns):
    top, left = rows[0] - size // 2, columns[0] - size // 2
    y = x.copy()
    y[:, :, max(0, top) : top + size, max(0, left) : left + size] = 0
    return y


@planted("hide_squares", "only one channel is hidden")
def hide_red_only(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, 0, max(0, top) : top + size, max(0, left) : left + size] = 0
    return y


@planted("hide_squares", "all but the square")
def hide_keeps_the_square(x, size, rows, columns):
    y = np.zeros_like(x)
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        window = (n, slice(None), slice(max(0, top), top + size), slice(max(0, left), left + size))
        y[window] = x[window]
    return y


@planted("hide_squares", "a pixel must lie in both")
def hide_a_cross(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, :, max(0, top) : top + size] = 0
        y[n, :, :, max(0, left) : left + size] = 0
    return y


@planted("hide_squares", "the picture's own mean")
def hide_own_mean(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        mean = x[n].mean(axis=(1, 2))[:, None, None]
        y[n, :, max(0, top) : top + size, max(0, left) : left + size] = mean
    return y


@planted("hide_squares", "changes its argument x in place")
def hide_in_place(x, size, rows, columns):
    for n in range(len(x)):
        x[n, :, max(0, rows[n] - size // 2) : rows[n] + 1] = 0
    return x


@planted("hide_squares", "nothing is hidden")
def hide_of_a_copy(x, size, rows, columns):
    for picture, row, column in zip(x.copy(), rows, columns, strict=True):
        picture[:, max(0, row - 1) : row + 1, max(0, column - 1) : column + 1] = 0
    return x


test_a_planted_mistake_is_named = planted.test()


def hide_slices(x, size, rows, columns):
    y = x.copy()
    for n in range(len(x)):
        top, left = rows[n] - size // 2, columns[n] - size // 2
        y[n, :, max(0, top) : top + size, max(0, left) : left + size] = 0
    return y


def hide_by_a_mask(x, size, rows, columns):
    h = np.arange(x.shape[2]) - (rows - size // 2)[:, None]  # (N, H)
    v = np.arange(x.shape[3]) - (columns - size // 2)[:, None]
    inside = ((h >= 0) & (h < size))[:, None, :, None] & ((v >= 0) & (v < size))[:, None, None]
    return x * ~inside


def hide_padded(x, size, rows, columns):
    y = np.pad(x, ((0, 0), (0, 0), (size, size), (size, size)))
    for n, (row, column) in enumerate(zip(rows + size - size // 2, columns + size - size // 2)):  # noqa: B905
        y[n, :, row : row + size, column : column + size] = 0
    return y[:, :, size:-size, size:-size]


@pytest.mark.parametrize("function", [hide_slices, hide_by_a_mask, hide_padded])
def test_what_is_right_passes(function):
    assert verdict_on("hide_squares", function).passed, verdict_on("hide_squares", function).message
