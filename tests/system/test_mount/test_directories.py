"""Listing directories through the mount: streams, offsets that stay valid, entries that come and go."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

COUNT = 3_000


class Dirent(ctypes.Structure):
    """struct dirent of Linux on 64 bits."""

    _fields_ = [
        ("ino", ctypes.c_ulong),
        ("off", ctypes.c_long),
        ("reclen", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    ]


class Stream:
    """opendir(3) and its kin, which Python hides."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.opendir.restype = ctypes.c_void_p
        self._libc.readdir.restype = ctypes.POINTER(Dirent)
        self._libc.telldir.restype = ctypes.c_long
        self._handle = ctypes.c_void_p(self._libc.opendir(os.fsencode(path)))

    def read(self) -> str | None:
        entry = self._libc.readdir(self._handle)
        return entry.contents.name.decode() if entry else None

    def rest(self) -> list[str]:
        names = []
        while (name := self.read()) is not None:
            names.append(name)
        return names

    def tell(self) -> int:
        return int(self._libc.telldir(self._handle))

    def seek(self, offset: int) -> None:
        self._libc.seekdir(self._handle, ctypes.c_long(offset))

    def rewind(self) -> None:
        self._libc.rewinddir(self._handle)

    def close(self) -> None:
        self._libc.closedir(self._handle)


@pytest.fixture
def crowded(directory: Path) -> Path:
    """A directory whose listing takes several pages."""
    for number in range(COUNT):
        os.close(os.open(directory / f"entry-{number:05}", os.O_CREAT | os.O_WRONLY))
    return directory


def test_a_large_directory_is_listed_once_and_whole(crowded: Path) -> None:
    names = os.listdir(crowded)
    assert len(names) == COUNT
    assert sorted(names) == [f"entry-{number:05}" for number in range(COUNT)]
    with os.scandir(crowded) as entries:
        assert sum(entry.is_file(follow_symlinks=False) for entry in entries) == COUNT


def test_dots_come_first(directory: Path) -> None:
    (directory / "sub").mkdir()
    stream = Stream(directory / "sub")
    assert stream.rest() == [".", ".."]
    stream.close()


def test_seeking_to_every_place(crowded: Path) -> None:
    stream = Stream(crowded)
    places = []
    while True:
        place = stream.tell()
        name = stream.read()
        if name is None:
            break
        places.append((place, name))
    assert len(places) == COUNT + 2
    for place, name in places[::97] + places[::-301]:
        stream.seek(place)
        assert stream.read() == name
    stream.rewind()
    assert len(stream.rest()) == COUNT + 2
    stream.close()


def test_removing_while_listing(crowded: Path) -> None:
    """What rm -r does: every entry is seen although those before are gone."""
    removed = 0
    with os.scandir(crowded) as entries:
        for entry in entries:
            os.unlink(entry.path)
            removed += 1
    assert removed == COUNT
    assert os.listdir(crowded) == []


def test_entries_that_stay_are_seen_exactly_once(crowded: Path) -> None:
    stream = Stream(crowded)
    seen = [stream.read() for _ in range(COUNT // 2)]
    for number in range(0, COUNT, 3):
        os.unlink(crowded / f"entry-{number:05}")
        os.close(os.open(crowded / f"fresh-{number:05}", os.O_CREAT | os.O_WRONLY))
    seen += stream.rest()
    stream.close()
    staying = [f"entry-{number:05}" for number in range(COUNT) if number % 3]
    assert [name for name in seen if name in set(staying)] == staying


def test_seeking_back_after_removals(crowded: Path) -> None:
    stream = Stream(crowded)
    for _ in range(1502):
        stream.read()
    place = stream.tell()
    following = stream.rest()
    for number in range(1400):
        os.unlink(crowded / f"entry-{number:05}")
    stream.seek(place)
    assert stream.rest() == following
    stream.close()


def test_new_entries_show_after_rewinding(directory: Path) -> None:
    (directory / "a").mkdir()
    stream = Stream(directory)
    assert sorted(filter(None, stream.rest())) == [".", "..", "a"]
    (directory / "b").mkdir()
    stream.rewind()
    assert sorted(filter(None, stream.rest())) == [".", "..", "a", "b"]
    stream.close()


def test_attributes_of_listed_files_that_are_being_written(directory: Path) -> None:
    with (directory / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 1234)
        assert [(entry.name, entry.stat().st_size) for entry in os.scandir(directory)] == [("file", 1234)]
