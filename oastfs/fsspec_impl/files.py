"""File objects for fsspec: Python's own buffers in C, with the attributes that fsspec's users expect.

A file that is opened inside a transaction is written under a temporary name beside its target, and gets
its own name when the transaction completes.
"""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING, Any

from oastfs.core.path import join, parent
from oastfs.core.types import RenameMode

if TYPE_CHECKING:
    from oastfs.client.file import OpenFile
    from oastfs.client.stream import FileStream
    from oastfs.fsspec_impl.filesystem import OastFileSystem

READ_BUFFER_BYTES = 64 * 1024
"""For small reads. Larger ones pass the buffer by, and the client reads ahead on its own."""
WRITE_BUFFER_BYTES = 1024 * 1024


class _Described:
    """What both kinds of file tell about themselves. ``path`` is where it is, or will be."""

    fs: OastFileSystem
    path: str
    blocksize: int

    @property
    def _file(self) -> OpenFile:
        file: OpenFile = self.raw.file  # type: ignore[attr-defined]
        return file

    @property
    def size(self) -> int:
        """Length in bytes; of a file that is being written, as far as it has left the buffer."""
        return self._file.length

    @property
    def details(self) -> dict[str, Any]:
        """As ``fs.info`` tells it."""
        return self.fs.describe(self.path, self._file.status)

    @property
    def loc(self) -> int:
        """The position in bytes."""
        return self.tell()  # type: ignore[attr-defined,no-any-return]

    @property
    def full_name(self) -> str:
        """The URL."""
        return self.fs.unstrip_protocol(self.path)

    def info(self) -> dict[str, Any]:
        """As ``details``, by fsspec's older name."""
        return self.details


class ReadFile(_Described, io.BufferedReader):
    """A file open for reading. Can be pickled: the copy is opened anew, at the same position."""

    def __init__(self, fs: OastFileSystem, path: str, raw: FileStream, buffer_bytes: int) -> None:
        io.BufferedReader.__init__(self, raw, buffer_bytes)
        self.fs = fs
        self.path = path
        self.blocksize = buffer_bytes

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (_reopened, (self.fs, self.path, self.blocksize, self.tell()))


def _reopened(fs: OastFileSystem, path: str, buffer_bytes: int, position: int) -> ReadFile:
    file: ReadFile = fs.open(path, "rb", block_size=buffer_bytes)
    file.seek(position)
    return file


class Deferred:
    """A file of a transaction, until it is committed or discarded."""

    def __init__(self, fs: OastFileSystem, path: str, exclusive: bool) -> None:
        self.fs = fs
        self.path = path
        self.exclusive = exclusive
        name = path.rpartition("/")[2]
        self.temporary = join(parent(path), f".{name[:32]}.{uuid.uuid4().hex}.part")

    def commit(self) -> None:
        """Give the file its name. An exclusive one fails if the name has been taken meanwhile."""
        mode = RenameMode.NO_REPLACE if self.exclusive else RenameMode.POSIX
        self.fs.client.rename(self.temporary, self.path, mode)
        self.fs.invalidate_cache(self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        try:
            self.fs.client.remove(self.temporary)
        except FileNotFoundError:
            pass  # it was never made, or is gone already


class _Written(_Described):
    """The end of a file that is written: at once, or when its transaction ends."""

    deferred: Deferred | None

    @property
    def autocommit(self) -> bool:
        """Whether it is seen under its name already."""
        return self.deferred is None

    def commit(self) -> None:
        """Let a deferred file be seen."""
        self.close()  # type: ignore[attr-defined]
        if self.deferred is not None:
            self.deferred.commit()

    def discard(self) -> None:
        """Throw a deferred file away."""
        if self.deferred is None:
            return
        try:
            self.close()  # type: ignore[attr-defined]
        finally:
            self.deferred.discard()


class WriteFile(_Written, io.BufferedWriter):
    """A file open for writing or appending."""

    def __init__(
        self, fs: OastFileSystem, path: str, raw: FileStream, buffer_bytes: int, deferred: Deferred | None
    ) -> None:
        io.BufferedWriter.__init__(self, raw, buffer_bytes)
        self.fs = fs
        self.path = path
        self.blocksize = buffer_bytes
        self.deferred = deferred


class UpdateFile(_Written, io.BufferedRandom):
    """A file open for reading and writing."""

    def __init__(
        self, fs: OastFileSystem, path: str, raw: FileStream, buffer_bytes: int, deferred: Deferred | None
    ) -> None:
        io.BufferedRandom.__init__(self, raw, buffer_bytes)
        self.fs = fs
        self.path = path
        self.blocksize = buffer_bytes
        self.deferred = deferred
