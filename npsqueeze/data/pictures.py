"""Read any picture that Pillow knows as the small square RGB array that a network takes."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.errors import DataError

if TYPE_CHECKING:
    from PIL import Image


def read_picture(path: str | Path, size: int) -> Array:
    """Read a picture, upright and on white, cut to its central square and resized.

    Parameters
    ----------
    path : str or Path
        Any format and colour mode that Pillow reads; of an animation, the first frame.
    size : int
        Height and width of the result.

    Returns
    -------
    ndarray of uint8, shape (3, size, size)

    Raises
    ------
    DataError
        If the file cannot be read; see `open_picture`.
    ValueError
        If `size` is below 1.
    """
    from PIL import Image, ImageOps

    if size < 1:
        raise ValueError(f"size: expected at least 1, got {size}")
    square = ImageOps.fit(open_picture(path), (size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def open_picture(path: str | Path) -> "Image.Image":
    """Read a picture in RGB, upright and on white.

    Raises
    ------
    DataError
        If the file is missing, is no picture, is damaged, or has so many pixels that Pillow
        suspects a decompression bomb.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a quirk in the metadata is no reason to refuse
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                ImageOps.exif_transpose(picture, in_place=True)
                picture.load()
                return _on_white(picture)
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: no picture of a kind that Pillow reads") from error
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise DataError(f"{path}: cannot be read as a picture ({error})") from error


def _on_white(picture: "Image.Image") -> "Image.Image":
    """Return `picture` in RGB, its transparent parts white."""
    from PIL import Image

    if picture.mode.startswith("I;16"):  # Pillow's own conversion would clip at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode}: expected 8 or 16 bits a channel")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture)
    return white
