"""Checkpoints: named arrays and metadata in one .npz file, written whole or not at all."""

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.errors import CheckpointError
from npsqueeze.files import atomic_write
from npsqueeze.npz import read_npz

FORMAT = 1
HEADER = "npsqueeze"  # this array holds the format number, the names and the metadata


def save_checkpoint(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, Any]
) -> None:
    """Write `arrays` and `metadata` to the file `path`.

    The file is an ordinary .npz: `numpy.load` reads its arrays by name. Whatever happens, a file
    that was there before is either still there or completely replaced.

    Parameters
    ----------
    path : path
        The file, in a folder that exists.
    arrays : mapping of str to array
        Come back bit for bit.
    metadata : mapping
        Comes back as JSON keeps it: tuples as lists, keys as strings.

    Raises
    ------
    TypeError
        If a value cannot be stored without pickle: object arrays, metadata that is no JSON.
    ValueError
        If an array takes the reserved name "npsqueeze".
    CheckpointError
        If the file cannot be written.
    """
    if HEADER in arrays:
        raise ValueError(f"arrays: the name {HEADER!r} is reserved")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.hasobject:
            found = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"arrays[{name!r}]: expected an array of numbers, got {found}")
    try:
        header = json.dumps({"format": FORMAT, "names": list(arrays), "metadata": dict(metadata)})
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata: expected what JSON can hold ({error})") from error
    try:
        with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in {HEADER: np.array(header), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.save(member, array, allow_pickle=False)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the metadata of a file that `save_checkpoint` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, no checkpoint, or one of another format.
    """
    arrays = read_npz(path)
    if HEADER not in arrays:
        raise CheckpointError(f"{path}: an archive, but not one that npsqueeze wrote")
    try:
        header = json.loads(arrays.pop(HEADER).item())
        number, names, metadata = header["format"], header["names"], header["metadata"]
    except Exception as error:  # whole, but its content is not what we write
        raise CheckpointError(f"{path}: not one that npsqueeze wrote ({error})") from error
    if number != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT}, got {number!r}")
    if names != list(arrays):  # the archive's checksums do not cover its own table of contents
        raise CheckpointError(f"{path}: damaged: expected the arrays {names}, got {list(arrays)}")
    return arrays, metadata
