"""From a picture to the input of a network: each family of weights was trained with its own way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.data.pictures import open_picture

ORDERS = ("RGB", "BGR")
LARGEST_SIZE = 4096  # a file that asks for more means to fill the memory


@dataclass(frozen=True)
class Preprocessing:
    """x = (pixels·scale - mean)/std, of a picture that is resized and cut to its central square.

    Attributes
    ----------
    size : int
        Height and width of the network's input.
    resize : int
        The short side before the cut or, where `warped`, both sides; at least `size`.
    warped : bool
        Whether the picture is squeezed into a square, whatever its shape.
    order : "RGB" or "BGR"
        Of the channels, in which also `mean` and `std` are.
    scale : float
    mean, std : three floats
    """

    size: int
    resize: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    warped: bool = False
    order: str = "RGB"
    scale: float = 1 / 255

    def __post_init__(self) -> None:
        """Raise ValueError, naming the attribute, if one is not as stated."""
        for name in ("size", "resize"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
                raise ValueError(
                    f"{name}: expected an int of at least 1, at most {LARGEST_SIZE}, got {value!r}"
                )
        if self.resize < self.size:
            raise ValueError(f"resize: expected at least the size {self.size}, got {self.resize}")
        if self.order not in ORDERS:
            raise ValueError(f"order: expected one of {', '.join(ORDERS)}, got {self.order!r}")
        with np.errstate(over="ignore"):
            numbers = np.array([*self.mean, *self.std, self.scale], np.float32)
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite(numbers).all():
            raise ValueError(
                f"mean, std, scale: expected three, three and one finite number, got {self.mean}, "
                f"{self.std}, {self.scale}"
            )
        if numbers[3:6].min() <= 0:
            raise ValueError(f"std: expected values above 0, got {self.std}")

    def __str__(self) -> str:
        """Return the steps in words, with the numbers."""
        sides = f"both sides to {self.resize}" if self.warped else f"short side to {self.resize}"
        scale = "/255" if self.scale == 1 / 255 else f"·{self.scale:g}"
        mean, std = (
            " ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std)
        )
        return (
            f"{sides}, cut to {self.size}x{self.size}, {self.order}{scale}, minus {mean}, by {std}"
        )

    def read(self, path: str | Path) -> Array:
        """Return a picture as the input of the network, float32 (3, size, size).

        Raises
        ------
        DataError
            If the file is no picture that can be read.
        """
        return self.apply(self.pixels(path))

    def pixels(self, path: str | Path) -> Array:
        """Return what the network will see of a picture, uint8 (3, size, size) in RGB."""
        from PIL import Image

        picture = open_picture(path)
        short = min(picture.size)
        width, height = (
            (self.resize, self.resize)
            if self.warped
            else (round(side * self.resize / short) for side in picture.size)
        )
        left, top = (width - self.size) // 2, (height - self.size) // 2
        # The cut, in the picture's own pixels: only what is seen gets resized, however long it is.
        across, down = picture.width / width, picture.height / height
        box = (
            left * across,
            top * down,
            (left + self.size) * across,
            (top + self.size) * down,
        )
        square = picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))

    def apply(self, pixels: Array) -> Array:
        """Return the input for pixels of uint8, shape (..., 3, H, W), in RGB."""
        if pixels.dtype != np.uint8 or pixels.ndim < 3 or pixels.shape[-3] != 3:
            found = f"{pixels.dtype} {pixels.shape}"
            raise ValueError(f"pixels: expected uint8 of shape (..., 3, H, W), got {found}")
        if self.order == "BGR":
            pixels = pixels[..., ::-1, :, :]
        x = pixels * np.float32(self.scale)
        x -= np.array(self.mean, np.float32)[:, None, None]
        x /= np.array(self.std, np.float32)[:, None, None]
        return np.ascontiguousarray(x)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON keeps them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, attributes: Mapping[str, Any]) -> "Preprocessing":
        """Return what `as_dict` gave.

        Raises
        ------
        TypeError, ValueError
            If an attribute is missing, unknown or not as stated.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in attributes.items()
        }
        return cls(**values)


TORCHVISION = Preprocessing(224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SOURCES = {
    "caffe": Preprocessing(227, 256, (104, 117, 123), (1, 1, 1), True, "BGR", 1.0),
    "torchvision": TORCHVISION,
    "mxnet": TORCHVISION,
}
