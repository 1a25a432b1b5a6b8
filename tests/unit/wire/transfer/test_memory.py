"""Answers about blocks in memory, read as a client reads them and compared with their plain definitions."""

from __future__ import annotations

import hashlib
import os

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import InvalidArgument
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import ChecksumKind, TransferBuffer, first_bad_chunk
from oastfs.wire.transfer.memory import DIGESTED_BYTES_MAX, MemoryBlock, checksum_answer, read_answer
from oastfs.wire.transfer.messages import BlockId, client_header

CONTENT = os.urandom(300_000)
PIECE_BYTES_MAX = 1024 * 1024


def block_of(data: bytes, length: int | None = None) -> MemoryBlock:
    return MemoryBlock(1 << 62 | 1025, data, len(data) if length is None else length)


def request(block: MemoryBlock, offset: int, length: int, checksums: bool = True) -> pb.OpReadBlock:
    header = client_header(BlockId(block.block_id, 1, block.length), "reader")
    return pb.OpReadBlock(header=header, offset=offset, len=length, sendChecksums=checksums)


def read(block: MemoryBlock, offset: int, length: int, checksums: bool = True) -> bytes:
    """The bytes of the range, with all that is around them checked."""
    buffer, pieces = TransferBuffer(), list(read_answer(block, request(block, offset, length, checksums)))
    assert all(0 < len(piece) <= PIECE_BYTES_MAX for piece in pieces)
    buffer.feed(b"".join(pieces))
    head = buffer.take_message(pb.BlockOpResponse)
    assert head is not None and head.status == pb.SUCCESS
    info = head.readOpChecksumInfo
    assert info.checksum.type == (pb.CHECKSUM_CRC32C if checksums else pb.CHECKSUM_NULL)
    assert info.checksum.bytesPerChecksum == 512
    assert info.chunkOffset == offset - offset % 512
    content, seqno = b"", 0
    while True:
        packet = buffer.take_packet()
        assert packet is not None
        assert packet.header.seqno == seqno
        assert packet.header.offset == info.chunkOffset + len(content)
        seqno += 1
        if packet.header.last:
            break
        if checksums:
            assert first_bad_chunk(ChecksumKind.CRC32C, 512, packet.data, packet.checksums) is None
        content += bytes(packet.data)
    assert len(buffer) == 0
    skipped = offset % 512
    assert len(content) - skipped - length < 512
    return content[skipped : skipped + length]


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 300_000), (0, 0), (0, 1), (511, 2), (1023, 70_000), (299_999, 1), (65_536, 65_536), (300_000, 0)],
)
def test_ranges(offset: int, length: int, checksums: bool) -> None:
    assert read(block_of(CONTENT), offset, length, checksums) == CONTENT[offset : offset + length]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 200_000), st.booleans(), st.data())
def test_data_and_then_zeros(held: int, zeros: int, checksums: bool, data: st.DataObject) -> None:
    whole = CONTENT[:held] + bytes(zeros)
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    found = read(block_of(CONTENT[:held], len(whole)), offset, length, checksums)
    assert found == whole[offset : offset + length]


def test_the_end_of_a_huge_hole() -> None:
    length = (1 << 63) - 1
    assert read(block_of(b"", length), length - 5, 5) == bytes(5)


def test_a_huge_hole_is_made_as_it_is_taken() -> None:
    pieces = read_answer(block_of(b"", 1 << 50), request(block_of(b"", 1 << 50), 0, 1 << 50))
    assert sum(len(next(pieces)) for _ in range(1000)) > 500 * 64 * 1024


@pytest.mark.parametrize(
    ("offset", "length"),
    [(300_001, 0), (0, 300_001), (299_999, 2), (1 << 63, 1), ((1 << 64) - 1, (1 << 64) - 1)],
)
def test_ranges_beyond_the_end_are_refused(offset: int, length: int) -> None:
    block = block_of(CONTENT)
    with pytest.raises(InvalidArgument, match="300000 are here"):
        read_answer(block, request(block, offset, length))


def digest(block: MemoryBlock, length: int, composite: bool) -> pb.OpBlockChecksumResponse:
    message = pb.OpBlockChecksum(header=client_header(BlockId(block.block_id, 1, length), "").baseHeader)
    if composite:
        message.blockChecksumOptions.blockChecksumType = pb.COMPOSITE_CRC
    buffer = TransferBuffer()
    for piece in checksum_answer(block, message):
        buffer.feed(piece)
    answer = buffer.take_message(pb.BlockOpResponse)
    assert answer is not None and answer.status == pb.SUCCESS and len(buffer) == 0
    return answer.checksumResponse


def plain_md5(data: bytes) -> bytes:
    crcs = (google_crc32c.value(data[at : at + 512]).to_bytes(4, "big") for at in range(0, len(data), 512))
    return hashlib.md5(b"".join(crcs)).digest()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 100_000), st.integers(0, 300_000))
def test_digests(held: int, zeros: int, asked: int) -> None:
    whole = CONTENT[:held] + bytes(zeros)
    block = block_of(CONTENT[:held], len(whole))
    part = whole[:asked] if asked else whole
    md5, composite = digest(block, asked, False), digest(block, asked, True)
    assert md5.blockChecksum == plain_md5(part)
    assert composite.blockChecksum == google_crc32c.value(part).to_bytes(4, "big")
    assert md5.crcPerBlock == composite.crcPerBlock == -(-len(part) // 512)
    assert md5.bytesPerCrc == 512 and md5.crcType == pb.CHECKSUM_CRC32C


def test_digests_of_long_zeros_come_with_pauses() -> None:
    length = 64 * 1024 * 1024 + 100
    assert digest(block_of(b"", length), 0, False).blockChecksum == plain_md5(bytes(length))
    message = pb.OpBlockChecksum(header=client_header(BlockId(1, 1, length), "").baseHeader)
    pieces = list(checksum_answer(block_of(b"", length), message))
    assert pieces[:-1] == [b""] * 3


def test_a_digest_that_would_take_forever_is_refused() -> None:
    block = block_of(b"", (1 << 63) - 1)
    with pytest.raises(InvalidArgument, match="too long"):
        digest(block, 0, True)
    assert digest(block, DIGESTED_BYTES_MAX, True).crcPerBlock == DIGESTED_BYTES_MAX // 512
