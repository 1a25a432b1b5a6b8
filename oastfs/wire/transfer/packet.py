"""Packets: the unit in which a block's bytes travel.

On the wire: u32 payload length (itself + checksums + data), u16 header length, a PacketHeader message
whose fields have fixed widths, the checksums, the data. Headers are coded by hand here: both ends
do one per 64 KiB.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from google.protobuf.message import DecodeError

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto.datatransfer_pb2 import PacketHeader as _HeaderMessage
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, checksum_count

PACKET_BYTES_MAX = 16 * 1024 * 1024
"""Largest packet that is accepted, checksums included (Hadoop's limit)."""

HEADER_BYTES_MAX = 64
"""Longest header that is accepted; today's are 25 or 27 bytes."""

HEARTBEAT_SEQNO = -1

_LENGTHS = struct.Struct(">IH")
# Tag bytes and values of PacketHeader: offset, seqno, last, data length; then perhaps sync.
_PLAIN = struct.Struct("<BqBqBBBi")
_TAGS = (0x09, 0x11, 0x18, 0x25)
_SYNC = b"\x28\x01"
_PLACED = b"\x70\x01"
_STAGED = b"\x78\x01"
_WHOLE = struct.Struct("<BqBqBBBi2s")

PREFIX_BYTES = _LENGTHS.size


class PacketHeader(NamedTuple):
    """What a packet says of itself.

    ``seqno`` counts from 0 in a block; -1 is a heartbeat. ``last`` marks the empty packet that ends
    a block. ``sync`` asks for durability before the acknowledgement. ``staged`` is for a last packet between
    our datanodes: a namenode has the whole block, so that they need not sync it. ``placed``, to our
    datanodes: the writer has put the data into the file that it was lent, and the packet carries none.
    """

    offset: int
    seqno: int
    last: bool
    data_bytes: int
    sync: bool = False
    staged: bool = False
    placed: bool = False

    @property
    def carried_bytes(self) -> int:
        """How much of the data is in the packet."""
        return 0 if self.placed else self.data_bytes


class Packet(NamedTuple):
    """A received packet. The views are valid until the buffer that they point into reads on."""

    header: PacketHeader
    checksums: memoryview
    data: memoryview
    raw: memoryview
    """The whole packet as it came, to pass on."""


def encode_header(header: PacketHeader) -> bytes:
    """The PacketHeader message alone."""
    offset, seqno, last, data_bytes, sync, staged, placed = header
    plain = _PLAIN.pack(0x09, offset, 0x11, seqno, 0x18, last, 0x25, data_bytes)
    if staged or placed:
        return plain + (_SYNC if sync else b"") + (_PLACED if placed else b"") + (_STAGED if staged else b"")
    return plain + _SYNC if sync else plain


def encode_prefix(header: PacketHeader, checksums_bytes: int) -> bytes:
    """Everything of a packet before its checksums; send it with the checksums and the data."""
    encoded = encode_header(header)
    return _LENGTHS.pack(4 + checksums_bytes + header.carried_bytes, len(encoded)) + encoded


def decode_header(data: bytes | memoryview) -> PacketHeader:
    """Read a PacketHeader message. Raises ProtocolError."""
    size = len(data)
    if size == _PLAIN.size or size == _WHOLE.size:
        values = _PLAIN.unpack_from(data)
        if values[0::2] == _TAGS and values[5] <= 1:
            sync = False
            if size == _WHOLE.size:
                if data[25] != 0x28 or data[26] > 1:
                    return _decode_any_header(data)
                sync = data[26] == 1
            return _checked(PacketHeader(values[1], values[3], values[5] == 1, values[7], sync))
    return _decode_any_header(data)


def _decode_any_header(data: bytes | memoryview) -> PacketHeader:
    try:
        message = _HeaderMessage.FromString(bytes(data))
    except DecodeError:
        raise ProtocolError("a packet header cannot be read") from None
    return _checked(
        PacketHeader(
            message.offsetInBlock,
            message.seqno,
            message.lastPacketInBlock,
            message.dataLen,
            message.syncBlock,
            message.staged,
            message.placed,
        )
    )


def _checked(header: PacketHeader) -> PacketHeader:
    if header.offset < 0 or header.data_bytes < 0 or header.seqno < HEARTBEAT_SEQNO:
        raise ProtocolError("a packet header has a negative field")
    return header


def decode_lengths(data: bytes | memoryview) -> tuple[int, int]:
    """Lengths in bytes of (checksums and data, header) from the first six bytes of a packet.

    Raises ProtocolError when one is out of bounds, before anything is read or allocated for them.
    """
    payload_bytes, header_bytes = _LENGTHS.unpack_from(data)
    if not 4 <= payload_bytes <= PACKET_BYTES_MAX:
        raise ProtocolError(f"a packet of {payload_bytes} bytes is out of bounds")
    if not 0 < header_bytes <= HEADER_BYTES_MAX:
        raise ProtocolError(f"a packet header of {header_bytes} bytes is out of bounds")
    return payload_bytes - 4, header_bytes


def check_chunks(header: PacketHeader, checksums_bytes: int, bytes_per_checksum: int) -> None:
    """Raise ProtocolError unless the checksums are as many as the data's chunks.

    ``bytes_per_checksum`` is 0 when there are none (NULL).
    """
    if bytes_per_checksum == 0:
        wanted_bytes = 0
    else:
        wanted_bytes = checksum_count(header.data_bytes, bytes_per_checksum) * CHECKSUM_BYTES
    if checksums_bytes != wanted_bytes:
        raise ProtocolError(f"a packet has {checksums_bytes} bytes of checksums where {wanted_bytes} belong")
