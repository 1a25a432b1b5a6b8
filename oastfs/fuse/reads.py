"""The reads that a mount does most, by inode id: as verbs, wherever the namespace is.

``namenode.by_id.InodeReads`` does the same in this process without them.
"""

from __future__ import annotations

from typing import Protocol

from oastfs.core.metadata import Metadata
from oastfs.core.path import by_id
from oastfs.core.types import SUPERUSER, FileStatus, Opened


class Reads(Protocol):
    """See ``InodeReads``."""

    def lookup(self, parent_id: int, name: str) -> FileStatus | None: ...

    def stat(self, inode_id: int) -> FileStatus: ...

    def open(self, inode_id: int) -> Opened: ...


class VerbReads:
    """By verbs, asked as the superuser: the kernel has checked permissions on the way."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def lookup(self, parent_id: int, name: str) -> FileStatus | None:
        """Attributes of an entry of a directory; None if there is none."""
        return self._metadata.lookup(SUPERUSER, parent_id, name)

    def stat(self, inode_id: int) -> FileStatus:
        """Attributes of an inode."""
        return self._metadata.stat(SUPERUSER, by_id(inode_id), False)

    def open(self, inode_id: int) -> Opened:
        """Content or blocks of a file."""
        return self._metadata.open(SUPERUSER, by_id(inode_id))
