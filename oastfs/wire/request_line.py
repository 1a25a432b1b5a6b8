"""Request lines of HTTP/1 with raw UTF-8 in them, which Java sends: escaped before a strict parser sees them.

Sans-IO. The bytes of a connection go through ``RequestLineEscaper`` and come out the same, but for
bytes above 127 in request lines, which become ``%XX``. To know where a request begins it follows heads and
the lengths of bodies; after a body in chunks it leaves the rest of the connection as it is.
"""

from __future__ import annotations

import asyncio
import enum
import re
from typing import Final

HEAD_BYTES_MAX: Final = 1 << 20
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")


class _State(enum.Enum):
    LINE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    AS_IT_IS = enum.auto()


class RequestLineEscaper:
    """For one connection; give it what arrives, in order."""

    def __init__(self) -> None:
        self._state = _State.LINE
        self._blank = True
        self._header = b""
        self._body_bytes = 0
        self._head_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What the parser is to see of the next bytes."""
        parts = []
        at = 0
        while at < len(data):
            if self._state is _State.BODY:
                end = min(len(data), at + self._body_bytes)
                parts.append(data[at:end])
                self._body_bytes -= end - at
                if not self._body_bytes:
                    self._begin()
            elif self._state is _State.AS_IT_IS:
                end = len(data)
                parts.append(data[at:])
            else:
                end = data.find(b"\n", at) + 1 or len(data)
                parts.append(self._take_line(data[at:end]))
            at = end
        return b"".join(parts)

    def _begin(self) -> None:
        self._state, self._blank = _State.LINE, True
        self._header = b""
        self._body_bytes = self._head_bytes = 0

    def _take_line(self, piece: bytes) -> bytes:
        """A line, or a part of one."""
        self._head_bytes += len(piece)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._state = _State.AS_IT_IS
            return piece
        ends = piece.endswith(b"\n")
        if self._state is _State.LINE:
            self._blank = self._blank and not piece.strip(b"\r\n")
            if ends and not self._blank:  # blank lines before a request are allowed
                self._state = _State.HEAD
            return piece if piece.isascii() else _NOT_ASCII.sub(_escaped, piece)
        self._header += piece
        if ends:
            header, self._header = self._header.strip(), b""
            self._take_header(header.lower())
        return piece

    def _take_header(self, header: bytes) -> None:
        if header.startswith(b"content-length:"):
            value = header[15:].strip()
            self._body_bytes = int(value) if value.isdigit() and len(value) < 20 else 0
        elif header.startswith((b"transfer-encoding:", b"upgrade:")):
            self._state = _State.AS_IT_IS
        elif not header:
            if self._body_bytes:
                self._state = _State.BODY
            else:
                self._begin()


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found.group()[0]


class EscapingProtocol(asyncio.Protocol):
    """Puts an escaper before another protocol."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._escaper = RequestLineEscaper()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(self._escaper.feed(data))

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
