"""Packets hold the bytes that were written, cut where datanodes can store their checksums."""

from __future__ import annotations

import google_crc32c
from hypothesis import given
from hypothesis import strategies as st

from oastfs.client.blocks import packets
from oastfs.client.blocks.packets import PACKET_BYTES, cut
from oastfs.core.limits import BYTES_PER_CHECKSUM


@given(st.integers(0, 5000), st.lists(st.integers(0, 3000), max_size=8))
def test_packets_put_together_are_the_bytes(offset: int, sizes: list[int]) -> None:
    data = bytes(n % 251 for n in range(sum(sizes)))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(memoryview(data)[at : at + size])
        at += size
    upto = offset
    found = b""
    for number, packet in enumerate(cut(offset, pieces)):
        assert packet.offset == upto
        assert number == 0 or packet.offset % BYTES_PER_CHECKSUM == 0
        body = b"".join(packet.pieces)
        assert len(body) == packet.size > 0
        chunks = [body[n : n + BYTES_PER_CHECKSUM] for n in range(0, len(body), BYTES_PER_CHECKSUM)]
        assert packet.checksums == b"".join(google_crc32c.value(c).to_bytes(4, "big") for c in chunks)
        upto = packet.end
        found += body
    assert found == data


def test_large_writes_make_large_packets() -> None:
    data = memoryview(bytes(3 * PACKET_BYTES + 100))
    assert [packet.size for packet in cut(0, [data])] == [PACKET_BYTES] * 3 + [100]
    assert [packet.offset for packet in cut(100, [data])][:2] == [100, BYTES_PER_CHECKSUM]


def test_the_bytes_are_not_copied() -> None:
    data = bytes(2 * packets.PACKET_BYTES)
    for packet in cut(0, [memoryview(data)]):
        assert all(piece.obj is data for piece in packet.pieces)
