"""Base-128 integers of protocol buffers, for the few headers that are built by hand."""

from __future__ import annotations

from oastfs.core.errors import ProtocolError

VARINT_BYTES_MAX = 10


def encode_varint(value: int) -> bytes:
    """``value`` >= 0 as a varint."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if 0x200000 <= value < 0x10000000:  # where the call ids of our clients are
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at`` and the position after it. Raises ProtocolError."""
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value = byte & 0x7F
        for shift in range(7, 7 * VARINT_BYTES_MAX, 7):
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at + 1
    except IndexError:
        raise ProtocolError("a message ends inside a number") from None
    raise ProtocolError("a number is longer than ten bytes")


def encode_delimited(data: bytes) -> bytes:
    """``data`` behind its length."""
    return encode_varint(len(data)) + data


def decode_delimited(data: bytes, at: int) -> tuple[bytes, int]:
    """The length-prefixed bytes at ``at`` and the position after them. Raises ProtocolError."""
    length, begin = decode_varint(data, at)
    end = begin + length
    if end > len(data):
        raise ProtocolError("a message is longer than its frame")
    return data[begin:end], end
