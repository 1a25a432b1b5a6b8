"""The data file of a new block, lent by a datanode on this machine: bytes go into it without a socket.

The datanode is told of them by packets without data. What it lends, to whom, and how it gets out of a loan
is in ``datanode/lending.py``; what it relies on is kept here and in ``pipeline.py``:

* Bytes are only put behind all others, on whole chunks, and while nothing that was sent otherwise is on
  its way: so both never write at once.
* After the packet that ends the block nothing is written, the file is closed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.wire.transfer.checksum import Buffer

_IOV_MAX = 1024


class Loan:
    """A lent file and where it ends. One thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._end = 0
        self._sent_otherwise = -1
        """The last packet whose data the datanode writes."""

    def takes(self, offset: int, acknowledged: int) -> bool:
        """Whether bytes from ``offset`` may be put into the file, packets up to one being acknowledged."""
        at_end = offset == self._end and offset % BYTES_PER_CHECKSUM == 0
        return at_end and self._descriptor >= 0 and acknowledged >= self._sent_otherwise

    def put(self, offset: int, pieces: Sequence[Buffer]) -> bool:
        """Write ``pieces``, which follow each other; False, and never again, if that is refused."""
        try:
            for first in range(0, len(pieces), _IOV_MAX):
                offset = self._write(offset, pieces[first : first + _IOV_MAX])
        except OSError:
            self.close()  # the datanode finds out what it is when it writes them
            return False
        self._end = offset
        return True

    def _write(self, offset: int, pieces: Sequence[Buffer]) -> int:
        wanted = sum(map(len, pieces))
        written = os.pwritev(self._descriptor, pieces, offset)
        if written < wanted:
            rest = memoryview(b"".join(pieces))
            while written < wanted:
                written += os.pwrite(self._descriptor, rest[written:], offset + written)
        return offset + wanted

    def sent_otherwise(self, seqno: int, end: int) -> None:
        """A packet up to ``end`` went to the datanode with its data."""
        self._sent_otherwise = seqno
        self._end = max(self._end, end)

    def close(self) -> None:
        """Write no more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
