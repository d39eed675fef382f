"""Pictures of every mode become upright RGB squares; what is no picture is refused."""

import re
import resource
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from npsqueeze.data import read_picture
from npsqueeze.errors import DataError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def checkerboard(size=8):
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_rgb_of_the_right_size_is_read_as_it_is(tmp_path):
    pixels = checkerboard()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", 8)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    np.testing.assert_array_equal(picture, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", WHITE),
        ("LA", (90, 255), "png", (90, 90, 90)),
        ("LA", (90, 0), "png", WHITE),
        ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "png", WHITE),
        ("RGBA", (0, 100, 255, 51), "png", (204, 224, 255)),
        ("CMYK", (0, 255, 255, 0), "tif", RED),
        ("CMYK", (0, 0, 0, 0), "jpg", WHITE),
        ("I;16", 200 * 256 + 7, "png", (200, 200, 200)),
    ],
)
def test_every_mode_becomes_rgb_on_white(tmp_path, mode, colour, suffix, expected):
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (6, 6), colour).save(path)
    picture = read_picture(path, 6)
    assert picture.shape == (3, 6, 6)
    np.testing.assert_array_equal(picture, np.broadcast_to(np.c_[expected].T[..., None], (3, 6, 6)))


def png(size, depth, colour_type, row):
    """Return a PNG of one row, in depths and colour types that Pillow does not write."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">2I5B", *size, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"\0" + row)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "expected"),
    [
        (2, GREY, b"\x80", (170, 170, 170)),
        (16, GREY, struct.pack(">H", 0xC807), (200, 200, 200)),
        (16, COLOUR, struct.pack(">3H", 0xC807, 0x05FF, 0xFF00), (200, 5, 255)),
        (16, GREY_ALPHA, struct.pack(">2H", 0xC807, 0xFFFF), (200, 200, 200)),
        (16, GREY_ALPHA, struct.pack(">2H", 0xC807, 0), WHITE),
        (16, COLOUR_ALPHA, struct.pack(">4H", 0xC807, 0, 0, 0xFFFF), (200, 0, 0)),
        (16, COLOUR_ALPHA, struct.pack(">4H", 0xC807, 0, 0, 0), WHITE),
    ],
)
def test_depths_of_png(tmp_path, depth, colour_type, row, expected):
    (tmp_path / "a.png").write_bytes(png((1, 1), depth, colour_type, row))
    assert read_picture(tmp_path / "a.png", 1).ravel().tolist() == list(expected)


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0])])
@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette(tmp_path, transparency, suffix):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(1, (2, 0, 4, 4))  # the right half is blue, or transparent
    path = tmp_path / f"picture.{suffix}"
    if suffix == "gif" and isinstance(transparency, bytes):
        transparency = 1
    options = {} if transparency is None else {"transparency": transparency}
    picture.save(path, **options)
    result = read_picture(path, 4)
    right = WHITE if transparency is not None else (0, 0, 255)
    assert result[:, 1, 0].tolist() == list(RED)
    assert result[:, 1, 3].tolist() == list(right)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    upright = Image.fromarray(checkerboard())
    undo_of = {  # what a camera stores so that the tag's transposition gives `upright`
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if orientation == 1 else upright.transpose(undo_of[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(upright).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 8), expected)


@pytest.mark.parametrize("upright", [False, True])
def test_only_the_central_square_counts(tmp_path, upright):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels.swapaxes(0, 1) if upright else pixels).save(tmp_path / "a.png")
    assert np.all(read_picture(tmp_path / "a.png", 10) == 200)


def test_shrinking_averages_and_does_not_pick(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    inner = read_picture(tmp_path / "a.png", 8)[:, :, 1:-1]
    assert inner.min() >= 120
    assert inner.max() <= 135


def test_enlarging(tmp_path):
    Image.new("RGB", (2, 3), RED).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", 32)
    assert picture.shape == (3, 32, 32)
    assert np.all(picture[0] == 255)
    assert np.all(picture[1:] == 0)


def check_refused(path, message):
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: .*{message}"):
        read_picture(path, 8)


def test_missing_file_and_folder(tmp_path):
    check_refused(tmp_path / "nothing.png", "")
    check_refused(tmp_path, "no such file")


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    check_refused(path, "picture")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_picture_that_is_cut_off(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(checkerboard(64)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    check_refused(path, "picture")


def test_mode_of_unknown_range(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "a.tif")
    check_refused(tmp_path / "a.tif", "mode F")


@pytest.mark.parametrize("limit", [40, 10])  # 64 pixels: Pillow warns above 40, refuses above 20
@pytest.mark.parametrize("action", ["error", "default", "ignore"])
def test_decompression_bomb(tmp_path, monkeypatch, limit, action):
    Image.fromarray(checkerboard()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        check_refused(tmp_path / "a.png", "bomb")


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path):
    """50,000x50,000 pixels would take 7.5 GB."""
    (tmp_path / "bomb.png").write_bytes(png((50_000, 50_000), 8, COLOUR, bytes(100)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_refused(tmp_path / "bomb.png", "2500000000 pixels.* bomb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 50_000  # kB


def test_size_below_one(tmp_path):
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        read_picture(tmp_path / "a.png", 0)
