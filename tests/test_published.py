"""Published weights: verified, whole or not at all; the network is played by a local server."""

import contextlib
import hashlib

import pytest

from npsqueeze import published
from npsqueeze.cli import main
from npsqueeze.errors import CheckpointError
from npsqueeze.published import PUBLISHED, fetch_weights, fetched_weights
from tests.deep_compression_encoder import sparse_network
from tests.serving import serving
from tests.shared import shared

NAME = "squeezenet1_0"


@pytest.fixture
def content(monkeypatch, tmp_path):
    """Return small weights that count as the published ones; the cache is a folder of the test."""
    content, _ = sparse_network()
    entry = PUBLISHED[NAME]._replace(
        url="http://127.0.0.1:9/a.net",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    monkeypatch.setitem(PUBLISHED, NAME, entry)
    monkeypatch.setattr(published, "weights_folder", lambda: tmp_path / "cache" / "weights")
    return content


def left_behind(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_published_checksum():
    path = shared("pretrained/squeezenet_v1_0_deep_compression.net")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PUBLISHED[NAME].sha256
    assert path.stat().st_size == PUBLISHED[NAME].size


def test_a_copy_at_hand(content, tmp_path, capsys):
    with pytest.raises(CheckpointError, match=f"run `npsqueeze weights fetch {NAME}`"):
        fetched_weights(NAME)
    (tmp_path / "copy").write_bytes(content)
    assert main(["weights", "fetch", NAME, "--from", str(tmp_path / "copy")]) == 0
    path = fetched_weights(NAME)
    assert capsys.readouterr().out == f"{path}: {NAME}, as published\n"
    assert path.read_bytes() == content
    assert fetch_weights(NAME) == path  # is there: no source is asked


def test_a_damaged_copy_in_the_cache_is_replaced(content, tmp_path):
    (tmp_path / "copy").write_bytes(content)
    path = fetch_weights(NAME, tmp_path / "copy")
    path.write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="not here yet"):
        fetched_weights(NAME)
    assert fetch_weights(NAME, tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"!", lambda c: b"!" + c[1:]])
def test_another_file(content, tmp_path, change):
    (tmp_path / "copy").write_bytes(change(content))
    with pytest.raises(CheckpointError, match="copy: the SHA-256 differs"):
        fetch_weights(NAME, tmp_path / "copy")
    assert left_behind(tmp_path) == []


def test_places_that_cannot_be(content, tmp_path):
    with pytest.raises(CheckpointError, match="none: cannot be read"):
        fetch_weights(NAME, tmp_path / "none")
    with pytest.raises(ValueError, match="name: expected one of squeezenet1_0, got 'vgg'"):
        fetch_weights("vgg")
    (tmp_path / "copy").write_bytes(content)
    (tmp_path / "cache").write_bytes(b"in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        fetch_weights(NAME, tmp_path / "copy")


@pytest.fixture
def serve(content, monkeypatch):
    """Start a local server that sends one body, whatever is asked for."""
    with contextlib.ExitStack() as servers:

        def start(body):
            url = f"{servers.enter_context(serving(body))}/a.net"
            monkeypatch.setitem(PUBLISHED, NAME, PUBLISHED[NAME]._replace(url=url))

        yield start


def test_a_download(content, serve):
    serve(content)
    assert fetch_weights(NAME).read_bytes() == content


@pytest.mark.parametrize("body", [b"other", b""])
def test_a_download_of_something_else(serve, tmp_path, body):
    serve(body)
    with pytest.raises(CheckpointError, match=r"the download failed .*--from FILE takes a copy"):
        fetch_weights(NAME)
    assert left_behind(tmp_path) == []


def test_no_connection(content, tmp_path):
    with pytest.raises(CheckpointError, match=r"127.0.0.1:9/a.net: the download failed"):
        fetch_weights(NAME)
    assert left_behind(tmp_path) == []
