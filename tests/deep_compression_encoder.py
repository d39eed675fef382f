"""Write Deep Compression's format, entry by entry, as the docstring of its reader describes it."""

import struct
from collections.abc import Mapping

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.compression.deep_compression import LAYERS, SHAPES


def entries(row: Array) -> list[tuple[int, int]]:
    """Return (gap, code) of each stored weight of a row of codes, fillers included."""
    stored, gap = [], 0
    for code in row.tolist():
        if code or gap == 15:
            stored.append((gap, code))
            gap = 0
        else:
            gap += 1
    return stored


def encode(
    codes: Mapping[str, Array], codebooks: Mapping[str, Array], biases: Mapping[str, Array]
) -> bytes:
    """Return the file of layers with these codes (F, C, h, w), shared values and biases."""
    stored = {layer: entries(codes[layer].ravel()) for layer in LAYERS}
    content = struct.pack("<26I", *(len(stored[layer]) for layer in LAYERS))
    for layer in LAYERS:
        content += codebooks[layer].astype("<f4").tobytes() + biases[layer].astype("<f4").tobytes()
        content += bytes(code for _, code in stored[layer])
        gaps = [gap for gap, _ in stored[layer]] + [0]
        content += bytes(
            low + 16 * high for low, high in zip(gaps[:-1:2], gaps[1::2], strict=False)
        )
    return content


def sparse_network(weights_a_layer: int = 2, seed: int = 0) -> tuple[bytes, dict[str, Array]]:
    """Return a small file, and the state that it stands for.

    Most of a layer's stored weights lie at its beginning, so that few fillers are needed.
    """
    draw = np.random.default_rng(seed)
    codes, codebooks, biases, state = {}, {}, {}, {}
    for layer in LAYERS:
        shape = SHAPES[f"{layer}.weight"]
        codes[layer] = np.zeros(shape, np.uint8)
        places = draw.choice(40 * weights_a_layer, weights_a_layer, replace=False)
        codes[layer].flat[places] = draw.integers(1, 256, weights_a_layer)
        codebooks[layer] = draw.normal(size=256).astype(np.float32)
        codebooks[layer][0] = 0
        biases[layer] = draw.normal(size=shape[0]).astype(np.float32)
        state[f"{layer}.weight"] = codebooks[layer][codes[layer]]
        state[f"{layer}.bias"] = biases[layer]
    return encode(codes, codebooks, biases), state
