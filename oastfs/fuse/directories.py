"""Open directories: listings that stream in pages, with offsets that stay valid while entries change.

Every entry that a handle gives out gets a number of its own, never used again; its offset names the place
after it. The next page begins after the name given out last, whatever became of it, so an entry that is
neither made nor removed meanwhile is seen exactly once. For ``seekdir`` a handle remembers the names of
older pages in compressed form: about five bytes an entry.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import count

from oastfs.core.errors import StaleHandle
from oastfs.core.metadata import Metadata
from oastfs.core.path import by_id
from oastfs.core.types import SUPERUSER, FileStatus

PAGE_ENTRIES = 1024
PAGES_REMEMBERED_MAX = 20_000
"""Of older pages than that no offset is known any more."""
DOTS = 2
"""Entries that come before those of the store: '.' and '..'."""


@dataclass(slots=True)
class Page:
    """Entries of one page; the numbers of these are ``first``, ``first + 1``, and so on."""

    first: int
    entries: list[FileStatus]
    more: bool

    def from_number(self, number: int) -> list[FileStatus]:
        """The entries from a number on."""
        return self.entries[number - self.first :] if number > self.first else self.entries


class DirectoryHandle:
    """One open directory. The kernel calls it one request at a time."""

    __slots__ = ("_blobs", "_next", "_page", "_starts", "inode_id", "parent_id")

    def __init__(self, inode_id: int) -> None:
        self.inode_id = inode_id
        self.parent_id = 0
        self._page: Page | None = None
        self._next = 0
        self._starts: list[int] = []
        self._blobs: list[bytes] = []

    def read(self, metadata: Metadata, number: int) -> tuple[int, list[FileStatus]]:
        """What follows the first ``number`` entries that were given out: (number of the first, entries).

        0 is the beginning, read anew.
        """
        page = self._page
        if page is None or not page.first <= number <= page.first + len(page.entries) or number == 0:
            return self._seek(metadata, number)
        rest = page.from_number(number)
        if rest or not page.more:
            return number, rest
        return self._load(metadata, page.entries[-1].name)

    def _load(self, metadata: Metadata, after: str) -> tuple[int, list[FileStatus]]:
        """The page after a name."""
        if self._page is not None and self._page.entries:
            names = "\0".join(entry.name for entry in self._page.entries)
            self._starts.append(self._page.first)
            self._blobs.append(zlib.compress(names.encode(), 1))
            if len(self._blobs) > PAGES_REMEMBERED_MAX:
                del self._starts[0], self._blobs[0]
        listing = metadata.listdir(SUPERUSER, by_id(self.inode_id), after, PAGE_ENTRIES)
        page = self._page = Page(self._next, listing.entries, listing.more)
        self._next += len(page.entries)
        return page.first, page.entries

    def _seek(self, metadata: Metadata, number: int) -> tuple[int, list[FileStatus]]:
        if number == 0:
            return self._load(metadata, "")
        at = bisect_right(self._starts, number - 1) - 1
        names = zlib.decompress(self._blobs[at]).decode().split("\0") if at >= 0 else []
        index = number - 1 - self._starts[at] if at >= 0 else 0
        return self._load(metadata, names[index]) if index < len(names) else (number, [])


class Directories:
    """All open directories of a mount."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._handles: dict[int, DirectoryHandle] = {}
        self._numbers = count(1)

    def open(self, inode_id: int) -> int:
        """A handle of a directory. The kernel has checked that the caller may read it."""
        number = next(self._numbers)
        self._handles[number] = DirectoryHandle(inode_id)
        return number

    def release(self, number: int) -> None:
        """Forget a handle."""
        self._handles.pop(number, None)

    def read(self, number: int, position: int) -> tuple[int, list[FileStatus]]:
        """Entries from ``position`` on (dots not counted), at least one unless there are no more.

        The answer's number is that of its first entry, whose offset follows it: not always ``position``,
        after a seek. A directory that was removed is empty.
        """
        handle = self._handle(number)
        try:
            return handle.read(self._metadata, position)
        except StaleHandle:
            return position, []

    def parent(self, number: int) -> int:
        """Inode of '..' of an open directory; its own for the root, or if it was removed."""
        handle = self._handle(number)
        if not handle.parent_id:
            try:
                status = self._metadata.stat(SUPERUSER, by_id(handle.inode_id), False)
                handle.parent_id = status.parent_id or handle.inode_id
            except StaleHandle:
                handle.parent_id = handle.inode_id
        return handle.parent_id

    def inode_of(self, number: int) -> int:
        """The inode of an open directory."""
        return self._handle(number).inode_id

    def _handle(self, number: int) -> DirectoryHandle:
        handle = self._handles.get(number)
        if handle is None:
            raise StaleHandle("the directory is not open")
        return handle
