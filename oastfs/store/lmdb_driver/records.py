"""The records of the write-ahead log as bytes. No I/O.

A record is a header and a payload: the rows that one group of operations put and removed, by database.
Sequence numbers count up by one, and a record's checksum (CRC32C) starts from that of the record before it:
a record is valid in one place of one history only. So whatever follows the last record, be it zeros, a torn
record or records of an earlier use of the file, is known for what it is. ``salt`` is random, chosen when a
log is begun, and kept where users do not see it: no content that a user stores can pass for a record.

Redo only, whole rows, applied in order to the snapshot of a checkpoint: of ARIES this needs neither undo
nor page stamps, since LMDB never changes a page of a snapshot that is held.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import google_crc32c
import msgspec

Changes = dict[str, dict[bytes, bytes | None]]
"""By name of the database: keys with their new values; None is a removal."""

_HEADER = struct.Struct("<QQII")
_POSITION = struct.Struct("<QQQQI")
_UNCHECKED_BYTES = 4
HEADER_BYTES = _HEADER.size
POSITION_BYTES = _POSITION.size
POSITION_KEY = b"oastfs log position"
"""In the unnamed database of LMDB: where the log goes on."""
VOID = bytes(HEADER_BYTES)
"""In the place of a record: there is none."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Changes).decode


class Position(NamedTuple):
    """Where the next record goes, and what it continues."""

    salt: int
    segment: int
    offset: int
    sequence: int
    checksum: int

    def to_bytes(self) -> bytes:
        return _POSITION.pack(*self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Position:
        return cls(*_POSITION.unpack(data))

    def after(self, segment: int, offset: int, record: Record) -> Position:
        """The position behind a record that was put at ``offset`` of ``segment``."""
        return Position(self.salt, segment, offset + len(record.data), record.sequence, record.checksum)


class Record(NamedTuple):
    """One record, ready to be written."""

    data: bytes
    sequence: int
    checksum: int


class Header(NamedTuple):
    """What a record says of itself, not yet believed."""

    data: bytes
    sequence: int
    payload_bytes: int
    checksum: int


def encode_record(position: Position, changes: Changes) -> Record:
    """The record that continues the log at a position."""
    payload = _encode(changes)
    sequence = position.sequence + 1
    header = _HEADER.pack(position.salt, sequence, len(payload), 0)[:-_UNCHECKED_BYTES]
    checksum = google_crc32c.extend(google_crc32c.extend(position.checksum, header), payload)
    return Record(b"".join((header, checksum.to_bytes(4, "little"), payload)), sequence, checksum)


def read_header(position: Position, data: bytes) -> Header | None:
    """The header of the record that may be at a position, unless it is not one."""
    if len(data) < HEADER_BYTES:
        return None
    salt, sequence, payload_bytes, checksum = _HEADER.unpack_from(data)
    if salt != position.salt or sequence != position.sequence + 1:
        return None
    return Header(data[:HEADER_BYTES], sequence, payload_bytes, checksum)


def decode_record(position: Position, header: Header, payload: bytes) -> tuple[Record, Changes] | None:
    """The record, if it is whole and continues the log at the position."""
    if len(payload) != header.payload_bytes:
        return None
    checked = header.data[:-_UNCHECKED_BYTES]
    checksum = google_crc32c.extend(google_crc32c.extend(position.checksum, checked), payload)
    if checksum != header.checksum:
        return None
    return Record(header.data + payload, header.sequence, checksum), _decode(payload)
