"""Bytes in, packets and messages out, without copies and without a socket.

A connection reads into ``writable()``, tells how much came, and takes what is complete. Memory is
bounded by the largest packet or message that the limits allow.
"""

from __future__ import annotations

from oastfs.core.errors import ProtocolError, Unsupported
from oastfs.wire.transfer.ops import (
    MESSAGE_BYTES_MAX,
    REQUEST_PREFIX_BYTES,
    REQUESTS,
    M,
    Op,
    Request,
    decode_message,
    decode_op,
    decode_varint,
)
from oastfs.wire.transfer.packet import PREFIX_BYTES, Packet, PacketHeader, decode_header, decode_lengths

INITIAL_BYTES = 256 * 1024
_SLACK_BYTES = 4096
"""Less free room than this at the end, and what is left over moves to the front before the next read."""


class TransferBuffer:
    """One direction of one connection. Not for several threads at once.

    It grows to ``capacity_bytes_max`` as long as each read fills it: a stream is then read in few calls, and
    a connection for one small request costs little. What is not complete yet makes it grow beyond.
    """

    def __init__(self, capacity_bytes: int = INITIAL_BYTES, capacity_bytes_max: int = 0) -> None:
        self._memory = memoryview(bytearray(capacity_bytes))
        self._capacity_bytes_max = capacity_bytes_max
        self._start = 0
        self._end = 0
        self._wanted_bytes = 0

    def __len__(self) -> int:
        return self._end - self._start

    def writable(self) -> memoryview:
        """Room for the next read. Views taken before are no longer valid after this call."""
        memory, start, end = self._memory, self._start, self._end
        if end == len(memory) and end < self._capacity_bytes_max:
            return self._grown(min(2 * end, self._capacity_bytes_max))
        if start == end:
            self._start = self._end = start = end = 0
        short = start + self._wanted_bytes > len(memory) or len(memory) - end < _SLACK_BYTES
        if short:
            held = end - start
            if max(self._wanted_bytes, held + _SLACK_BYTES) > len(memory):
                size = max(self._wanted_bytes + _SLACK_BYTES, 2 * len(memory))
                self._memory = memoryview(bytearray(size))
            self._memory[:held] = memory[start:end]
            self._start, self._end = 0, held
        return self._memory[self._end :]

    def _grown(self, size: int) -> memoryview:
        held = self._end - self._start
        memory = memoryview(bytearray(size))
        memory[:held] = self._memory[self._start : self._end]
        self._memory, self._start, self._end = memory, 0, held
        return memory[held:]

    def received(self, count: int) -> None:
        """``count`` bytes were read into the front of ``writable()``."""
        self._end += count

    def feed(self, data: bytes) -> None:
        """Add bytes that were read elsewhere."""
        while data:
            room = self.writable()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self.received(count)
            data = data[count:]
            self._wanted_bytes = max(self._wanted_bytes, len(self) + len(data))

    def _need(self, count: int) -> bool:
        """Whether ``count`` bytes are here; otherwise make sure that the next reads have room for them."""
        if self._end - self._start >= count:
            self._wanted_bytes = 0
            return True
        self._wanted_bytes = count
        return False

    def take(self, limit: int) -> memoryview:
        """At most ``limit`` bytes of what is here, perhaps none."""
        start = self._start
        end = min(start + limit, self._end)
        self._start = end
        return self._memory[start:end]

    def peek(self, limit: int) -> memoryview:
        """At most ``limit`` bytes of what is here, without taking them."""
        return self._memory[self._start : min(self._start + limit, self._end)]

    def take_message(self, kind: type[M]) -> M | None:
        """The next varint-delimited message, or None until it is complete. Raises ProtocolError."""
        body = self._peek_delimited(0)
        if body is None:
            return None
        begin, end = body
        message = decode_message(kind, self._memory[begin:end])
        self._start = end
        return message

    def _peek_delimited(self, skip: int) -> tuple[int, int] | None:
        """(begin, end) of the message that starts ``skip`` bytes from here, if it is complete."""
        head = self._memory[self._start + skip : min(self._start + skip + 5, self._end)]
        decoded = decode_varint(head)
        if decoded is None:
            self._need(skip + len(head) + 1)
            return None
        length, after = decoded
        if length > MESSAGE_BYTES_MAX:
            raise ProtocolError(f"a message of {length} bytes is out of bounds")
        if not self._need(skip + after + length):
            return None
        begin = self._start + skip + after
        return begin, begin + length

    def take_request(self) -> tuple[Op, Request] | None:
        """The next operation, or None until it is complete. Raises ProtocolError, Unsupported."""
        if not self._need(REQUEST_PREFIX_BYTES):
            return None
        op = decode_op(self._memory[self._start : self._start + REQUEST_PREFIX_BYTES])
        kind = REQUESTS.get(op)
        if kind is None:
            raise Unsupported(f"operation {op.name} is not supported")
        body = self._peek_delimited(REQUEST_PREFIX_BYTES)
        if body is None:
            return None
        begin, end = body
        message = decode_message(kind, self._memory[begin:end])
        self._start = end
        return op, message

    def take_packet(self) -> Packet | None:
        """The next packet, or None until it is complete. Raises ProtocolError."""
        start = self._start
        lengths = self._peek_lengths()
        if lengths is None or not self._need(PREFIX_BYTES + sum(lengths)):
            return None
        header, checksums = self._split_head(*lengths)
        memory, data_at = self._memory, self._start
        end = self._start = data_at + header.carried_bytes
        return Packet(header, checksums, memory[data_at:end], memory[start:end])

    def take_packet_head(self) -> tuple[PacketHeader, memoryview] | None:
        """Header and checksums of the next packet, or None until they are complete. Raises ProtocolError.

        The ``carried_bytes`` that follow are the caller's to ``take`` or to read straight to where they
        belong. The view of the checksums is valid until ``writable`` is called.
        """
        lengths = self._peek_lengths()
        if lengths is None:
            return None
        payload_bytes, header_bytes = lengths
        if not self._need(PREFIX_BYTES + header_bytes):
            return None
        at = self._start + PREFIX_BYTES
        header = decode_header(self._memory[at : at + header_bytes])
        if not self._need(PREFIX_BYTES + header_bytes + max(payload_bytes - header.carried_bytes, 0)):
            return None
        return self._split_head(payload_bytes, header_bytes)

    def _peek_lengths(self) -> tuple[int, int] | None:
        if not self._need(PREFIX_BYTES):
            return None
        return decode_lengths(self._memory[self._start : self._start + PREFIX_BYTES])

    def _split_head(self, payload_bytes: int, header_bytes: int) -> tuple[PacketHeader, memoryview]:
        """Take prefix, header and checksums of a packet; its data comes next."""
        header_at = self._start + PREFIX_BYTES
        checksums_at = header_at + header_bytes
        header = decode_header(self._memory[header_at:checksums_at])
        if header.carried_bytes > payload_bytes:
            raise ProtocolError("a packet's data is longer than the packet")
        data_at = checksums_at + payload_bytes - header.carried_bytes
        self._start = data_at
        return header, self._memory[checksums_at:data_at]
