"""Frames of Hadoop RPC: four bytes of length, big-endian, then that many bytes. Bytes in, frames out."""

from __future__ import annotations

import struct

from oastfs.core.errors import ProtocolError

FRAME_BYTES_MAX = 128 * 1024 * 1024
"""Largest frame by default (Hadoop's ipc.maximum.data.length)."""

_unpack_length = struct.Struct(">I").unpack_from
pack_length = struct.Struct(">I").pack


class FrameBuffer:
    """One direction of one connection.

    Holds what was fed and not yet taken. Pieces of a long frame are joined once, when it is complete, and
    a length alone takes no memory: a peer costs what it really sent.
    """

    __slots__ = ("_at", "_data", "_held", "_pieces", "frame_bytes_max", "missing")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self.missing = 0
        """Bytes that the next frame is known to lack; 0 if nobody has looked yet."""
        self._data = b""
        self._at = 0
        self._pieces: list[bytes] = []
        self._held = 0

    def __len__(self) -> int:
        return len(self._data) - self._at + self._held

    def feed(self, data: bytes) -> None:
        """Add bytes as they came from the peer."""
        if self.missing > len(data):
            self._pieces.append(data)
            self._held += len(data)
            self.missing -= len(data)
            return
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
        elif self._at < len(self._data):
            data = self._data[self._at :] + data
        self.missing = 0
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes | None:
        """Exactly ``count`` bytes outside any frame, or None until they are there."""
        data, end = self._data, self._at + count
        if end > len(data):
            self._keep(end)
            return None
        taken = data[self._at : end]
        self._at = end
        return taken

    def peek(self) -> bytes:
        """What is there, without taking it."""
        return b"".join((*self._pieces, self._data[self._at :]))

    def next_frame(self) -> bytes | None:
        """The next whole frame, without its length, or None. Raises ProtocolError if it is too long."""
        data, begin = self._data, self._at + 4
        if self._at == len(data):
            return None
        if begin > len(data):
            self._keep(begin)
            return None
        length = _unpack_length(data, begin - 4)[0]
        if length > self.frame_bytes_max:
            raise ProtocolError(f"a frame of {length} bytes is over the limit of {self.frame_bytes_max}")
        end = begin + length
        if end > len(data):
            self._keep(end)
            return None
        self._at = end
        return data[begin:end]

    def _keep(self, end: int) -> None:
        """Set what is left over aside until the bytes up to ``end`` are there."""
        if self._pieces:
            return
        rest = self._data[self._at :]
        self.missing = end - self._at - len(rest)
        if rest:
            self._pieces.append(rest)
        self._held = len(rest)
        self._data = b""
        self._at = 0
