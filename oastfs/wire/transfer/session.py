"""The serving end of one connection without I/O: bytes in; requests and readers' verdicts out.

For a server that receives no blocks. It holds what was fed and not yet taken, at most a message that is
within the limit and what came with its end.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.ops import (
    REQUEST_PREFIX_BYTES,
    REQUESTS,
    TRANSFER_VERSION,
    Op,
    Request,
    decode_message,
    decode_op,
    decode_varint,
)

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Longest request that is accepted; one with a token and a pipeline of datanodes has a few thousand bytes."""

_VERDICTS: Final = {b"\x02\x08\x00": pb.SUCCESS, b"\x02\x08\x06": pb.CHECKSUM_OK}
"""What readers nearly always say, as it is encoded."""
_KINDS: Final = {TRANSFER_VERSION.to_bytes(2, "big") + bytes((op,)): (op, REQUESTS.get(op)) for op in Op}
"""Operations and their messages by what they begin with."""


class ServingSession:
    """Feed it bytes; take what is complete. After a ProtocolError the connection is only good to close."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # Nearly always one whole message, or nothing: joining pieces may cost something.
        self._held = b""

    def __len__(self) -> int:
        """Bytes held that are not yet taken."""
        return len(self._held)

    def feed(self, data: bytes) -> None:
        """Add bytes as they came from the client."""
        self._held = self._held + data if self._held else data

    def next_request(self) -> tuple[Op, Request | None] | None:
        """The next operation, or None until it is complete. Its message is None if we know none for it."""
        held = self._held
        if len(held) < REQUEST_PREFIX_BYTES:
            self._check_version()
            return None
        found = _KINDS.get(held[:REQUEST_PREFIX_BYTES])
        if found is None:
            return decode_op(held[:REQUEST_PREFIX_BYTES]), None
        op, kind = found
        if kind is None:
            self._held = b""
            return op, None
        body = self._take_delimited(REQUEST_PREFIX_BYTES)
        return None if body is None else (op, decode_message(kind, body))

    def next_verdict(self) -> pb.Status.ValueType | None:
        """What a reader says of the packets that it got, or None until it is complete."""
        held = self._held
        if not held:
            return None
        verdict = _VERDICTS.get(held[:3])
        if verdict is not None:
            self._held = held[3:]
            return verdict
        body = self._take_delimited(0)
        return None if body is None else decode_message(pb.ClientReadStatus, body).status

    def _check_version(self) -> None:
        """Refuse what cannot become an operation as soon as that shows."""
        if not b"\x00\x1c".startswith(self._held[:2]):
            raise ProtocolError("the client does not speak the data transfer protocol")

    def _take_delimited(self, skip: int) -> bytes | None:
        """The message behind its length, ``skip`` bytes from here, if it is complete."""
        held = self._held
        decoded = decode_varint(held[skip : skip + 5])
        if decoded is None:
            return None
        length, after = decoded
        if length > REQUEST_BYTES_MAX:
            raise ProtocolError(f"a message of {length} bytes is over the limit of {REQUEST_BYTES_MAX}")
        begin = skip + after
        end = begin + length
        if end > len(held):
            return None
        self._held = held[end:]
        return held[begin:end]
