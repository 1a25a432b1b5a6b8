"""The data file of a new block, lent by a datanode on this machine: bytes go into it without a socket.

The datanode is told of them by packets without data. What it lends, to whom, and how it gets out of a loan
is in ``datanode/lending.py``; what it relies on is kept here and in ``pipeline.py``:

* Bytes are only put behind all others, on whole chunks, and while nothing that was sent otherwise is on
  its way: so both never write at once.
* A packet is sent when its bytes are in the file. After the one that ends the block nothing is written.

A thread of its own puts them there (and computes their checksums), while their writer goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from oastfs.client.blocks.packets import OutgoingPacket
from oastfs.core.errors import DeadlineExceeded
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.wire.transfer.checksum import Buffer

_IOV_MAX = 1024


class Loan:
    """A lent file and where it ends. For one thread at a time, beside its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._end = 0
        self._sent_otherwise = -1
        """The last packet whose data the datanode writes."""
        self._asked: SimpleQueue[OutgoingPacket | None] = SimpleQueue()
        self._done: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_over = False
        """Set by either thread: nothing more is put into the file."""

    def takes(self, offset: int, acknowledged: int) -> bool:
        """Whether bytes from ``offset`` may be put into the file, packets up to one being acknowledged."""
        at_end = offset == self._end and offset % BYTES_PER_CHECKSUM == 0
        return at_end and not self._is_over and acknowledged >= self._sent_otherwise

    def put(self, packet: OutgoingPacket) -> None:
        """Begin to put a packet's data into the file, behind those before; ``finished`` tells of each."""
        self._end = packet.end
        self._asked.put(packet)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="oastfs-loan", daemon=True)
            self._thread.start()

    def finished(self, wait_seconds: float) -> bool | None:
        """Whether the next of the packets is in the file, in the order of ``put``; None: not known yet.

        False: the system refused it, and the datanode finds out what it is when it writes the data itself.
        Raises DeadlineExceeded if it is not known after ``wait_seconds``, unless that is 0.
        """
        try:
            return self._done.get(timeout=wait_seconds) if wait_seconds else self._done.get_nowait()
        except Empty:
            if wait_seconds:
                raise DeadlineExceeded("the disk of the local datanode took nothing in time") from None
            return None

    def sent_otherwise(self, packet: OutgoingPacket) -> None:
        """A packet went to the datanode with its data."""
        self._sent_otherwise = packet.seqno
        self._end = max(self._end, packet.end)

    def close(self) -> None:
        """Put no more into the file."""
        self._is_over = True
        if self._thread is not None:
            self._asked.put(None)
        else:
            os.close(self._descriptor)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (packet := self._asked.get()) is not None:
                self._done.put(self._put(packet))
        finally:
            os.close(self._descriptor)

    def _put(self, packet: OutgoingPacket) -> bool:
        pieces, at = packet.pieces, packet.offset
        packet.prepare()
        try:
            for first in range(0, len(pieces), _IOV_MAX):
                if self._is_over:
                    return False
                at = _write(self._descriptor, pieces[first : first + _IOV_MAX], at)
        except OSError:
            self._is_over = True
            return False
        return True


def _write(descriptor: int, pieces: Sequence[Buffer], offset: int) -> int:
    """pwritev(2) until all is written; the offset behind it."""
    wanted = sum(map(len, pieces))
    written = os.pwritev(descriptor, pieces, offset)
    if written < wanted:
        rest = memoryview(b"".join(pieces))
        while written < wanted:
            written += os.pwrite(descriptor, rest[written:], offset + written)
    return offset + wanted
