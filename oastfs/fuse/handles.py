"""Inodes that are open in this mount: one shared ``OpenFile`` each, counted by handles.

Also what the mount remembers of inodes besides: which versions the kernel has seen, and what was removed but
is still known to the kernel. All of it may be forgotten at any time but for the open inodes themselves.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from oastfs.client.file import OpenFile
from oastfs.core.types import FileStatus, Flag

if TYPE_CHECKING:
    from oastfs.fuse.passthrough import Backing

REMEMBERED_MAX = 65_536
_XATTRS = int(Flag.XATTRS)

Version = tuple[int, int, int]
"""mtime, ctime and length: equal versions mean equal content."""
UNSURE: Final[Version] = (0, 0, -1)
"""In place of the version that the kernel was told: it was told several, and may have kept any."""


def version_of(status: FileStatus) -> Version:
    """The version of a file's content."""
    return status.mtime_ns, status.ctime_ns, status.length


class OpenInode:
    """A file that is open here. ``small``: its content surely is inline, so that reading never waits.

    A small file that is open for reading only is its ``content``, as of the last open, and nothing else: to
    make an ``OpenFile`` of it would take longer than all the rest of an open. Any other has a ``file``.

    ``kept``: it lost its last name while open and lives until the last handle is closed. ``mode`` is as
    last seen here. ``uncached``: something may have been written past the kernel's cache.
    ``may_be_cached``: content was read into that cache. ``bare``: it has no extended attributes.
    ``undisturbed``: as far as we know, nobody else changed the content since the kernel began to cache it.
    ``changed_ns`` is the change time that goes with ``content``. ``unsynced``: blocks were written and
    perhaps are not on the datanodes' disks yet, though they may be visible. ``backing``: what the
    kernel reads by itself, if that has been chosen.
    """

    __slots__ = (
        "_file",
        "backing",
        "bare",
        "changed_ns",
        "content",
        "handles",
        "inode_id",
        "kept",
        "may_be_cached",
        "mode",
        "small",
        "uncached",
        "undisturbed",
        "unsynced",
        "writable",
    )

    def __init__(
        self, opened: OpenFile | bytes, status: FileStatus, writable: bool = False, small: bool = True
    ) -> None:
        self.inode_id = status.inode_id
        self.changed_ns = status.ctime_ns
        self.content: bytes | None = None
        self._file: OpenFile | None = None
        if isinstance(opened, bytes):
            self.content = opened
        else:
            self._file = opened
        self.backing: Backing | None = None
        self.handles = 1
        self.mode = status.mode
        self.writable = writable
        self.small = small
        self.kept = status.nlink == 0
        self.uncached = False
        self.may_be_cached = False
        self.undisturbed = True
        self.unsynced = False
        self.bare = not status.flags & _XATTRS

    @property
    def file(self) -> OpenFile:
        """The file, if it is more than its content."""
        assert self._file is not None
        return self._file

    @property
    def dirty(self) -> bool:
        """Whether something was written here that others do not see yet."""
        return self.writable and self._file is not None and self._file.dirty

    def become(self, file: OpenFile) -> OpenFile | None:
        """Serve from another file from now on; what it was before, to be closed."""
        before, self._file = self._file, file
        self.content = None  # last: others may be reading
        return before

    def end(self) -> None:
        """Nobody has it open any more. What is dirty is sent."""
        if self.backing is not None:
            self.backing.close()
        if self._file is not None:
            self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """pread(2)."""
        content = self.content
        if content is None:
            return self.file.pread(offset, size)
        return content if offset == 0 and size >= len(content) else content[offset : offset + size]

    def resized(self, end: int, inline_limit: int) -> None:
        """Note that the file is about to reach ``end`` bytes."""
        if end > inline_limit:
            self.small = False


class Remembered:
    """A bounded map of what it is harmless to forget."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[int, object] = {}

    def get(self, inode_id: int) -> object:
        """What was put there, or None."""
        return self._values.get(inode_id)

    def put(self, inode_id: int, value: object) -> None:
        """Remember; when there is too much, forget all that was before."""
        if len(self._values) >= REMEMBERED_MAX:
            self._values.clear()
        self._values[inode_id] = value

    def drop(self, inode_id: int) -> None:
        """Forget one."""
        self._values.pop(inode_id, None)


class Handles:
    """The open inodes and the memories of one mount."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: dict[int, OpenInode] = {}
        self.closing: dict[int, threading.Event] = {}
        """Inodes whose last handle is gone while the end of what was written is still being told."""
        self.removing: set[int] = set()
        """Inodes about to lose their last name, which nobody had open when that began."""
        self.told = Remembered()
        """Versions in the attributes that the kernel was given since it knows an inode, or ``UNSURE``."""
        self.cached = Remembered()
        """Versions that the kernel's page cache agrees with."""
        self.removed: dict[int, FileStatus] = {}
        """Attributes of what was removed, for those who hold it without having it open."""

    def forget(self, inode_id: int) -> None:
        """The kernel no longer knows the inode."""
        self.told.drop(inode_id)
        self.cached.drop(inode_id)
        self.removed.pop(inode_id, None)

    def note_removed(self, status: FileStatus) -> None:
        """Remember the last attributes of what has no name any more."""
        if len(self.removed) >= REMEMBERED_MAX:
            self.removed.clear()
        self.removed[status.inode_id] = status
