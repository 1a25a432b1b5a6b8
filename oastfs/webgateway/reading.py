"""Reading a part of a file for a user, piece after piece. Blocking, for one thread at a time."""

from __future__ import annotations

from oastfs.client.blocks.layout import LOOK_AHEAD_BLOCKS
from oastfs.client.session import Session
from oastfs.client.url import Address
from oastfs.core.types import SUPERUSER
from oastfs.webgateway.calls import UserCalls
from oastfs.wire.webhdfs import JavaError


class Reading:
    """The bytes ``[offset, offset + length)``, as far as there are any; all from ``offset`` for -1."""

    def __init__(
        self, session: Session, address: Address, user: str, path: str, offset: int, length: int
    ) -> None:
        """Raises what the namenode says if the user may not."""
        with UserCalls(address, user) as calls:
            calls.located_blocks(path, 1)
        window = LOOK_AHEAD_BLOCKS * session.info.block_size
        opened = session.metadata.open(SUPERUSER, path, offset, window)
        self._file = session.open_file(opened, False, SUPERUSER)
        size = self._file.length
        if offset > size:
            self._file.close()
            raise JavaError(
                "java.io.IOException",
                f"Offset={offset} out of the range [0, {size}); OPEN, path={path}",
            )
        self._at = offset
        self._end = size if length < 0 else min(size, offset + length)

    @property
    def length(self) -> int:
        """How many bytes are still to come."""
        return self._end - self._at

    def next(self, size: int) -> bytes:
        """At most ``size`` bytes more; b"" at the end."""
        piece = self._file.pread(self._at, min(size, self.length))
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
