"""Dirty extents against a plain dictionary of bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oastfs.client.extents import SMALL_BYTES, DirtyExtents

SPAN = 200

Step = tuple[Any, ...]
"""What is done, and with what."""

writes = st.tuples(
    st.just("write"),
    st.integers(0, SPAN),
    st.binary(min_size=0, max_size=40),
    st.sampled_from([bytes, bytearray, memoryview]),
)
discards = st.tuples(st.just("discard"), st.integers(0, SPAN), st.integers(0, SPAN))


def apply(extents: DirtyExtents, model: dict[int, int], operation: Step) -> None:
    if operation[0] == "write":
        _, offset, data, kind = operation
        extents.write(offset, kind(data))
        model.update({offset + n: byte for n, byte in enumerate(data)})
    else:
        _, start, end = operation
        extents.discard(start, end)
        for offset in range(start, end):
            model.pop(offset, None)


@given(st.lists(writes | discards, max_size=30), st.integers(0, SPAN), st.integers(0, SPAN))
def test_it_holds_what_was_written_last(operations: list[Step], start: int, end: int) -> None:
    extents = DirtyExtents()
    model: dict[int, int] = {}
    for operation in operations:
        apply(extents, model, operation)
    found = {offset + n: byte for offset, pieces in extents.runs() for n, byte in enumerate(b"".join(pieces))}
    assert found == model
    assert extents.size_bytes == len(model)
    assert extents.end == max(model, default=-1) + 1
    assert extents.covers(start, end) == all(offset in model for offset in range(start, end))
    gaps = {offset for low, high in extents.gaps(start, end) for offset in range(low, high)}
    assert gaps == {offset for offset in range(start, end) if offset not in model}
    target = bytearray(b"." * max(0, end - start))
    extents.overlay(start, memoryview(target))
    assert target == bytes(model.get(offset, ord(".")) for offset in range(start, end))


@given(st.lists(writes | discards, max_size=30))
def test_runs_neither_touch_nor_overlap(operations: list[Step]) -> None:
    extents = DirtyExtents()
    for operation in operations:
        apply(extents, {}, operation)
    upto = -1
    for offset, pieces in extents.runs():
        assert offset > upto
        assert all(len(piece) for piece in pieces)
        upto = offset + sum(map(len, pieces))


def test_small_appends_are_joined() -> None:
    extents = DirtyExtents()
    for number in range(100):
        extents.write(number * 10, b"0123456789")
    [(offset, pieces)] = extents.runs()
    assert (offset, len(pieces)) == (0, 1)
    assert bytes(pieces[0]) == b"0123456789" * 100


def test_an_append_leaves_alone_what_somebody_still_reads() -> None:
    extents = DirtyExtents()
    extents.write(0, b"a")
    extents.write(1, b"b")
    [(_, [held])] = extents.runs()
    extents.write(2, b"c")
    assert bytes(held) == b"ab"
    assert b"".join(next(extents.runs())[1]) == b"abc"


def test_large_bytes_are_not_copied() -> None:
    extents = DirtyExtents()
    data = bytes(10 * SMALL_BYTES)
    extents.write(5, data)
    [(_, [piece])] = extents.runs()
    assert piece.obj is data


def test_a_buffer_may_be_used_again_by_its_owner() -> None:
    extents = DirtyExtents()
    buffer = bytearray(b"before")
    extents.write(0, memoryview(buffer))
    buffer[:] = b"after!"
    assert b"".join(next(extents.runs())[1]) == b"before"


def test_clear() -> None:
    extents = DirtyExtents()
    extents.write(3, b"abc")
    assert extents
    extents.clear()
    assert not extents
    assert (extents.end, extents.size_bytes, list(extents.runs())) == (0, 0, [])
