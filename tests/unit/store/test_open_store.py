"""Addresses of stores, and what happens if there is something else in the place."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from oastfs.core.errors import InvalidArgument, StoreError, WrongStore
from oastfs.store import open_store
from oastfs.store.schema import SCHEMA_VERSION


def refused(directory: Path, create: bool = True) -> str:
    """The one line with which a store is refused; nothing in the place may have changed."""
    before = contents(directory)
    with pytest.raises(WrongStore) as caught:
        open_store(f"lmdb://{directory}", create=create)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    assert contents(directory) == before
    return message


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        str(entry.relative_to(path)): entry.read_bytes()
        for entry in path.rglob("*")
        if entry.is_file() and entry.name != "lock.mdb"
    }


def test_created_then_opened(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}/a/b"
    open_store(url, create=True).close()
    open_store(url).close()
    open_store(url, create=True).close()
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


def test_escaped_characters_in_the_path(tmp_path: Path) -> None:
    open_store(f"lmdb://{tmp_path}/with%20space", create=True).close()
    assert (tmp_path / "with space" / "data.mdb").exists()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for create in (False, True):
        assert "file" in refused(tmp_path / "file", create)


def test_nothing_there(tmp_path: Path) -> None:
    assert "no store" in refused(tmp_path / "missing", create=False)
    assert not (tmp_path / "missing").exists()
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(tmp_path / "empty", create=False)
    open_store(f"lmdb://{tmp_path}/empty", create=True).close()


def test_other_things_there(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"JFIF")
    for create in (False, True):
        assert "other things" in refused(tmp_path, create)


@pytest.mark.parametrize("data", [b"text", b"\0" * 8192, b"x" * 100_000])
@pytest.mark.parametrize("create", [False, True])
def test_data_that_is_not_lmdb(tmp_path: Path, data: bytes, create: bool) -> None:
    (tmp_path / "data.mdb").write_bytes(data)
    assert "not an LMDB file" in refused(tmp_path, create)
    assert not (tmp_path / "lock.mdb").exists()


def test_a_damaged_store(tmp_path: Path) -> None:
    open_store(f"lmdb://{tmp_path}", create=True).close()
    with (tmp_path / "data.mdb").open("r+b") as file:
        file.seek(20)
        file.write(b"\xff" * 4)
    assert "damaged" in refused(tmp_path) or "version" in refused(tmp_path)


def test_an_empty_data_file(tmp_path: Path) -> None:
    """Killed as the file was made."""
    (tmp_path / "data.mdb").touch()
    assert "empty" in refused(tmp_path, create=False)
    open_store(f"lmdb://{tmp_path}", create=True).close()


@pytest.mark.parametrize("create", [False, True])
def test_an_environment_of_another_program(tmp_path: Path, create: bool) -> None:
    with lmdb.open(str(tmp_path), max_dbs=2) as other:
        database = other.open_db(b"inode")
        with other.begin(write=True) as txn:
            txn.put(b"key", b"value", db=database)
    assert "not an OastFS store" in refused(tmp_path, create)


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1).encode(), b"unknown"])
def test_a_newer_version(tmp_path: Path, version: bytes) -> None:
    open_store(f"lmdb://{tmp_path}", create=True).close()
    with lmdb.open(str(tmp_path), max_dbs=64) as store, store.begin(write=True) as txn:
        txn.put(b"oastfs schema version", version)
    assert "newer version" in refused(tmp_path)


def test_a_store_that_was_never_finished(tmp_path: Path) -> None:
    """Killed between making the files and marking them: as good as empty."""
    lmdb.open(str(tmp_path)).close()
    refused(tmp_path, create=False)
    open_store(f"lmdb://{tmp_path}", create=True).close()


def test_a_directory_made_anew_under_an_open_store(tmp_path: Path) -> None:
    first = open_store(f"lmdb://{tmp_path}/store", create=True)
    (tmp_path / "store").rename(tmp_path / "moved")
    second = open_store(f"lmdb://{tmp_path}/store", create=True)
    assert first.write(lambda tx: 1) == second.write(lambda tx: 1)
    second.close()
    first.close()
    open_store(f"lmdb://{tmp_path}/store").close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store",
        "/srv/store",
        "lmdb:",
        "lmdb://relative/path",
        "lmdb://",
        "lmdb:///a?b=c",
        "file:///a",
        "mysql://h/d",
    ],
)
def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)


def test_several_addresses(tmp_path: Path) -> None:
    one = f"lmdb://{tmp_path}/one"
    open_store([one], create=True).close()
    for urls in ([], [one, one], [one, "postgresql://h/d"]):
        with pytest.raises(InvalidArgument):
            open_store(urls)


def test_an_unknown_option(tmp_path: Path) -> None:
    with pytest.raises((TypeError, InvalidArgument)):
        open_store(f"lmdb://{tmp_path}/store", create=True, colour="red")


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        open_store(f"lmdb://{tmp_path}/file/store", create=True)
