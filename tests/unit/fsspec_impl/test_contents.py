"""Bytes in and out, on both forms of address."""

from __future__ import annotations

import io
import os
import pickle
import random
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback

from oastfs.fsspec_impl import OastFileSystem
from tests.harness.cluster import Cluster
from tests.harness.noting import noting

LARGE_BYTES = 3 * 1024 * 1024


@pytest.fixture
def large(cluster: Cluster) -> tuple[OastFileSystem, str, bytes]:
    """A file in blocks: only what has a datanode can hold it."""
    fs = fsspec.core.url_to_fs(cluster.url)[0]
    data = random.Random(1).randbytes(LARGE_BYTES)
    path = f"/large-{os.urandom(4).hex()}"
    fs.pipe(path, data)
    return fs, path, data


# --- opening ----------------------------------------------------------------------------------------


def test_modes(fs: OastFileSystem, fs_path: str) -> None:
    path = f"{fs_path}/dir/file"
    with fs.open(path, "wb") as file:
        file.write(b"0123456789")
    with fs.open(path, "ab") as file:
        assert file.tell() == 10
        file.write(b"ab")
    with fs.open(path, "r+b") as file:
        file.seek(2)
        file.write(b"XY")
        file.seek(0)
        assert file.read() == b"01XY456789ab"
        file.truncate(6)
    assert fs.cat(path) == b"01XY45"
    with fs.open(path, "w+b") as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new"
    with pytest.raises(FileExistsError):
        fs.open(path, "xb")
    with fs.open(path + "2", "xb") as file:
        file.write(b"x")
    with pytest.raises(FileNotFoundError):
        fs.open(f"{fs_path}/none")
    with pytest.raises(IsADirectoryError):
        fs.open(fs_path)
    with pytest.raises(OSError, match="mode"):
        fs.open(path, "qb")


def test_text(fs: OastFileSystem, fs_path: str) -> None:
    path = f"{fs_path}/text"
    fs.write_text(path, "eins\nzwei ä\n", encoding="utf-8")
    assert fs.read_text(path, encoding="utf-8") == "eins\nzwei ä\n"
    with fs.open(path, "r", encoding="utf-8") as file:
        assert list(file) == ["eins\n", "zwei ä\n"]
    with fs.open(path, "a") as file:
        file.write("drei\n")
    assert fs.cat(path).count(b"\n") == 3


def test_compression(fs: OastFileSystem, fs_path: str) -> None:
    with fs.open(f"{fs_path}/a.gz", "wb", compression="infer") as file:
        file.write(b"text" * 1000)
    assert fs.size(f"{fs_path}/a.gz") < 1000
    with fs.open(f"{fs_path}/a.gz", "rb", compression="gzip") as file:
        assert file.read() == b"text" * 1000


def test_what_a_file_tells(fs: OastFileSystem, fs_path: str) -> None:
    path = f"{fs_path}/file"
    with fs.open(path, "wb") as file:
        file.write(b"0123456789")
        assert file.writable() and not file.readable() and file.loc == 10 and file.autocommit
    with fs.open(path) as file:
        assert file.size == 10 and file.loc == 0 and file.path == path and file.fs is fs
        assert file.readable() and not file.writable() and file.seekable() and file.mode == "rb"
        assert file.details == file.info() == fs.info(path)
        assert file.full_name == fs.unstrip_protocol(path)
        assert file.read(3) == b"012" and file.loc == file.tell() == 3
        assert file.seek(-2, io.SEEK_END) == 8
        buffer = bytearray(5)
        assert file.readinto(buffer) == 2 and buffer[:2] == b"89"
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"")
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_open_files_can_be_pickled(fs: OastFileSystem, fs_path: str) -> None:
    fs.pipe(f"{fs_path}/file", b"0123456789")
    with fs.open(f"{fs_path}/file", block_size=4096) as file:
        file.seek(4)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert copy.tell() == 4 and copy.read() == b"456789" and copy.blocksize == 4096
    with fs.open(f"{fs_path}/file", "ab") as file, pytest.raises(TypeError):
        pickle.dumps(file)


