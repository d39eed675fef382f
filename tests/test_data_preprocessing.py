"""From pictures to inputs, by hand on pictures whose pixels are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from npsqueeze.data import SOURCES, Preprocessing

PLAIN = Preprocessing(2, 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), scale=1.0)


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """A picture 4 high and 8 wide whose columns are 0, 10, …, 70 in red; green 100; blue 200."""
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[...] = np.stack([10 * np.arange(8), np.full(8, 100), np.full(8, 200)], axis=-1)
    path = tmp_path / "stripes.png"
    Image.fromarray(pixels).save(path)
    return path


def test_the_short_side_is_resized_and_the_middle_cut_out(stripes: Path) -> None:
    x = replace(PLAIN, size=2, resize=4).read(stripes)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[0], [[30, 40], [30, 40]])
    np.testing.assert_array_equal(x[1:], np.array([100, 200])[:, None, None] * np.ones((2, 2)))


def test_warped_both_sides_are_resized(stripes: Path) -> None:
    x = replace(PLAIN, size=2, resize=2, warped=True).read(stripes)
    assert x[0, 0, 0] < 25  # the left half
    assert x[0, 0, 1] > 45


def test_scale_mean_std_and_order_are_applied_in_this_order(stripes: Path) -> None:
    pixels = PLAIN.pixels(stripes)
    assert pixels.dtype == np.uint8
    way = replace(PLAIN, order="BGR", scale=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    x = way.apply(pixels)
    np.testing.assert_allclose(x[0], (200 * 0.5 - 1) / 2)
    np.testing.assert_allclose(x[1], (100 * 0.5 - 2) / 4)
    np.testing.assert_allclose(x[2], (pixels[0] * 0.5 - 3) / 8)
    np.testing.assert_array_equal(way.apply(pixels[None])[0], x)
    with pytest.raises(ValueError, match=r"pixels: expected uint8 .* got float64 \(3, 2, 2\)"):
        way.apply(pixels * 1.0)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 77, "png", (77, 77, 77)),
        ("LA", (90, 0), "png", (255, 255, 255)),
        ("P", 3, "png", (10, 20, 30)),
        ("RGBA", (0, 100, 255, 51), "png", (204, 224, 255)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
        ("I;16", 200 * 256 + 7, "png", (200, 200, 200)),
    ],
)
def test_every_mode_gives_the_colour_that_one_sees(
    tmp_path: Path, mode: str, colour: Any, suffix: str, expected: tuple[int, ...]
) -> None:
    picture = Image.new(mode, (9, 7), colour)
    if mode == "P":
        picture.putpalette([*range(9), 10, 20, 30])
    picture.save(tmp_path / f"a.{suffix}")
    pixels = SOURCES["caffe"].pixels(tmp_path / f"a.{suffix}")
    assert pixels.shape == (3, 227, 227)
    np.testing.assert_array_equal(pixels.reshape(3, -1).T, [expected] * 227**2)


def test_a_picture_that_lies_on_its_side_is_turned(stripes: Path) -> None:
    upright = SOURCES["caffe"].pixels(stripes)
    with Image.open(stripes) as picture:
        exif = Image.Exif()
        exif[0x0112] = 8  # to be turned to the left by a quarter
        picture.transpose(Image.Transpose.ROTATE_270).save(stripes, exif=exif)
    with Image.open(stripes) as picture:
        assert picture.size == (4, 8)
    np.testing.assert_array_equal(SOURCES["caffe"].pixels(stripes), upright)


def test_it_says_what_it_does() -> None:
    assert str(SOURCES["caffe"]) == (
        "both sides to 256, cut to 227x227, BGR·1, minus 104 117 123, by 1 1 1"
    )
    assert str(SOURCES["torchvision"]) == (
        "short side to 256, cut to 224x224, RGB/255, minus 0.485 0.456 0.406, by 0.229 0.224 0.225"
    )


@pytest.mark.parametrize("way", SOURCES.values())
def test_it_comes_back_from_json(way: Preprocessing) -> None:
    assert Preprocessing.from_dict(way.as_dict()) == way


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size: expected an int of at least 1, at most 4096, got 0"),
        ({"resize": 10**9}, "resize: expected an int of at least 1, at most 4096, got 1000000000"),
        ({"std": (1.0, 1e-300, 1.0)}, "std: expected values above 0"),  # in float32
        ({"mean": (1e300, 0.0, 0.0)}, "mean, std, scale: expected three"),
        ({"resize": 1}, "resize: expected at least the size 2, got 1"),
        ({"order": "GRB"}, "order: expected one of RGB, BGR, got 'GRB'"),
        ({"std": (1.0, 0.0, 1.0)}, "std: expected values above 0"),
        ({"mean": (1.0, 0.0)}, "mean, std, scale: expected three"),
        ({"scale": float("nan")}, "mean, std, scale: expected three"),
    ],
)
def test_what_is_not_as_stated_is_named(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)
