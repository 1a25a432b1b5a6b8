"""Sending a replica's bytes as packets: to readers, and to other datanodes that get a copy.

Stored checksums are sent as they are; the receiver compares. Several packets are read with one pair
of system calls and sent with another.
"""

from __future__ import annotations

import os

from oastfs.core.errors import CorruptBlock
from oastfs.core.limits import BYTES_PER_CHECKSUM, PACKET_BYTES
from oastfs.datanode.layout import chunk_count
from oastfs.datanode.reader import ReplicaReader
from oastfs.wire.transfer.answers import check_range, chunk_range, read_head
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, ChecksumKind, crc32c
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.packet import PacketHeader, encode_prefix

BATCH_BYTES = 512 * 1024
"""Data read from disk and sent at a time."""

_PREFIX_BYTES = len(encode_prefix(PacketHeader(0, 0, False, 0), 0))
_READAHEAD_FROM_BYTES = 4 * 1024 * 1024


class BlockSender:
    """Sends ``length`` bytes from ``offset`` of an open replica.

    With checksums, the range sent begins at the chunk boundary before the one asked for, because a part of
    a chunk could not be verified, and ends where it was asked to: HDFS's clients in Go take all that comes.
    The checksum of a last chunk that is cut is made anew, if it was right.
    """

    def __init__(self, reader: ReplicaReader, offset: int, length: int, checksums: bool = True) -> None:
        replica = reader.replica
        check_range(replica.block_id, offset, length, replica.visible_length)
        self._reader = reader
        self._checksums = checksums
        self.start, self.end = chunk_range(offset, length, replica.length)
        self._surplus_bytes = self.end - (offset + length)
        if not checksums:
            self.end, self._surplus_bytes = offset + length, 0
        self._at = self.start
        self._seqno = 0
        self.begun = False
        """Whether anything has been sent, so that a failure can no longer be answered."""

    def response(self) -> bytes:
        """The answer that goes before the packets."""
        return read_head(ChecksumKind.CRC32C if self._checksums else ChecksumKind.NULL, self.start)

    def send(self, connection: TransferConnection, first: bytes = b"") -> int:
        """Send ``first``, all packets and the empty last one; returns the bytes of data sent."""
        if self.end - self.start >= _READAHEAD_FROM_BYTES:
            os.posix_fadvise(
                self._reader.data_fd, self.start, self.end - self.start, os.POSIX_FADV_SEQUENTIAL
            )
        if not self._checksums:
            self._send_unchecked(connection, first)
            return self.end - self.start
        whole = min(self.end - self.start, BATCH_BYTES)
        packets = -(-whole // PACKET_BYTES)
        room = whole + chunk_count(whole) * CHECKSUM_BYTES + (packets + 1) * _PREFIX_BYTES
        memory = memoryview(bytearray(len(first) + room))
        memory[: len(first)] = first
        filled = len(first)
        while self._at < self.end:
            filled = self._fill(memory, filled)
            if self._at == self.end:
                break
            self.begun = True
            connection.send(memory[:filled])
            filled = 0
        memory[filled : filled + _PREFIX_BYTES] = self._last_packet()
        connection.send(memory[: filled + _PREFIX_BYTES])
        return self.end - self.start

    def _fill(self, memory: memoryview, filled: int) -> int:
        """Lay out and read the next batch of packets behind ``filled``; the new ``filled``."""
        start = self._at
        stop = min(start + BATCH_BYTES, self.end)
        data, checksums = [], []
        for at in range(start, stop, PACKET_BYTES):
            size = min(PACKET_BYTES, stop - at)
            checksums_bytes = chunk_count(size) * CHECKSUM_BYTES
            checksums_at = filled + _PREFIX_BYTES
            data_at = checksums_at + checksums_bytes
            header = PacketHeader(at, self._seqno, False, size)
            memory[filled:checksums_at] = encode_prefix(header, checksums_bytes)
            checksums.append(memory[checksums_at:data_at])
            filled = data_at + size
            data.append(memory[data_at:filled])
            self._seqno += 1
        if self._reader.read_into(start, data, checksums) < stop - start:
            raise self._cut_short()
        self._at = stop
        if stop == self.end and self._surplus_bytes:
            return self._cut_last(memory, filled, len(data[-1]), checksums[-1])
        return filled

    def _cut_last(self, memory: memoryview, filled: int, size: int, checksums: memoryview) -> int:
        """Take from the batch's last packet what was not asked for; the new end of the batch."""
        chunk_start = filled - (size % BYTES_PER_CHECKSUM or BYTES_PER_CHECKSUM)
        chunk, stored = memory[chunk_start:filled], checksums[-CHECKSUM_BYTES:]
        if int.from_bytes(stored, "big") != crc32c(chunk):
            return filled  # the reader is to find out
        stored[:] = crc32c(chunk[: -self._surplus_bytes]).to_bytes(CHECKSUM_BYTES, "big")
        header = PacketHeader(self.end - size, self._seqno - 1, False, size - self._surplus_bytes)
        prefix_at = filled - size - len(checksums) - _PREFIX_BYTES
        memory[prefix_at : prefix_at + _PREFIX_BYTES] = encode_prefix(header, len(checksums))
        self._at = self.end = self.end - self._surplus_bytes
        return filled - self._surplus_bytes

    def _send_unchecked(self, connection: TransferConnection, first: bytes) -> None:
        """Without checksums nothing has to be kept together: the kernel sends from its cache."""
        while self._at < self.end:
            size = min(BATCH_BYTES, self.end - self._at)
            header = PacketHeader(self._at, self._seqno, False, size)
            self.begun = True
            connection.send(first + encode_prefix(header, 0), more=True)
            if connection.send_file(self._reader.data_fd, self._at, size) < size:
                raise self._cut_short()
            first = b""
            self._at += size
            self._seqno += 1
        connection.send(first + self._last_packet())

    def _last_packet(self) -> bytes:
        return encode_prefix(PacketHeader(self.end, self._seqno, True, 0), 0)

    def _cut_short(self) -> CorruptBlock:
        return CorruptBlock(f"block {self._reader.replica.block_id} is shorter than it should be")
