"""Open directories: listings that stream in pages, with offsets that stay valid while entries change.

An offset is the number of entries given out before it (``.`` and ``..`` are the first two). The next page
begins after the name given out last, whatever became of it, so an entry that is neither made nor
removed meanwhile is seen exactly once. For ``seekdir`` a handle remembers the names of all entries it gave
out, those of older pages in compressed form: about five bytes each.
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
DOTS = 2
"""Entries that come before those of the store: '.' and '..'."""


@dataclass(slots=True)
class Page:
    """Entries with their first offset (number of those before, dots not counted)."""

    first: int
    entries: list[FileStatus]
    more: bool


class DirectoryHandle:
    """One open directory. The kernel calls it one request at a time."""

    __slots__ = ("_blobs", "_covered", "_page", "_starts", "inode_id", "parent_id")

    def __init__(self, inode_id: int) -> None:
        self.inode_id = inode_id
        self.parent_id = 0
        self._page: Page | None = None
        self._covered = 0
        self._starts: list[int] = []
        self._blobs: list[bytes] = []

    def page_at(self, metadata: Metadata, position: int) -> Page:
        """The page that holds entry number ``position``, or an empty last page."""
        page = self._page
        if position == 0:
            self._covered = 0
            self._starts, self._blobs = [], []
            return self._load(metadata, 0, "")
        if page is None or not page.first <= position <= page.first + len(page.entries):
            return self._seek(metadata, position)
        if position < page.first + len(page.entries) or not page.more:
            return page
        self._remember(page)
        return self._load(metadata, position, page.entries[-1].name)

    def _load(self, metadata: Metadata, first: int, after: str) -> Page:
        listing = metadata.listdir(SUPERUSER, by_id(self.inode_id), after, PAGE_ENTRIES)
        self._page = Page(first, listing.entries, listing.more)
        return self._page

    def _remember(self, page: Page) -> None:
        """Keep the names of a page, as far as they go beyond those that are kept already."""
        fresh = page.entries[max(0, self._covered - page.first) :]
        if page.first > self._covered or not fresh:
            return
        names = "\0".join(entry.name for entry in fresh)
        self._starts.append(self._covered)
        self._blobs.append(zlib.compress(names.encode(), 1))
        self._covered += len(fresh)

    def _seek(self, metadata: Metadata, position: int) -> Page:
        """Go to an offset that was given out earlier: on with what follows the entry before it."""
        if self._page is not None:
            self._remember(self._page)
        if position > self._covered:
            return Page(position, [], False)
        number = bisect_right(self._starts, position - 1) - 1
        names = zlib.decompress(self._blobs[number]).decode().split("\0")
        return self._load(metadata, position, names[position - 1 - self._starts[number]])


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

        The answer's number is that of its first entry. A directory that was removed is empty.
        """
        try:
            page = self._handles[number].page_at(self._metadata, position)
        except StaleHandle:
            return position, []
        return position, page.entries[position - page.first :] if position > page.first else page.entries

    def parent(self, number: int) -> int:
        """Inode of '..' of an open directory; its own for the root, or if it was removed."""
        handle = self._handles[number]
        if not handle.parent_id:
            try:
                status = self._metadata.stat(SUPERUSER, by_id(handle.inode_id), False)
                handle.parent_id = status.parent_id or handle.inode_id
            except StaleHandle:
                handle.parent_id = handle.inode_id
        return handle.parent_id

    def inode_of(self, number: int) -> int:
        """The inode of an open directory."""
        return self._handles[number].inode_id
