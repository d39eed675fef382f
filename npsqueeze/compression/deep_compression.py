"""Deep Compression: SqueezeNet 1.0 for ImageNet in 0.66 MB, as its authors published it."""

import os
from pathlib import Path

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.errors import CheckpointError
from npsqueeze.metaparameters import VERSIONS
from npsqueeze.state_shapes import state_shapes

SHAPES = state_shapes(VERSIONS["1.0"] | {"version": "1.0", "num_classes": 1000})
LAYERS = [name.removesuffix(".weight") for name in SHAPES if name.endswith(".weight")]
SIZES = np.array([np.prod(SHAPES[f"{layer}.weight"]) for layer in LAYERS])
BIASES = sum(SHAPES[f"{layer}.bias"][0] for layer in LAYERS)
CODES = 256  # the shared values of a layer
TABLE_BYTES = 4 * len(LAYERS)


def read_deep_compression(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Decode the file of SqueezeNet 1.0 that Deep Compression made.

    Most weights were pruned to zero; those left, k of a layer's m, were clustered into at most 255
    shared values. The file, all in little-endian order, first says how many weights are stored:

        uint32 k[26]                    of each layer: conv1, fire2/squeeze1x1, fire2/expand1x1,
                                        fire2/expand3x3, fire3/squeeze1x1, …, conv10

    and then holds for one layer after the other

        float32 codebook[256]           the shared values; codebook[0] = 0 means "pruned"
        float32 bias[F]                 not compressed
        uint8   code[k]                 which shared value a stored weight has
        uint4   gap[k]                  how many pruned weights lie before it; two in a byte, the
                                        first in its low half; after an odd k, four bits are unused

    The layer's weight (F, C, h, w), as one row of m numbers, is zero but for

        position[j] = (gap[0] + 1) + … + (gap[j] + 1) - 1
        weight[position[j]] = codebook[code[j]]

    Four bits cannot say a gap above 15. Where 16 or more weights in a row are pruned, one of them
    is stored as a filler: gap 15, code 0, after which counting starts anew.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of str to ndarray of float32
        The state of ``squeezenet("1.0")``, for pictures as ``data.SOURCES["caffe"]`` makes them.

    Raises
    ------
    CheckpointError
        If the file cannot be read, has another size than its counts imply, or places a weight
        outside its layer.

    References
    ----------
    Han, Mao, Dally, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained
    Quantization and Huffman Coding", 2016 (the published file leaves out the Huffman coding).
    """
    content, counts = _read(Path(path))
    at = TABLE_BYTES

    def take(dtype: str, count: int) -> Array:
        nonlocal at
        values = np.frombuffer(content, dtype, count, at)
        at += values.nbytes
        return values

    state = {}
    for layer, size, count in zip(LAYERS, SIZES, counts, strict=True):
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        codebook = take("<f4", CODES)
        state[bias] = take("<f4", SHAPES[bias][0]).astype(np.float32)
        codes = take("u1", count)
        pairs = take("u1", (count + 1) // 2)
        gaps = np.stack([pairs & 15, pairs >> 4], axis=1).ravel()[:count]
        positions = np.cumsum(gaps + 1, dtype=np.int64) - 1
        if positions[-1] >= size:
            raise CheckpointError(
                f"{path}: {weight}: expected positions below {size}, got {positions[-1]}"
            )
        if codebook[0] != 0 or not np.isfinite([*codebook, *state[bias]]).all():
            raise CheckpointError(
                f"{path}: {layer}: expected a codebook that starts with 0, and finite numbers"
            )
        dense = np.zeros(size, np.float32)
        dense[positions] = codebook[codes]
        state[weight] = dense.reshape(SHAPES[weight])
    return {name: state[name] for name in SHAPES}


def stored_counts(content: bytes) -> Array | None:
    """Return how many weights are stored of each layer, or None if it can be no such file."""
    if len(content) < TABLE_BYTES:
        return None
    counts = np.frombuffer(content, "<u4", len(LAYERS)).astype(np.int64)
    return counts if (counts > 0).all() and (counts <= SIZES).all() else None


def _read(path: Path) -> tuple[bytes, Array]:
    """Return the content of the file, of the size that its counts imply, and these."""
    try:
        with path.open("rb") as file:
            table = file.read(TABLE_BYTES)
            counts = stored_counts(table)
            if counts is None:
                raise CheckpointError(
                    f"{path}: expected Deep Compression's counts for {len(LAYERS)} layers first"
                )
            fixed = TABLE_BYTES + 4 * (CODES * len(LAYERS) + BIASES)
            expected = fixed + int((counts + (counts + 1) // 2).sum())
            content = table + file.read(expected)  # were there more bytes, one would show
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content):,}"
        raise CheckpointError(f"{path}: expected {expected:,} bytes by its counts, got {found}")
    return content, counts