def test_a_file_that_is_renamed_or_removed_stays_open(fs: OastFileSystem, fs_path: str) -> None:
    with fs.open(f"{fs_path}/a", "wb") as file:
        file.write(b"1")
        fs.mv(f"{fs_path}/a", f"{fs_path}/b")
        file.write(b"2")
    assert fs.cat(f"{fs_path}/b") == b"12"


def test_large(large: tuple[OastFileSystem, str, bytes]) -> None:
    fs, path, data = large
    assert fs.cat(path) == data
    random_source = random.Random(2)
    with fs.open(path) as file:
        for _ in range(100):
            offset, length = random_source.randrange(LARGE_BYTES), random_source.randrange(100_000)
            file.seek(offset)
            assert file.read(length) == data[offset : offset + length]
    with fs.open(path, "r+b") as file:
        file.seek(1_000_000)
        file.write(b"in place")
    changed = data[:1_000_000] + b"in place" + data[1_000_008:]
    assert fs.cat(path) == changed
    with fs.open(path, "ab") as file:
        file.write(data)
    assert fs.cat_file(path, LARGE_BYTES - 10, LARGE_BYTES + 10) == (changed + data)[LARGE_BYTES - 10 :][:20]


# --- reading ----------------------------------------------------------------------------------------


def test_cat(fs: OastFileSystem, fs_path: str) -> None:
    files = {f"{fs_path}/{number}": str(number).encode() for number in range(5)}
    fs.pipe(files)
    assert fs.cat(list(files)) == fs.cat(f"{fs_path}/*") == fs.cat(fs_path, recursive=True) == files
    assert fs.cat(f"{fs_path}/3") == b"3"
    assert fs.cat([f"{fs_path}/3"]) == {f"{fs_path}/3": b"3"}
    asked = [f"{fs_path}/none", f"{fs_path}/1", fs_path]
    with pytest.raises(FileNotFoundError):
        fs.cat(asked[:2])
    assert fs.cat(asked, on_error="omit") == {f"{fs_path}/1": b"1"}
    returned = fs.cat(asked, on_error="return")
    assert isinstance(returned[asked[0]], FileNotFoundError)
    assert isinstance(returned[asked[2]], IsADirectoryError)


def test_cat_of_thousands_is_a_few_calls(
    fs: OastFileSystem, fs_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{fs_path}/{number:04}": b"%d" % number for number in range(3000)}
    calls: list[str] = []
    metadata = fs.client.metadata
    monkeypatch.setattr(metadata, "call", noting(metadata.call, calls))
    fs.pipe(files)
    assert fs.cat(list(files)) == files
    assert len(fs.info_many(list(files))) == 3000
    assert fs.sizes(list(files)) == [len(data) for data in files.values()]
    assert len(calls) <= 15, calls


def test_cat_stream(fs: OastFileSystem, fs_path: str) -> None:
    files = {f"{fs_path}/{number:04}": b"%d" % number for number in range(2500)}
    fs.pipe(files)
    assert list(fs.cat_stream(files)) == list(files.values())
    with pytest.raises(FileNotFoundError):
        list(fs.cat_stream([f"{fs_path}/0001", f"{fs_path}/none"]))


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (2, 5), (-3, None), (None, -3), (-5, -2), (8, 100), (100, 200), (5, 2)]
)
def test_cat_file_slices(fs: OastFileSystem, fs_path: str, start: int | None, end: int | None) -> None:
    fs.pipe(f"{fs_path}/f", b"0123456789")
    assert fs.cat_file(f"{fs_path}/f", start, end) == b"0123456789"[start:end]
    assert fs.cat(f"{fs_path}/f", start=start, end=end) == b"0123456789"[start:end]


