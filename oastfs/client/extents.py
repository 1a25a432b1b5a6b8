"""Written bytes that have not been sent yet: which ranges of a file, and their content.

Plain data structure without I/O. Not safe for several threads; its owner locks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

Buffer = bytes | bytearray | memoryview

SMALL_BYTES = 16 * 1024
"""Pieces up to this size are copied together when one follows the other."""
_JOINED_BYTES_MAX = 256 * 1024


class DirtyExtents:
    """Non-overlapping pieces in order of offset; what is written last wins.

    ``bytes`` are kept by reference, anything else is copied: what is inside never changes, but
    for the last piece of a run of small appends.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[Buffer] = []
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._starts)

    @property
    def end(self) -> int:
        """Where the last piece ends; 0 if there is none."""
        return self._starts[-1] + len(self._pieces[-1]) if self._starts else 0

    def write(self, offset: int, data: Buffer) -> None:
        """Remember ``data`` at ``offset``."""
        size = len(data)
        if not size:
            return
        starts, pieces = self._starts, self._pieces
        if not starts or offset >= self.end:
            if size <= SMALL_BYTES and starts and offset == self.end and self._extend_last(data):
                self.size_bytes += size
                return
            starts.append(offset)
            pieces.append(data if type(data) is bytes else bytes(data))
            self.size_bytes += size
            return
        self.discard(offset, offset + size)
        at = bisect_right(starts, offset)
        starts.insert(at, offset)
        pieces.insert(at, data if type(data) is bytes else bytes(data))
        self.size_bytes += size

    def _extend_last(self, data: Buffer) -> bool:
        last = self._pieces[-1]
        if len(last) > _JOINED_BYTES_MAX:
            return False
        if type(last) is not bytearray:
            if len(last) > SMALL_BYTES:
                return False
            last = self._pieces[-1] = bytearray(last)
        try:
            last += data
        except BufferError:  # somebody still reads from it
            return False
        return True

    def discard(self, start: int, end: int) -> None:
        """Forget what is in ``[start, end)``."""
        if start >= end:
            return
        starts, pieces = self._starts, self._pieces
        first = max(bisect_right(starts, start) - 1, 0)
        kept_starts: list[int] = []
        kept_pieces: list[Buffer] = []
        at = first
        while at < len(starts) and starts[at] < end:
            begin, piece = starts[at], pieces[at]
            finish = begin + len(piece)
            if finish > start:
                self.size_bytes -= min(finish, end) - max(begin, start)
            if begin < start:
                kept_starts.append(begin)
                kept_pieces.append(piece if finish <= start else memoryview(piece)[: start - begin])
            if finish > end:
                kept_starts.append(end)
                kept_pieces.append(memoryview(piece)[end - begin :])
            at += 1
        starts[first:at] = kept_starts
        pieces[first:at] = kept_pieces

    def overlapping(self, start: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """(offset, bytes) of what is in ``[start, end)``, in order."""
        starts = self._starts
        at = max(bisect_right(starts, start) - 1, 0)
        while at < len(starts) and starts[at] < end:
            begin = starts[at]
            low, high = max(start - begin, 0), end - begin
            view = memoryview(self._pieces[at])[low:high]
            if len(view):
                yield begin + low, view
            at += 1

    def runs(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, list[memoryview]]]:
        """(offset, pieces that follow each other without a gap) in ``[start, end)``, in order."""
        begin, upto = -1, -1
        run: list[memoryview] = []
        for offset, view in self.overlapping(start, self.end if end is None else end):
            if offset != upto and run:
                yield begin, run
                run = []
            if not run:
                begin = offset
            run.append(view)
            upto = offset + len(view)
        if run:
            yield begin, run

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of ``[start, end)`` is here."""
        upto = start
        for offset, view in self.overlapping(start, end):
            if offset > upto:
                return False
            upto = offset + len(view)
        return upto >= end

    def gaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(start, end) of the parts of ``[start, end)`` that are not here, in order."""
        upto = start
        for offset, view in self.overlapping(start, end):
            if offset > upto:
                yield upto, offset
            upto = offset + len(view)
        if upto < end:
            yield upto, end

    def overlay(self, start: int, target: memoryview) -> None:
        """Copy what is here over ``target``, which holds the file's bytes from ``start``."""
        for offset, view in self.overlapping(start, start + len(target)):
            target[offset - start : offset - start + len(view)] = view

    def clear(self) -> None:
        """Forget everything."""
        self._starts.clear()
        self._pieces.clear()
        self.size_bytes = 0
