"""Operations: how a connection asks a datanode for something, and the small messages around them.

A request is u16 28, an op byte, and a varint-delimited message. Answers are varint-delimited messages.
"""

from __future__ import annotations

import enum
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb

TRANSFER_VERSION: Final = 28
REQUEST_PREFIX_BYTES: Final = 3

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Longest message that is accepted. The largest real ones name some hundred datanodes."""

M = TypeVar("M", bound=Message)


class Op(enum.IntEnum):
    """Operation codes of the protocol."""

    WRITE_BLOCK = 80
    READ_BLOCK = 81
    READ_METADATA = 82
    REPLACE_BLOCK = 83
    COPY_BLOCK = 84
    BLOCK_CHECKSUM = 85
    TRANSFER_BLOCK = 86
    REQUEST_SHORT_CIRCUIT_FDS = 87
    RELEASE_SHORT_CIRCUIT_FDS = 88
    REQUEST_SHORT_CIRCUIT_SHM = 89
    BLOCK_GROUP_CHECKSUM = 90


Request = (
    pb.OpWriteBlock
    | pb.OpReadBlock
    | pb.OpReplaceBlock
    | pb.OpCopyBlock
    | pb.OpBlockChecksum
    | pb.OpTransferBlock
    | pb.OpRequestShortCircuitAccess
    | pb.ReleaseShortCircuitAccessRequest
    | pb.ShortCircuitShmRequest
)

REQUESTS: Final[dict[Op, type[Request]]] = {
    Op.WRITE_BLOCK: pb.OpWriteBlock,
    Op.READ_BLOCK: pb.OpReadBlock,
    Op.REPLACE_BLOCK: pb.OpReplaceBlock,
    Op.COPY_BLOCK: pb.OpCopyBlock,
    Op.BLOCK_CHECKSUM: pb.OpBlockChecksum,
    Op.TRANSFER_BLOCK: pb.OpTransferBlock,
    Op.REQUEST_SHORT_CIRCUIT_FDS: pb.OpRequestShortCircuitAccess,
    Op.RELEASE_SHORT_CIRCUIT_FDS: pb.ReleaseShortCircuitAccessRequest,
    Op.REQUEST_SHORT_CIRCUIT_SHM: pb.ShortCircuitShmRequest,
}
"""Each operation that has a message of ours; Hadoop defines 82 and 90 but clients seen do not send them."""


def encode_varint(value: int) -> bytes:
    """Protobuf's base-128 form of a non-negative integer."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(data: bytes | memoryview, at: int = 0) -> tuple[int, int] | None:
    """(value, position after it), or None when more bytes are needed. Raises ProtocolError."""
    value = 0
    for index in range(5):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ProtocolError("a message length is not a varint of at most five bytes")


def encode_delimited(message: Message) -> bytes:
    """A message with its length before it."""
    body = message.SerializeToString()
    return encode_varint(len(body)) + body


def decode_message(kind: type[M], body: bytes | memoryview) -> M:
    """Read one message. Raises ProtocolError."""
    try:
        return kind.FromString(bytes(body))
    except DecodeError:
        raise ProtocolError(f"a {kind.__name__} cannot be read") from None


def encode_request(op: Op, message: Message) -> bytes:
    """A whole request, ready to send."""
    return TRANSFER_VERSION.to_bytes(2, "big") + bytes((op,)) + encode_delimited(message)


def decode_op(prefix: bytes | memoryview) -> Op:
    """The operation of a request's first three bytes. Raises ProtocolError."""
    version = prefix[0] << 8 | prefix[1]
    if version != TRANSFER_VERSION:
        raise ProtocolError(f"data transfer version {version} is not {TRANSFER_VERSION}")
    try:
        return Op(prefix[2])
    except ValueError:
        raise ProtocolError(f"there is no data transfer operation {prefix[2]}") from None
