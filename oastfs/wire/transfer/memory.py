"""Blocks that are in memory, as the bytes that a datanode would send of them.

Answers come in pieces of bounded size, so that whoever sends them can stop between two while the reader is
slow. An empty piece is a pause in a long calculation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from oastfs.core.errors import InvalidArgument
from oastfs.core.limits import BYTES_PER_CHECKSUM, FILE_BYTES_MAX, PACKET_BYTES
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.answers import BlockDigest, check_range, read_head
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, ChecksumKind, checksum_chunks, checksum_count
from oastfs.wire.transfer.packet import PacketHeader, encode_prefix

UNCHECKED_PACKET_BYTES: Final = 512 * 1024
"""Data in a packet without checksums."""

DIGESTED_BYTES_MAX: Final = 1 << 40
"""Longest block whose checksum is answered: calculating that of zeros takes seconds from there on."""

_CHUNKS: Final = PACKET_BYTES // BYTES_PER_CHECKSUM
_ZEROS: Final = bytes(PACKET_BYTES)
_ZERO_CHECKSUMS: Final = checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, _ZEROS)
_ZERO_PACKET_BODY: Final = _ZERO_CHECKSUMS + _ZEROS
_FIRST_HEAD: Final = read_head(ChecksumKind.CRC32C, 0)


class MemoryBlock(NamedTuple):
    """A block that holds ``data`` and then zeros up to ``length``."""

    block_id: int
    data: bytes
    length: int

    def bytes_of(self, start: int, end: int) -> bytes:
        """Its bytes from ``start`` to ``end``, which must not be far apart."""
        return self.data[start:end].ljust(end - start, b"\0")


def read_answer(block: MemoryBlock, request: pb.OpReadBlock) -> Iterator[bytes]:
    """The answer of OP_READ_BLOCK. Raises InvalidArgument for a range that is not in the block."""
    offset, length = request.offset, request.len
    check_range(block.block_id, offset, length, min(block.length, FILE_BYTES_MAX))
    start, end = offset - offset % BYTES_PER_CHECKSUM, offset + length
    if not request.sendChecksums:
        return _unchecked_packets(block, start, end)
    if end - start <= PACKET_BYTES:
        return iter((_single_packet(block, start, end),))
    return _packets(block, start, end)


def _single_packet(block: MemoryBlock, start: int, end: int) -> bytes:
    head = read_head(ChecksumKind.CRC32C, start) if start else _FIRST_HEAD
    if start == end:
        return head + _last_packet(end, 0)
    data = block.bytes_of(start, end)
    checksums = checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data)
    first = encode_prefix(PacketHeader(start, 0, False, len(data)), len(checksums))
    return b"".join((head, first, checksums, data, _last_packet(end, 1)))


def _packets(block: MemoryBlock, start: int, end: int) -> Iterator[bytes]:
    head, seqno = read_head(ChecksumKind.CRC32C, start), 0
    held_length = len(block.data)
    for at in range(start, end, PACKET_BYTES):
        size = min(PACKET_BYTES, end - at)
        prefix = encode_prefix(
            PacketHeader(at, seqno, False, size), checksum_count(size, BYTES_PER_CHECKSUM) * CHECKSUM_BYTES
        )
        if at >= held_length and size == PACKET_BYTES:
            yield head + prefix
            yield _ZERO_PACKET_BODY  # the same object each time: it is not copied
        else:
            data = block.bytes_of(at, at + size)
            checksums = checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data)
            yield b"".join((head, prefix, checksums, data))
        head = b""
        seqno += 1
    yield _last_packet(end, seqno)


def _unchecked_packets(block: MemoryBlock, start: int, end: int) -> Iterator[bytes]:
    head, seqno = read_head(ChecksumKind.NULL, start), 0
    held_length = len(block.data)
    for at in range(start, end, UNCHECKED_PACKET_BYTES):
        stop = min(at + UNCHECKED_PACKET_BYTES, end)
        prefix = head + encode_prefix(PacketHeader(at, seqno, False, stop - at), 0)
        held_stop = max(at, min(stop, held_length))
        yield prefix + block.data[at:held_stop]
        for zeros_at in range(held_stop, stop, PACKET_BYTES):
            yield _ZEROS[: stop - zeros_at]
        head = b""
        seqno += 1
    yield head + _last_packet(end, seqno)


def _last_packet(end: int, seqno: int) -> bytes:
    return encode_prefix(PacketHeader(end, seqno, True, 0), 0)


def checksum_answer(block: MemoryBlock, request: pb.OpBlockChecksum) -> Iterator[bytes]:
    """The answer of OP_BLOCK_CHECKSUM over the first ``numBytes`` (0: all). Raises InvalidArgument."""
    length = min(request.header.block.numBytes or block.length, block.length)
    if length > DIGESTED_BYTES_MAX:
        raise InvalidArgument(f"a checksum of {length} bytes takes too long")
    return _digested(block, length, BlockDigest(request.blockChecksumOptions))


def _digested(block: MemoryBlock, length: int, digest: BlockDigest) -> Iterator[bytes]:
    held_length = min(len(block.data), length)
    padded_length = min(length, checksum_count(held_length, BYTES_PER_CHECKSUM) * BYTES_PER_CHECKSUM)
    for at in range(0, padded_length, PACKET_BYTES):
        data = block.bytes_of(at, min(at + PACKET_BYTES, padded_length))
        digest.add(data, checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data))
    at = padded_length
    while at < length:
        at += digest.add_zeros(length - at)
        yield b""
    yield digest.answer()
