"""Frames come out whole however their bytes come in, and a peer costs only what it sent."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire.frames import FrameBuffer, pack_length


def framed(*payloads: bytes) -> bytes:
    return b"".join(pack_length(len(payload)) + payload for payload in payloads)


def frames(buffer: FrameBuffer) -> list[bytes]:
    found = []
    while (frame := buffer.next_frame()) is not None:
        found.append(frame)
    return found


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_any_cut_gives_the_same_frames(payloads: list[bytes], data: st.DataObject) -> None:
    stream = framed(*payloads)
    buffer = FrameBuffer()
    found = []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        buffer.feed(stream[:count])
        stream = stream[count:]
        if data.draw(st.booleans()):
            found += frames(buffer)
    found += frames(buffer)
    assert found == payloads
    assert len(buffer) == 0


def test_missing_tells_how_much_to_read() -> None:
    buffer = FrameBuffer()
    buffer.feed(pack_length(1000) + b"x" * 10)
    assert buffer.next_frame() is None
    assert buffer.missing == 990
    buffer.feed(b"x" * 989)
    assert buffer.next_frame() is None
    assert buffer.missing == 1
    buffer.feed(b"x" + pack_length(1) + b"y")
    assert frames(buffer) == [b"x" * 1000, b"y"]


def test_a_frame_over_the_limit_is_refused_at_its_length() -> None:
    buffer = FrameBuffer(100)
    buffer.feed(framed(b"a" * 100))
    assert buffer.next_frame() == b"a" * 100
    buffer.feed(pack_length(101))
    with pytest.raises(ProtocolError, match="101 bytes is over the limit of 100"):
        buffer.next_frame()


def test_a_length_alone_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        buffer = FrameBuffer()
        buffer.feed(pack_length(100 * 1024 * 1024))
        assert buffer.next_frame() is None
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_a_long_frame_in_small_pieces_is_joined_once() -> None:
    buffer = FrameBuffer()
    piece = b"p" * 1024
    buffer.feed(pack_length(1024 * 4096))
    assert buffer.next_frame() is None
    for _ in range(4096):
        assert buffer.next_frame() is None
        buffer.feed(piece)
    frame = buffer.next_frame()
    assert frame is not None
    assert frame == piece * 4096
    assert sys.getsizeof(frame) < 5 * 1024 * 1024


def test_take_and_peek_before_the_first_frame() -> None:
    buffer = FrameBuffer()
    buffer.feed(b"hr")
    assert buffer.take(7) is None
    assert buffer.peek() == b"hr"
    buffer.feed(b"pc\x09")
    assert buffer.take(7) is None
    assert buffer.peek() == b"hrpc\x09"
    buffer.feed(b"\0\0" + framed(b"f"))
    assert buffer.take(7) == b"hrpc\x09\0\0"
    assert frames(buffer) == [b"f"]