@pytest.mark.parametrize("max_gap", [None, 0, 1, 1 << 30])
def test_cat_ranges(fs: OastFileSystem, fs_path: str, max_gap: int | None) -> None:
    data = {f"{fs_path}/a": b"0123456789", f"{fs_path}/b": b"abcdefghij"}
    fs.pipe(data)
    a, b = data
    paths = [b, a, a, b, a, a, a]
    starts = [8, 0, 5, 0, 4, -2, None]
    ends = [None, 3, 7, 2, 5, None, -8]
    expected = [data[path][start:end] for path, start, end in zip(paths, starts, ends, strict=True)]
    assert fs.cat_ranges([*paths], starts, ends, max_gap=max_gap) == expected
    assert fs.cat_ranges([a, b], 1, 3) == [b"12", b"bc"]
    found = fs.cat_ranges([a, f"{fs_path}/none", f"{fs_path}/none"], [1, 0, -1], [2, 1, None])
    assert found[0] == b"1" and all(isinstance(one, FileNotFoundError) for one in found[1:])
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{fs_path}/none"], 0, 1, on_error="raise")
    with pytest.raises(TypeError):
        fs.cat_ranges(a, 0, 1)  # type: ignore[arg-type]  # no list
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges([a, b], [1], [2])


def test_cat_ranges_of_a_large_file(large: tuple[OastFileSystem, str, bytes]) -> None:
    fs, path, data = large
    random_source = random.Random(3)
    starts = [random_source.randrange(LARGE_BYTES) for _ in range(200)]
    ends = [start + random_source.randrange(20_000) for start in starts]
    found = fs.cat_ranges([path] * 200, [*starts], [*ends])
    assert found == [data[start:end] for start, end in zip(starts, ends, strict=True)]


def test_head_tail_and_blocks(fs: OastFileSystem, fs_path: str) -> None:
    fs.pipe(f"{fs_path}/f", b"line 1\nline 2\nline 3\n")
    assert fs.head(f"{fs_path}/f", 4) == b"line" and fs.tail(f"{fs_path}/f", 3) == b" 3\n"
    assert fs.tail(f"{fs_path}/f", 1000) == b"line 1\nline 2\nline 3\n"
    assert fs.read_block(f"{fs_path}/f", 2, 8, b"\n") == b"line 2\n"


# --- writing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"bytes", bytearray(b"array"), memoryview(b"view")])
def test_pipe_takes_buffers(fs: OastFileSystem, fs_path: str, value: Any) -> None:
    fs.pipe(f"{fs_path}/f", value)
    fs.pipe({f"{fs_path}/g": value})
    assert fs.cat(f"{fs_path}/f") == fs.cat(f"{fs_path}/g") == bytes(value)


def test_pipe_takes_wide_buffers(fs: OastFileSystem, fs_path: str) -> None:
    numpy = pytest.importorskip("numpy")
    matrix = numpy.arange(6, dtype="<u4").reshape(2, 3)
    fs.pipe(f"{fs_path}/f", matrix)
    assert fs.cat(f"{fs_path}/f") == matrix.tobytes()
    with pytest.raises(TypeError):
        fs.pipe(f"{fs_path}/f", "text")


def test_pipe_of_many_tells_of_errors(fs: OastFileSystem, fs_path: str) -> None:
    fs.mkdir(f"{fs_path}/dir")
    with pytest.raises(IsADirectoryError):
        fs.pipe({f"{fs_path}/a": b"1", f"{fs_path}/dir": b"2"})


def test_touch(fs: OastFileSystem, fs_path: str) -> None:
    fs.touch(f"{fs_path}/new/file")
    assert fs.size(f"{fs_path}/new/file") == 0
    fs.pipe(f"{fs_path}/f", b"1")
    fs.touch(f"{fs_path}/f", truncate=False)
    assert fs.cat(f"{fs_path}/f") == b"1"
    fs.touch(f"{fs_path}/f")
    assert fs.cat(f"{fs_path}/f") == b""
    fs.touch(f"{fs_path}/g", truncate=False)
    assert fs.exists(f"{fs_path}/g")


