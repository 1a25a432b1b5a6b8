"""Copying whole files: within the filesystem, from the local disk and to it."""

from __future__ import annotations

import os
import stat as _stat
import tempfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from oastfs.client.stream import FileStream
from oastfs.core.types import FileStatus

if TYPE_CHECKING:
    from oastfs.client.file import OpenFile
    from oastfs.client.filesystem import Filesystem

Progress = Callable[[int], None]
"""Called with the number of bytes that were moved since the last call."""

CHUNK_BYTES = 4 * 1024 * 1024


def put(filesystem: Filesystem, local: str, path: str, progress: Progress | None) -> FileStatus:
    """See ``Filesystem.put``."""
    with Path(local).open("rb", buffering=0) as source:
        details = os.fstat(source.fileno())
        mode = _stat.S_IMODE(details.st_mode) & 0o777
        limit = filesystem.info.inline_limit
        head = _read_up_to(source, limit + 1) if details.st_size <= limit else source.read(CHUNK_BYTES)
        if len(head) <= limit:
            status = filesystem.write_bytes(path, head, mode=mode)
            _tell(progress, len(head))
            return status
        with filesystem.open(path, "wb", buffering=0, permissions=mode) as target:
            while head:
                target.write(head)
                _tell(progress, len(head))
                head = source.read(CHUNK_BYTES)
    return filesystem.stat(path)


def _read_up_to(source: FileIO, size: int) -> bytes:
    """All of a small file, though a raw read may give less than it was asked for."""
    parts: list[bytes] = []
    while size > 0 and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def get(filesystem: Filesystem, path: str, local: str, progress: Progress | None) -> None:
    """See ``Filesystem.get``. The local file is seen complete or not at all, unless it is a device."""
    target = Path(local)
    with _raw(filesystem, path) as source:
        if target.exists() and not target.is_file():
            with target.open("wb", buffering=0) as device:
                _pump(source.file, device.fileno(), progress)
            return
        mode = source.file.status.mode & 0o777
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            os.fchmod(descriptor, mode)
            _pump(source.file, descriptor, progress)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def _raw(filesystem: Filesystem, path: str) -> FileStream:
    return cast("FileStream", filesystem.open(path, "rb", buffering=0))


def _pump(source: OpenFile, descriptor: int, progress: Progress | None) -> None:
    buffer = memoryview(bytearray(min(CHUNK_BYTES, max(source.length, 1))))
    offset = 0
    while count := source.preadinto(offset, buffer):
        written = 0
        while written < count:
            written += os.write(descriptor, buffer[written:count])
        offset += count
        _tell(progress, count)


def copy(filesystem: Filesystem, source: str, target: str, progress: Progress | None) -> FileStatus:
    """See ``Filesystem.copy``."""
    metadata, caller = filesystem.metadata, filesystem.caller
    with _raw(filesystem, source) as reader:
        status = reader.file.status
        mode = status.mode & 0o7777
        if status.length <= filesystem.info.inline_limit:
            data = reader.readall()
            _tell(progress, len(data))
            return metadata.write_file(caller, target, data, mode)
        with filesystem.open(target, "wb", buffering=0, permissions=mode) as writer:
            offset = 0
            while data := reader.file.pread(offset, CHUNK_BYTES):
                writer.write(data)
                offset += len(data)
                _tell(progress, len(data))
    return filesystem.stat(target)


def _tell(progress: Progress | None, size_bytes: int) -> None:
    if progress is not None:
        progress(size_bytes)
