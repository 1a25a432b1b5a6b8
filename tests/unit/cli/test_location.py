"""URLs and paths as people type them."""

from __future__ import annotations

import pytest

from oastfs.cli.failure import UsageFailure
from oastfs.cli.location import LOCATION, Location, parse

NAMENODE = "oastfs://localhost:8020"
STORE = "lmdb:///srv/oast"


@pytest.fixture(autouse=True)
def no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OASTFS_URL", raising=False)


@pytest.mark.parametrize(
    ("text", "address", "path"),
    [
        (f"{NAMENODE}/a/b", NAMENODE, "/a/b"),
        (NAMENODE, NAMENODE, "/"),
        (f"{NAMENODE}/", NAMENODE, "/"),
        (f"{NAMENODE}//a/./b/", NAMENODE, "/a/b"),
        ("hdfs://localhost:8020/a", NAMENODE, "/a"),
        ("OASTFS://localhost:8020/a", NAMENODE, "/a"),
        ("oastfs://one:8020,two:8020/a!b", "oastfs://one:8020,two:8020", "/a!b"),
        (STORE, STORE, "/"),
        (f"{STORE}!", STORE, "/"),
        (f"{STORE}!/a b/c!d", STORE, "/a b/c!d"),
        ("postgresql+psycopg2://u@h/db!/x", "postgresql+psycopg2://u@h/db", "/x"),
    ],
)
def test_urls(text: str, address: str, path: str) -> None:
    assert parse(text) == Location(address, path)


@pytest.mark.parametrize(
    ("default", "text", "address", "path"),
    [
        (NAMENODE, "/a", NAMENODE, "/a"),
        (NAMENODE, "a/b", NAMENODE, "/a/b"),
        (NAMENODE, ".", NAMENODE, "/"),
        (f"{NAMENODE}/home/me", "a", NAMENODE, "/home/me/a"),
        (f"{NAMENODE}/home/me", "/a", NAMENODE, "/a"),
        (STORE, "a", STORE, "/a"),
        (f"{STORE}!/base", "a", STORE, "/base/a"),
        (NAMENODE, "oastfs:///a", NAMENODE, "/a"),
        (NAMENODE, f"{STORE}!/a", STORE, "/a"),
    ],
)
def test_default(monkeypatch: pytest.MonkeyPatch, default: str, text: str, address: str, path: str) -> None:
    monkeypatch.setenv("OASTFS_URL", default)
    assert parse(text) == Location(address, path)


@pytest.mark.parametrize("default", ["", "localhost:8020", "oastfs:///", "oastfs://"])
def test_path_without_a_usable_default(monkeypatch: pytest.MonkeyPatch, default: str) -> None:
    monkeypatch.setenv("OASTFS_URL", default)
    with pytest.raises(UsageFailure, match="OASTFS_URL"):
        parse("/a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{STORE}!a", "must begin with '/'"),
        (f"{NAMENODE}/a/../b", "'..'"),
        (f"{NAMENODE}/{'x' * 256}", "255 bytes"),
        (f"{NAMENODE}/a\0b", "NUL"),
        (f"{NAMENODE}/\udcff", "UTF-8"),
    ],
)
def test_bad_paths_are_wrong_usage(text: str, message: str) -> None:
    with pytest.raises(UsageFailure, match=message):
        LOCATION.convert(text, None, None)


@pytest.mark.parametrize("text", [f"{NAMENODE}/a/b", f"{STORE}!/a/b"])
def test_writes_what_it_reads(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(text).child("c") == parse(f"{text}/c")
    assert parse(text).name == "b"
