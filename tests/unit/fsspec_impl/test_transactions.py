"""Transactions: files that are seen together at the end, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from oastfs.fsspec_impl import OastFileSystem


def write_all(fs: OastFileSystem, fs_path: str, local: Path) -> list[str]:
    """By every way of writing there is."""
    local.write_bytes(b"put")
    with fs.open(f"{fs_path}/opened", "wb") as file:
        file.write(b"opened")
    with fs.open(f"{fs_path}/text", "w") as file:
        file.write("text")
    with fs.open(f"{fs_path}/exclusive", "xb") as file:
        file.write(b"exclusive")
    fs.pipe(f"{fs_path}/piped", b"piped")
    fs.pipe({f"{fs_path}/many": b"many"})
    fs.put_file(local, f"{fs_path}/put")
    fs.touch(f"{fs_path}/touched")
    return ["exclusive", "many", "opened", "piped", "put", "text", "touched"]


def visible(fs: OastFileSystem, fs_path: str) -> list[str]:
    names = [name.rpartition("/")[2] for name in fs.ls(fs_path, detail=False)]
    return [name for name in names if not name.endswith(".part")]


def test_files_appear_together(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    with fs.transaction:
        names = write_all(fs, fs_path, tmp_path / "put")
        assert visible(fs, fs_path) == []
    assert [name.rpartition("/")[2] for name in fs.ls(fs_path, detail=False)] == names
    assert fs.cat(f"{fs_path}/text") == b"text" and fs.cat(f"{fs_path}/put") == b"put"
    fs.pipe(f"{fs_path}/after", b"")
    assert fs.exists(f"{fs_path}/after")


def test_rollback_leaves_nothing(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no"), fs.transaction:
        write_all(fs, fs_path, tmp_path / "put")
        raise RuntimeError("no")
    assert fs.ls(fs_path) == []


def test_what_was_there_stays_until_the_end(fs: OastFileSystem, fs_path: str) -> None:
    paths = [f"{fs_path}/{name}" for name in ("replaced", "appended", "changed")]
    fs.pipe(dict.fromkeys(paths, b"old!"))
    with fs.transaction:
        fs.pipe(paths[0], b"new")
        with fs.open(paths[1], "ab") as file:
            file.write(b" and more")
        with fs.open(paths[2], "r+b") as file:
            file.write(b"co")
        assert set(fs.cat(paths).values()) == {b"old!"}
    assert list(fs.cat(paths).values()) == [b"old! and more", b"cod!", b"new"]


def test_without_a_context(fs: OastFileSystem, fs_path: str) -> None:
    fs.start_transaction()
    file = fs.open(f"{fs_path}/a", "wb")
    file.write(b"still open")
    assert not file.autocommit and not fs.exists(f"{fs_path}/a")
    fs.end_transaction()
    assert file.closed and fs.cat(f"{fs_path}/a") == b"still open"


def test_one_file_can_be_deferred(fs: OastFileSystem, fs_path: str) -> None:
    file = fs.open(f"{fs_path}/a", "wb", autocommit=False)
    file.write(b"1")
    file.close()
    assert not fs.exists(f"{fs_path}/a")
    file.commit()
    assert fs.cat(f"{fs_path}/a") == b"1"
    other = fs.open(f"{fs_path}/a", "wb", autocommit=False)
    other.write(b"2")
    other.discard()
    assert fs.cat(f"{fs_path}/a") == b"1" and fs.ls(fs_path, detail=False) == [f"{fs_path}/a"]


def test_exclusive(fs: OastFileSystem, fs_path: str) -> None:
    fs.pipe(f"{fs_path}/a", b"1")
    with pytest.raises(FileExistsError), fs.transaction:
        fs.open(f"{fs_path}/a", "xb")
    with pytest.raises(FileExistsError), fs.transaction:
        with fs.open(f"{fs_path}/b", "xb") as file:
            file.write(b"mine")
        fs.client.write_bytes(f"{fs_path}/b", b"another's")
    assert fs.cat(f"{fs_path}/*") == {f"{fs_path}/a": b"1", f"{fs_path}/b": b"another's"}
