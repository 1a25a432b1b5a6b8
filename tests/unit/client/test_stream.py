"""File objects behave as those of the built-in open do."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from oastfs.client import Filesystem
from oastfs.client.stream import OpenMode, parse_mode
from oastfs.core.errors import AlreadyExists, InvalidArgument, IsADirectory, NotFound


def test_modes() -> None:
    assert parse_mode("r") == OpenMode("r", True, False, True)
    assert parse_mode("rb") == OpenMode("r", True, False, False)
    assert parse_mode("w+b") == OpenMode("w", True, True, False)
    assert parse_mode("xt") == OpenMode("x", False, True, True)
    assert parse_mode("ab+") == OpenMode("a", True, True, False)


@pytest.mark.parametrize("mode", ["", "b", "rw", "rbt", "rr", "r++", "rU", "q"])
def test_bad_modes(mode: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_mode(mode)


def exercise(stream: io.BufferedRandom) -> list[object]:
    """What a series of calls answers."""
    seen: list[object] = [stream.write(b"one\ntwo\nthree\n"), stream.tell(), stream.seek(4)]
    seen += [stream.readline(), stream.read(3), stream.tell(), stream.seek(-3, os.SEEK_END), stream.read()]
    seen += [stream.seek(2), stream.write(b"XY"), stream.seek(0), stream.read(), stream.truncate(5)]
    seen += [stream.seek(0, os.SEEK_END), stream.write(b"end"), stream.seek(20), stream.write(b"!")]
    seen += [stream.seek(0), stream.read(), list(stream), stream.seek(1)]
    buffer = bytearray(6)
    seen += [stream.readinto(buffer), bytes(buffer), stream.readable(), stream.writable(), stream.seekable()]
    return seen


def test_it_answers_as_a_local_file(filesystem: Filesystem, tmp_path: Path) -> None:
    with filesystem.open("/file", "w+b") as ours, (tmp_path / "file").open("w+b") as theirs:
        assert isinstance(ours, io.BufferedRandom)
        assert exercise(ours) == exercise(theirs)
    assert filesystem.read_bytes("/file") == (tmp_path / "file").read_bytes()


def test_text(filesystem: Filesystem) -> None:
    with filesystem.open("/text", "w", encoding="utf-8", newline="\n") as stream:
        stream.write("grün\nblau\n")
    assert filesystem.read_bytes("/text") == "grün\nblau\n".encode()
    with filesystem.open("/text", "r", encoding="utf-8") as stream:
        assert stream.readlines() == ["grün\n", "blau\n"]
    with filesystem.open("/text", "a", encoding="latin-1") as stream:
        stream.write("weiß\n")
    assert filesystem.read_bytes("/text").endswith("weiß\n".encode("latin-1"))


def test_the_letters(filesystem: Filesystem) -> None:
    with pytest.raises(NotFound):
        filesystem.open("/new", "rb")
    with pytest.raises(NotFound):
        filesystem.open("/new", "r+b")
    with filesystem.open("/new", "xb") as stream:
        stream.write(b"first")
    with pytest.raises(AlreadyExists):
        filesystem.open("/new", "xb")
    with filesystem.open("/new", "ab") as stream:
        assert stream.tell() == 5
        stream.write(b", second")
    with filesystem.open("/made", "ab") as stream:
        stream.write(b"by append")
    assert filesystem.read_bytes("/new") == b"first, second"
    assert filesystem.read_bytes("/made") == b"by append"
    with filesystem.open("/new", "wb"):
        pass
    assert filesystem.read_bytes("/new") == b""


def test_directories_are_refused(filesystem: Filesystem) -> None:
    filesystem.mkdir("/directory")
    for mode in ("rb", "wb", "ab", "r+b"):
        with pytest.raises(IsADirectory):
            filesystem.open("/directory", mode)


def test_what_a_mode_does_not_allow(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/file", b"content")
    with filesystem.open("/file", "rb", buffering=0) as stream:
        with pytest.raises(io.UnsupportedOperation):
            stream.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            stream.truncate(0)
    with filesystem.open("/file", "ab", buffering=0) as stream, pytest.raises(io.UnsupportedOperation):
        stream.read(1)
    with pytest.raises(ValueError, match="closed"):
        stream.tell()
    with filesystem.open("/file", "rb", buffering=0) as stream:
        with pytest.raises(InvalidArgument):
            stream.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            stream.seek(0, 9)


def test_append_goes_to_the_end_wherever_the_position_is(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/log", b"0123")
    with filesystem.open("/log", "a+b", buffering=0) as stream:
        stream.seek(1)
        assert stream.read(2) == b"12"
        stream.seek(0)
        stream.write(b"4")
    assert filesystem.read_bytes("/log") == b"01234"


def test_permissions_of_new_files(filesystem: Filesystem) -> None:
    with filesystem.open("/script", "wb", permissions=0o755):
        pass
    assert filesystem.stat("/script").mode & 0o7777 == 0o755
