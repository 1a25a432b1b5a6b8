"""Ranges of bytes that one owner has locked: taking, changing and giving back, as POSIX has it. No store.

Ranges are (first byte, last byte, type) in order, neither overlapping nor to be joined with the next.
"""

from __future__ import annotations

from oastfs.core.types import LockType

Range = tuple[int, int, int]
Ranges = tuple[Range, ...]


def changed(ranges: Ranges, start: int, end: int, kind: LockType) -> Ranges:
    """What is locked after [start, end] was locked so, or unlocked: what was there before gives way."""
    pieces: list[Range] = []
    for first, last, was in ranges:
        if last < start or first > end:
            pieces.append((first, last, was))
            continue
        if first < start:
            pieces.append((first, start - 1, was))
        if last > end:
            pieces.append((end + 1, last, was))
    if kind is not LockType.UNLOCK:
        pieces.append((start, end, int(kind)))
    return _joined(sorted(pieces))


def conflict(ranges: Ranges, start: int, end: int, kind: LockType) -> Range | None:
    """The first range that stands against another owner's lock of [start, end]."""
    for one in ranges:
        first, last, has = one
        if first <= end and last >= start and LockType.WRITE in (kind, has):
            return one
    return None


def _joined(pieces: list[Range]) -> Ranges:
    joined: list[Range] = []
    for first, last, kind in pieces:
        if joined and joined[-1][2] == kind and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last, kind)
        else:
            joined.append((first, last, kind))
    return tuple(joined)
