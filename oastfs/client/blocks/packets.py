"""Cutting written bytes into packets with their checksums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks

PACKET_BYTES = 1024 * 1024
"""Hadoop's clients send 64 KiB; fewer, larger ones cost less on both sides."""


class OutgoingPacket:
    """Bytes of a block that were written, kept until the namenode knows of them.

    ``seqno`` is that of the pipeline which they were last sent on.
    """

    __slots__ = ("_checksums", "offset", "pieces", "seqno", "size")

    def __init__(self, offset: int, pieces: list[memoryview], size: int) -> None:
        self.offset = offset
        self.pieces = pieces
        self.size = size
        self.seqno = -1
        self._checksums: bytes | None = None

    @property
    def checksums(self) -> bytes:
        """Of each chunk, computed when it is first sent: meanwhile datanodes are at what came before."""
        return self._checksums if self._checksums is not None else self.prepare()

    def prepare(self) -> bytes:
        """Compute the checksums."""
        self._checksums = found = _checksums(self.pieces)
        return found

    @property
    def end(self) -> int:
        return self.offset + self.size


def cut(offset: int, pieces: Sequence[memoryview]) -> Iterator[OutgoingPacket]:
    """Packets for ``pieces``, which follow each other from ``offset`` of the block.

    All but the first begin at a chunk's beginning, so that the datanode can store checksums as they come.
    """
    room = -offset % BYTES_PER_CHECKSUM or PACKET_BYTES
    run: list[memoryview] = []
    size = 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            part = piece[at : at + room - size]
            run.append(part)
            size += len(part)
            at += len(part)
            if size == room:
                yield OutgoingPacket(offset, run, size)
                offset += size
                run, size, room = [], 0, PACKET_BYTES
    if run:
        yield OutgoingPacket(offset, run, size)


def _checksums(pieces: list[memoryview]) -> bytes:
    """CRC32C of each chunk of the pieces put together."""
    if any(len(piece) % BYTES_PER_CHECKSUM for piece in pieces[:-1]):
        return checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, b"".join(pieces))
    parts = [checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, piece) for piece in pieces]
    return parts[0] if len(parts) == 1 else b"".join(parts)
