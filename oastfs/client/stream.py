"""File objects: the ``io`` face of an ``OpenFile``.

``FileStream`` is raw; ``open_stream`` puts Python's own buffers and text decoding on it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from oastfs.core.errors import InvalidArgument

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from oastfs.client.file import OpenFile

BUFFER_BYTES = 256 * 1024


class OpenMode(NamedTuple):
    """What the mode string of ``open`` means."""

    letter: str
    read: bool
    write: bool
    text: bool


def parse_mode(mode: str) -> OpenMode:
    """Read a mode as the built-in ``open`` does. Raises InvalidArgument."""
    letters = set(mode)
    kinds = letters & set("rwxa")
    valid = letters <= set("rwxa+bt") and len(letters) == len(mode) and len(kinds) == 1
    if not valid or {"b", "t"} <= letters:
        raise InvalidArgument(f"no mode of open: {mode!r}")
    letter = kinds.pop()
    plus = "+" in letters
    return OpenMode(letter, letter == "r" or plus, letter != "r" or plus, "b" not in letters)


class FileStream(io.RawIOBase):
    """An unbuffered file object; closing it closes the ``OpenFile``. ``name`` is a path that led to it."""

    def __init__(self, file: OpenFile, name: str, mode: OpenMode) -> None:
        super().__init__()
        self.file = file
        self.name = name
        self.mode = f"{mode.letter}b+" if mode.read and mode.write else f"{mode.letter}b"
        self._can_read, self._can_write = mode.read, mode.write
        self._append = mode.letter == "a"
        self._position = file.length if self._append else 0

    def readable(self) -> bool:
        return self._can_read

    def writable(self) -> bool:
        return self._can_write

    def seekable(self) -> bool:
        return True

    def _check(self, allowed: bool, what: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not allowed:
            raise io.UnsupportedOperation(f"not open for {what}")

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._check(self._can_read, "reading")
        count = self.file.preadinto(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count

    def readall(self) -> bytes:
        self._check(self._can_read, "reading")
        data = self.file.pread(self._position, max(0, self.file.length - self._position))
        self._position += len(data)
        return data

    def write(self, data: ReadableBuffer) -> int:
        self._check(self._can_write, "writing")
        if self._append:
            self._position = self.file.length
        piece = data if type(data) is bytes else memoryview(data).cast("B")
        count = self.file.pwrite(self._position, piece)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(True, "")
        bases: dict[int, Callable[[], int]] = {
            os.SEEK_SET: lambda: 0,
            os.SEEK_CUR: lambda: self._position,
            os.SEEK_END: lambda: self.file.length,
        }
        if whence not in bases:
            raise ValueError(f"no such whence: {whence}")
        position = bases[whence]() + offset
        if position < 0:
            raise InvalidArgument(f"a position may not be negative: {position}", path=self.name)
        self._position = position
        return position

    def tell(self) -> int:
        self._check(True, "")
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self._check(self._can_write, "writing")
        length = self._position if size is None else size
        self.file.truncate(length)
        return length

    def fsync(self) -> None:
        """What was written so far is on the disks of all replicas (flush buffers above this first)."""
        self._check(True, "")
        self.file.fsync()

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                self.file.close()


def open_stream(
    file: OpenFile,
    name: str,
    mode: OpenMode,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any]:
    """The file object that the built-in ``open`` would give for these arguments."""
    raw = FileStream(file, name, mode)
    if buffering == 0:
        if mode.text:
            raw.close()
            raise ValueError("text needs a buffer")
        return raw  # type: ignore[return-value]
    size = BUFFER_BYTES if buffering in (-1, 1) else buffering
    if not mode.write:
        size = min(size, max(file.length, io.DEFAULT_BUFFER_SIZE))
    buffered: io.BufferedRandom | io.BufferedReader | io.BufferedWriter
    if mode.read and mode.write:
        buffered = io.BufferedRandom(raw, size)
    elif mode.write:
        buffered = io.BufferedWriter(raw, size)
    else:
        buffered = io.BufferedReader(raw, size)
    if not mode.text:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode.letter + ("+" if mode.read and mode.write else "")  # type: ignore[misc]
    return text
