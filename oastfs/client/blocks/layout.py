"""Which blocks a file has where, as far as it was asked."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import NamedTuple

from oastfs.client.file_context import FileContext
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import LocatedBlock, Opened

_EVERYTHING = FILE_BYTES_MAX + 1

LOOK_AHEAD_BLOCKS = 64
"""Locations are asked for in windows of this many blocks of full size."""


class Place(NamedTuple):
    """Where bytes are to be written: a block that starts at ``start`` and may reach up to ``limit``.

    ``block`` is None if it has to be made.
    """

    start: int
    limit: int
    block: LocatedBlock | None


class BlockLayout:
    """Committed blocks in order of offset, fetched a window at a time. Safe for many threads."""

    def __init__(self, context: FileContext, opened: Opened | None) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._starts: list[int] = []
        self._blocks: dict[int, LocatedBlock] = {}
        self._pinned: dict[int, LocatedBlock] = {}
        """Blocks that are being written here: they are known better than the filesystem knows them."""
        self._windows: set[int] = set()
        self._known_end = 0
        """All of the file before this is known, in addition to the windows."""
        self.inline: bytes | None = None
        """The content, if the file turned out to be inline when it was last looked at."""
        if opened is not None and opened.data is None:
            self._take(opened)
            end = max((block.offset + block.length for block in opened.blocks), default=0)
            self._known_end = _EVERYTHING if end >= opened.status.length else end

    @property
    def _window_bytes(self) -> int:
        return LOOK_AHEAD_BLOCKS * self._context.block_size

    def _take(self, opened: Opened) -> None:
        self.inline = opened.data
        for block in opened.blocks:
            self._insert(self._pinned.get(block.offset, block))

    def _insert(self, block: LocatedBlock) -> None:
        if block.offset not in self._blocks:
            insort(self._starts, block.offset)
        self._blocks[block.offset] = block

    def forget(self) -> None:
        """All of it may be out of date, but for what is pinned."""
        with self._lock:
            self._starts = sorted(self._pinned)
            self._blocks = dict(self._pinned)
            self._windows.clear()
            self._known_end = 0
            self.inline = None

    def empty(self) -> None:
        """The file has no blocks but those that are going to be made here."""
        with self._lock:
            self._known_end = _EVERYTHING

    def pin(self, block: LocatedBlock) -> None:
        """A block that is being written here, as it is now."""
        with self._lock:
            self._pinned[block.offset] = block
            self._insert(block)
            self.inline = None

    def unpin(self, start: int, block: LocatedBlock | None) -> None:
        """The block is no longer being written; it is ``block`` now, or gone."""
        with self._lock:
            self._pinned.pop(start, None)
            if block is not None:
                self._insert(block)
            elif self._blocks.pop(start, None) is not None:
                self._starts.remove(start)

    def _learn(self, start: int, end: int) -> None:
        if end <= self._known_end:
            return
        size = self._window_bytes
        for window in range(start // size, (max(end, start + 1) - 1) // size + 1):
            if window not in self._windows:
                opened = self._context.open(window * size, size)
                with self._lock:
                    self._take(opened)
                    self._windows.add(window)

    def covering(self, start: int, end: int) -> LocatedBlock | None:
        """The block that holds all of ``[start, end)``, if there is one and it is known."""
        with self._lock:
            at = bisect_right(self._starts, start) - 1
            if at < 0:
                return None
            block = self._blocks[self._starts[at]]
        return block if end <= block.offset + block.length else None

    def segments(self, start: int, end: int) -> Iterator[tuple[int, int, LocatedBlock | None]]:
        """(start, end, block) of the parts of ``[start, end)`` in order; None stands for a hole."""
        self._learn(start, end)
        with self._lock:
            first = max(bisect_right(self._starts, start) - 1, 0)
            last = bisect_left(self._starts, end)
            blocks = [self._blocks[offset] for offset in self._starts[first:last]]
        at = start
        for block in blocks:
            finish = block.offset + block.length
            if finish <= at:
                continue
            if block.offset > at:
                yield at, block.offset, None
                at = block.offset
            yield at, min(finish, end), block
            at = min(finish, end)
        if at < end:
            yield at, end, None

    def place(self, offset: int) -> Place:
        """Where the byte at ``offset`` is to be written.

        A block reaches up to the block size or the next block. New ones start at multiples of the block
        size, so that writers who do not know of each other choose the same place.
        """
        size = self._context.block_size
        self._learn(max(0, offset - size), offset + size)
        with self._lock:
            at = bisect_right(self._starts, offset) - 1
            before = self._blocks[self._starts[at]] if at >= 0 else None
            following = self._starts[at + 1] if at + 1 < len(self._starts) else _EVERYTHING
        if before is not None and offset < before.offset + size:
            start = before.offset
        else:
            start = offset - offset % size
            if before is not None:
                start = max(start, before.offset + size)
            before = None
        return Place(start, min(start + size, following), before)
