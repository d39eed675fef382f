"""Weights that their authors published: fetched once into the user's cache, and verified."""

import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from npsqueeze.downloads import download
from npsqueeze.errors import CheckpointError
from npsqueeze.files import atomic_write


class Published(NamedTuple):
    """Where a file of weights lies, and how it is known again."""

    url: str
    sha256: str
    size: int


PUBLISHED = {
    # Han, Mao, Dally, "Deep Compression", 2016; read by compression/deep_compression.py
    "squeezenet1_0": Published(
        "https://github.com/songhan/SqueezeNet-Deep-Compression/raw/"
        "5623e3cdbe1fcd83328c61ce2ee42c34ed319aa3/compressed_SqueezeNet.net",
        "e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
        675_763,
    ),
}


def fetch_weights(name: str, source: str | Path | None = None) -> Path:
    """Put a published file of weights into the user's cache, verified, and return its path.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`. If it is there already, nothing is done.
    source : str or Path, optional
        A copy of the file at hand; it is downloaded if not given.

    Raises
    ------
    ValueError
        If the name is unknown.
    CheckpointError
        If the source cannot be read or is another file, or the cache cannot be written. Nothing is
        left behind then.
    """
    published, path = _published(name), _place(name)
    if _is_there(name):
        return path
    content = _read(Path(source).expanduser(), published) if source else _download(published)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def fetched_weights(name: str) -> Path:
    """Return the path of a published file that was fetched.

    Raises
    ------
    CheckpointError
        If it was not, or has been damaged since.
    """
    if not _is_there(name):
        raise CheckpointError(f"{name}: not here yet: run `npsqueeze weights fetch {name}`")
    return _place(name)


def weights_folder() -> Path:
    """Return the folder in the user's cache where published weights are kept."""
    import pooch

    return Path(pooch.os_cache("npsqueeze")) / "weights"


def _published(name: str) -> Published:
    if name not in PUBLISHED:
        raise ValueError(f"name: expected one of {', '.join(PUBLISHED)}, got {name!r}")
    return PUBLISHED[name]


def _place(name: str) -> Path:
    return weights_folder() / f"{name}{Path(_published(name).url).suffix}"


def _is_there(name: str) -> bool:
    path, published = _place(name), _published(name)
    return path.is_file() and _verified(path.read_bytes(), published)


def _verified(content: bytes, published: Published) -> bool:
    return hashlib.sha256(content).hexdigest() == published.sha256


def _read(path: Path, published: Published) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(published.size + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if not _verified(content, published):
        raise CheckpointError(f"{path}: the SHA-256 differs from the published one")
    return content


def _download(published: Published) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return download(published.url, f"sha256:{published.sha256}", folder).read_bytes()
        except (OSError, ValueError) as error:  # no connection, cut off; another checksum
            raise CheckpointError(
                f"{published.url}: the download failed ({error}); --from FILE takes a copy"
            ) from error
