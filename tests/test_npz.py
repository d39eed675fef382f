"""Archives of arrays that others wrote: what NumPy reads, and nothing that NumPy should not."""

import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npsqueeze.errors import CheckpointError
from npsqueeze.npz import read_npz


def npy(shape, descr="<f4", body=b"", fortran=False):
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def zipped(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refuse(tmp_path, content, message):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@given(
    arrays=st.dictionaries(
        st.text("abc./_1", min_size=1, max_size=8).filter(lambda name: name != "file"),
        hnp.arrays(
            st.sampled_from(["<f4", ">f8", "<f2", "i1", "<u8", "?", "<U3"]),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        ),
        max_size=3,
    ),
    fortran=st.booleans(),
)
def test_what_numpy_wrote_is_read(tmp_path_factory, save, arrays, fortran):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    if fortran:
        arrays = {name: np.asfortranarray(array) for name, array in arrays.items()}
    save(path, **arrays)
    found = read_npz(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy((10**12,)), r"\(1000000000000,\) of float32, but 0 bytes"),
        (npy((2,), body=b"1234567"), r"\(2,\) of float32, but 7 bytes"),
        (npy((1,), body=b"12345"), "but 5 bytes"),
        (npy((-1, -1), body=b"1234"), r"\(-1, -1\) of float32"),
        (npy((2**40, 0, 2**40)), "cannot|array is too big|Maximum|damaged"),
        (npy((1,), "|O", b"12345678"), "got Python objects"),
        (npy((5,), "<q9"), "descr"),
        (npy("("), "damaged"),
        (npy("(" * 5000), "damaged"),
        (b"\x93NUMPY\x07\x00", "damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "damaged"),
        (b"", "damaged"),
    ],
)
def test_headers_that_lie(tmp_path, member, message):
    refuse(tmp_path, zipped({"a.npy": member}), message)


def test_other_members(tmp_path):
    refuse(tmp_path, zipped({"a.txt": b"hello"}), "a.txt: expected arrays alone")
    whole = npy((1,), body=b"1234")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refuse(tmp_path, zipped({"a.npy": whole}, method), "a.npy: expected arrays alone, stored")
    changed = bytearray(zipped({"a.npy": whole}))
    changed[changed.index(b"1234")] ^= 1
    refuse(tmp_path, changed, "CRC")


@pytest.mark.parametrize("claimed", [None, 1000])
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, claimed):
    """100 MB of zeros in 100 kB, once with their true size and once with a small one claimed."""
    size = 100 * 2**20
    content = bytearray(zipped({"a.npy": npy((size,), "u1") + bytes(size)}, zipfile.ZIP_DEFLATED))
    if claimed:
        entry = content.index(b"PK\x01\x02")
        content[entry + 24 : entry + 28] = struct.pack("<I", claimed)
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="CRC" if claimed else "claim to unpack to"):
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()


def test_zeros_compress_well_and_are_no_bomb(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(10**6, np.float32))
    assert read_npz(path)["a"].sum() == 0