def test_without_auto_mkdir(fs: OastFileSystem, fs_path: str) -> None:
    strict = OastFileSystem(**fs.storage_options, auto_mkdir=False)
    path = f"{fs_path}/missing/file"
    for call in (
        lambda: strict.open(path, "wb"),
        lambda: strict.pipe(path, b""),
        lambda: strict.pipe({path: b""}),
        lambda: strict.touch(path),
        lambda: strict.put_file(__file__, path),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert not fs.exists(f"{fs_path}/missing")


# --- to and from the local disk ---------------------------------------------------------------------


class Sum(Callback):
    """Adds up what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def relative_update(self, inc: int = 1) -> None:
        self.total += inc


def test_put_and_get_keep_content_and_mode(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    local = tmp_path / "script"
    local.write_bytes(b"#!/bin/sh\n")
    local.chmod(0o750)
    told = Sum()
    fs.put_file(local, f"{fs_path}/script", callback=told)
    assert fs.info(f"{fs_path}/script")["mode"] & 0o777 == 0o750 and told.total == told.size == 10
    back = Sum()
    fs.get_file(f"{fs_path}/script", tmp_path / "deep" / "script", callback=back)
    assert (tmp_path / "deep" / "script").read_bytes() == b"#!/bin/sh\n" and back.total == 10
    assert (tmp_path / "deep" / "script").stat().st_mode & 0o777 == 0o750
    buffer = io.BytesIO()
    fs.get_file(f"{fs_path}/script", buffer)
    assert buffer.getvalue() == b"#!/bin/sh\n"
    with pytest.raises(FileExistsError):
        fs.put_file(local, f"{fs_path}/script", mode="create")
    fs.put_file(local, f"{fs_path}/script2", mode="create")
    assert fs.cat(f"{fs_path}/script2") == b"#!/bin/sh\n"


def test_failed_get_leaves_nothing(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fs.get_file(f"{fs_path}/none", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_tree_round_trip(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    random_source = random.Random(4)
    files = {
        f"d{n % 7}/e{n % 3}/f{n}": random_source.randbytes(random_source.randrange(2000)) for n in range(200)
    }
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    fs.put(f"{tmp_path}/in/", f"{fs_path}/tree", recursive=True)
    found = fs.cat(f"{fs_path}/tree", recursive=True)
    assert {name.removeprefix(f"{fs_path}/tree/"): data for name, data in found.items()} == files
    fs.get(f"{fs_path}/tree/", str(tmp_path / "out"), recursive=True)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == files


def test_many_small_files_go_in_batches(
    fs: OastFileSystem, fs_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, back = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(1500):
        (source / f"{number:04}").write_bytes(b"%d" % number)
        (source / f"{number:04}").chmod(0o600 if number % 2 else 0o644)
    calls: list[str] = []
    metadata = fs.client.metadata
    monkeypatch.setattr(metadata, "call", noting(metadata.call, calls))
    told = Sum()
    fs.put(f"{source}/", f"{fs_path}/tree", recursive=True, callback=told)
    assert len(calls) <= 15, calls
    assert fs.info(f"{fs_path}/tree/0001")["mode"] & 0o777 == 0o600
    calls.clear()
    fs.get(f"{fs_path}/tree/", str(back), recursive=True)
    assert len(calls) <= 20, calls
    for one in source.iterdir():
        copy = back / one.name
        assert copy.read_bytes() == one.read_bytes() and copy.stat().st_mode == one.stat().st_mode
    assert len(list(back.iterdir())) == 1500


def test_put_does_not_overwrite_when_told_so(fs: OastFileSystem, fs_path: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    fs.pipe(f"{fs_path}/a", b"old")
    with pytest.raises(FileExistsError):
        fs.put(str(tmp_path / "a"), f"{fs_path}/a", mode="create")
    assert fs.cat(f"{fs_path}/a") == b"old"
    fs.put([str(tmp_path / "a")], [f"{fs_path}/a"])
    assert fs.cat(f"{fs_path}/a") == b"new"


def test_small_and_large_together(cluster: Cluster, tmp_path: Path) -> None:
    fs = fsspec.core.url_to_fs(cluster.url)[0]
    contents = {"small": b"1", "empty": b"", "large": random.Random(5).randbytes(300_000)}
    (tmp_path / "in").mkdir()
    for name, data in contents.items():
        (tmp_path / "in" / name).write_bytes(data)
    fs.put(str(tmp_path / "in"), "/mixed", recursive=True)
    assert fs.cat("/mixed", recursive=True) == {f"/mixed/{name}": data for name, data in contents.items()}
    fs.get("/mixed", str(tmp_path / "out"), recursive=True)
    assert {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()} == contents
