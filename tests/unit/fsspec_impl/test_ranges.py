"""Slices and the merging of near ranges."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.fsspec_impl.ranges import MERGED_BYTES_MAX, TO_END, Range, merge, needs_size, resolved

CONTENT = bytes(range(100))
positions = st.one_of(st.none(), st.integers(-120, 120))


@given(start=positions, end=positions)
def test_slices_are_python_slices(start: int | None, end: int | None) -> None:
    size = len(CONTENT) if needs_size(start, end) else None
    _, offset, length = resolved("/a", start, end, size)
    assert CONTENT[offset : offset + length] == CONTENT[start:end]


asked = st.lists(st.builds(Range, st.sampled_from(["/a", "/b"]), st.integers(0, 90), st.integers(0, 20)))


@given(ranges=asked, max_gap=st.integers(0, 10))
def test_pieces_of_merged_ranges_are_what_was_asked(ranges: list[Range], max_gap: int) -> None:
    merged, pieces = merge(ranges, max_gap)
    assert len(pieces) == len(ranges)
    for (path, offset, length), piece in zip(ranges, pieces, strict=True):
        found = merged[piece.merged]
        assert found.path == path and piece.length == length
        whole = CONTENT[found.offset : found.offset + found.length]
        assert whole[piece.start : piece.start + piece.length] == CONTENT[offset : offset + length]
    for one, other in pairwise(merged):
        assert one.path != other.path or other.offset - (one.offset + one.length) > max_gap


def test_merging_stays_within_bounds() -> None:
    half = MERGED_BYTES_MAX // 2 + 1
    assert len(merge([Range("/a", 0, half), Range("/a", half, half)], 0)[0]) == 2
    assert merge([Range("/a", 5, TO_END), Range("/a", 7, 3)], 0)[0] == [Range("/a", 5, TO_END)]


@pytest.mark.parametrize(("start", "end"), [(None, 5), (0, None), (3, 4)])
def test_size_is_not_asked_for_needlessly(start: int | None, end: int | None) -> None:
    assert not needs_size(start, end)
