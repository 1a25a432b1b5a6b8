"""Attributes of directories in which entries are made and taken away through this mount.

After each such change the kernel forgets all that it knows of the directory, and asks before the next one.
Where that takes a trip, the mount answers from here: what it was told less than the cache time ago, with
the times of the changes made since, for the rest of that time. So what others do to a directory shows as
soon as it would without. In direct mode asking costs less, and nothing is remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import structs

from oastfs.core.types import FileStatus

REMEMBERED_MAX: Final = 16_384


class _Directory:
    """``revision`` grows with every change that an answer under way may or may not have seen."""

    __slots__ = ("changed_ns", "revision", "status", "until_ns")

    def __init__(self) -> None:
        self.status: FileStatus | None = None
        self.until_ns = self.changed_ns = self.revision = 0


class Asked(NamedTuple):
    """A question that is under way."""

    directory: _Directory
    revision: int
    at_ns: int


class Parents:
    """Directories by inode id, each believed for ``valid_seconds``."""

    def __init__(self, valid_seconds: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._valid_ns = int(valid_seconds * 1e9)
        self._monotonic_ns = monotonic_ns
        self._known: dict[int, _Directory] = {}

    def get(self, inode_id: int) -> tuple[FileStatus, int] | None:
        """Attributes, and for how many nanoseconds more they may be believed."""
        directory = self._known.get(inode_id)
        if directory is None:
            return None
        status, left_ns = directory.status, directory.until_ns - self._monotonic_ns()
        if status is None or left_ns <= 0:
            return None
        changed_ns = directory.changed_ns
        if changed_ns > status.ctime_ns:
            status = structs.replace(status, mtime_ns=changed_ns, ctime_ns=changed_ns)
        return status, left_ns

    def ask(self, inode_id: int) -> Asked:
        """The attributes are about to be asked for."""
        directory = self._known.get(inode_id)
        if directory is None:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            directory = self._known.setdefault(inode_id, _Directory())
        return Asked(directory, directory.revision, self._monotonic_ns())

    def answered(self, asked: Asked, status: FileStatus) -> None:
        """What the answer was. It is not kept if it cannot be known whether it is older than a change."""
        directory = asked.directory
        if status.is_directory and directory.revision == asked.revision:
            directory.status, directory.until_ns = status, asked.at_ns + self._valid_ns

    def changed(self, inode_id: int, changed_ns: int, subdirectories: int = 0) -> None:
        """Entries came or went at that time; ``subdirectories`` is by how many there are more of these."""
        directory = self._known.get(inode_id)
        if directory is None:
            return
        directory.changed_ns = max(directory.changed_ns, changed_ns)
        if subdirectories:
            directory.revision += 1
            status = directory.status
            if status is not None:
                directory.status = structs.replace(status, nlink=status.nlink + subdirectories)

    def drop(self, inode_id: int) -> None:
        """Something else was changed, or nobody knows what."""
        directory = self._known.get(inode_id)
        if directory is not None:
            directory.revision += 1
            directory.status, directory.changed_ns = None, 0
