"""URLs: from users to paths and options, and back."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from oastfs.fsspec_impl.address import namenodes, options_of, strip


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("oastfs://host:8020/a/b", "/a/b"),
        ("oastfs://h1:1,h2:2/a/b/", "/a/b"),
        ("oastfs://alice@host/a", "/a"),
        ("oastfs:///a", "/a"),
        ("oastfs://host:8020", "/"),
        ("oastfs://", "/"),
        ("/a/b/", "/a/b"),
        ("/a//b///c", "/a/b/c"),
        ("a/b", "/a/b"),
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/a b/ä?x=1#y", "/a b/ä?x=1#y"),
        ("/with oastfs://inside", "/with oastfs:/inside"),
        (PurePosixPath("/a/b"), "/a/b"),
    ],
)
def test_strip(url: Any, path: str) -> None:
    assert strip(url) == path
    assert OastFileSystem._strip_protocol(url) == path
    assert strip(path) == path


def test_strip_of_many() -> None:
    assert OastFileSystem._strip_protocol(["oastfs://h/a", "/b/"]) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("oastfs://host:8020/a", {"host": "host:8020"}),
        ("oastfs://h1:1,h2:2/a", {"host": "h1:1,h2:2"}),
        ("oastfs://alice@host/a@b", {"host": "host", "user": "alice"}),
        ("oastfs://[::1]:8020/a", {"host": "[::1]:8020"}),
        ("oastfs:///a", {}),
        ("/a", {}),
    ],
)
def test_options(url: str, options: dict[str, str]) -> None:
    assert options_of(url) == options


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        (None, None, None),
        ("h", None, "oastfs://h"),
        ("h", 1, "oastfs://h:1"),
        ("h1,h2:2", 1, "oastfs://h1:1,h2:2"),
        ("[::1]", 1, "oastfs://[::1]:1"),
        ("[::1]:2", 1, "oastfs://[::1]:2"),
    ],
)
def test_namenodes(host: str | None, port: int | None, url: str | None) -> None:
    assert namenodes(host, port) == url


@pytest.mark.parametrize("url", ["oastfs://h1:1,h2:2/a/b", "oastfs://host:8020/"])
def test_round_trip(url: str) -> None:
    fs, path = fsspec.core.url_to_fs(url)
    assert fs.unstrip_protocol(path) == url
    again, same = fsspec.core.url_to_fs(fs.unstrip_protocol(path))
    assert again is fs and same == path


def test_round_trip_in_direct_mode() -> None:
    options = {"metadata": "lmdb:///nowhere"}
    fs, path = fsspec.core.url_to_fs("oastfs:///a/b", **options)
    assert fs.unstrip_protocol(path) == "oastfs:///a/b"
    assert fsspec.core.url_to_fs(fs.unstrip_protocol(path), **options) == (fs, path)


def test_parent() -> None:
    assert OastFileSystem._parent("oastfs://h/a/b") == "/a"
    assert OastFileSystem._parent("/a") == "/"
    assert OastFileSystem._parent("/") == "/"


def test_bad_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OASTFS_URL", raising=False)
    with pytest.raises(OSError, match="OASTFS_URL"):
        fsspec.filesystem("oastfs")
    with pytest.raises(OSError, match="not both"):
        fsspec.filesystem("oastfs", host="h:1", metadata="lmdb:///x")
    with pytest.raises(OSError, match="port"):
        fsspec.filesystem("oastfs", host="h:x")


def test_unreachable() -> None:
    fs = fsspec.filesystem("oastfs", host="127.0.0.1:1", timeout=0.2)
    for call in (fs.exists, fs.isfile, fs.info, fs.ls, fs.cat):
        with pytest.raises((ConnectionError, TimeoutError)):
            call("/a")
