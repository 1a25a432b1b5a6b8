"""Byte ranges of many files: slices as fsspec writes them, and near ones read as one. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TO_END = 1 << 62
"""A length that reaches past the end of any file."""

MERGE_GAP_BYTES = 64 * 1024
"""Reading this much for nothing costs less than a read of its own."""

MERGED_BYTES_MAX = 32 * 1024 * 1024


class Range(NamedTuple):
    """What one caller asked for."""

    path: str
    offset: int
    length: int


class Piece(NamedTuple):
    """Where a range is found: in which of the merged ranges, and at which place of it."""

    merged: int
    start: int
    length: int


def resolved(path: str, start: int | None, end: int | None, size: int | None) -> Range:
    """The range of a Python slice. ``size`` is needed if either end is negative."""
    offset = _absolute(start or 0, size)
    if end is None:
        return Range(path, offset, TO_END)
    return Range(path, offset, max(0, _absolute(end, size) - offset))


def needs_size(start: int | None, end: int | None) -> bool:
    """Whether the slice counts from the end of the file."""
    return (start is not None and start < 0) or (end is not None and end < 0)


def _absolute(position: int, size: int | None) -> int:
    return position if position >= 0 else max(0, (size or 0) + position)


def merge(ranges: Sequence[Range], max_gap: int) -> tuple[list[Range], list[Piece]]:
    """Fewer ranges that cover all, and for each given one its piece. Those of a file merge over gaps."""
    order = sorted(range(len(ranges)), key=lambda number: ranges[number][:2])
    merged: list[Range] = []
    pieces = [Piece(0, 0, 0)] * len(ranges)
    for number in order:
        path, offset, length = ranges[number]
        last = merged[-1] if merged else None
        if last is not None and last.path == path and _near(last, offset, length, max_gap):
            merged[-1] = Range(path, last.offset, max(last.length, offset + length - last.offset))
        else:
            merged.append(Range(path, offset, length))
        pieces[number] = Piece(len(merged) - 1, offset - merged[-1].offset, length)
    return merged, pieces


def _near(last: Range, offset: int, length: int, max_gap: int) -> bool:
    end = last.offset + last.length
    if offset + length <= end:
        return True
    return offset <= end + max_gap and max(end, offset + length) - last.offset <= MERGED_BYTES_MAX
