"""Read the arrays of an .npz file that anyone may have written: no pickle, no surprise in size."""

import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from npsqueeze.arrays import Array
from npsqueeze.errors import CheckpointError

# Weights hardly compress; only a bomb unpacks to many times the size of its file.
LARGEST_RATIO = 16
ALWAYS_ALLOWED = 2**24
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of np.savez and np.savez_compressed


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return all arrays of an .npz file by name.

    No more memory is taken than a small multiple of the file, whatever sizes it claims.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, no .npz file, or holds Python objects.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(members, path.stat().st_size)
            return {
                member.filename.removesuffix(".npy"): _parse(member, archive) for member in members
            }
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive fails in a dozen ways
        raise CheckpointError(f"{path}: damaged, or no .npz file ({error})") from error


def _check_sizes(members: list[zipfile.ZipInfo], file_size: int) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(LARGEST_RATIO * file_size, ALWAYS_ALLOWED):
        raise ValueError(f"{file_size:,} bytes that claim to unpack to {unpacked:,}")
    for member in members:
        if not member.filename.endswith(".npy") or member.compress_type not in METHODS:
            raise ValueError(f"{member.filename}: expected arrays alone, stored or deflated")


def _parse(member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> Array:
    """Return the array of an .npy file, whose header must describe what follows it."""
    with archive.open(member) as file:
        content = file.read(member.file_size)  # this much and no more; the checksum is verified
    stream = io.BytesIO(content)
    major, _ = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError(f"{member.filename}: expected numbers or text, got Python objects")
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if min(shape, default=0) < 0 or expected != found:
        raise ValueError(f"{member.filename}: {shape} of {dtype}, but {found:,} bytes")
    flat = np.ndarray((math.prod(shape),), dtype, content, stream.tell()).copy()
    return flat.reshape(shape, order="F" if is_fortran else "C")
