"""Replicas in memory: small blocks while they are received, and until a namenode says what becomes of them.

Making and removing files costs a datanode several times what all else about a small block does. So what may
end inline is held in memory, and most of it never comes to a disk. Nothing of it is acknowledged before
a namenode has staged it all; what else is to be acknowledged is put into files first. So a crash takes
nothing that was promised.

A replica is held while its only writer receives it (``small_writer.py``), and when it is final. Whoever wants
the files of a final one has them made (``put_into_files``); then it is a replica as any other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from oastfs.core.errors import BlockNotFound
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.datanode import layout
from oastfs.datanode.journal import Journal
from oastfs.datanode.layout import checksum_offset, pwrite_all
from oastfs.datanode.replica import Replica
from oastfs.wire.transfer.checksum import Buffer, ChecksumKind, checksum_chunks

OVERHEAD_BYTES: Final = 2048
"""What a held replica takes beside its bytes."""


class Memory:
    """What all held replicas of a datanode may take together. Safe to use from many threads."""

    def __init__(self, limit_bytes: int, on_pressure: Callable[[], None] = lambda: None) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self.used_bytes = 0
        self.on_pressure = on_pressure
        """Called whenever half of it is taken: to find out what need not be held any more."""

    def take(self, count: int) -> bool:
        """Whether there is room for ``count`` more bytes, which are taken then."""
        with self._lock:
            if self.used_bytes + count > self._limit_bytes:
                return False
            self.used_bytes += count
        if self.used_bytes > self._limit_bytes // 2:
            self.on_pressure()
        return True

    def give_back(self, count: int) -> None:
        """``count`` bytes are not needed any more."""
        with self._lock:
            self.used_bytes -= count


class Held:
    """The bytes of one replica and their checksums, if those came whole. Used under the replica's lock."""

    __slots__ = ("_checksums", "_longest", "_memory", "_taken_bytes", "data")

    def __init__(self, memory: Memory, longest: int, taken_bytes: int) -> None:
        self.data = bytearray()
        self._checksums: bytearray | None = bytearray()
        self._memory = memory
        self._longest = longest
        self._taken_bytes = taken_bytes

    @classmethod
    def begin(cls, memory: Memory, longest: int) -> Held | None:
        """For a replica of at most ``longest`` bytes; None if there is no room for another."""
        return cls(memory, longest, OVERHEAD_BYTES) if longest and memory.take(OVERHEAD_BYTES) else None

    def add(self, offset: int, pieces: Sequence[Buffer], checksums: Sequence[Buffer] | None) -> bool:
        """Add bytes at the end; False if they do not belong there, are too many, or find no room."""
        size = sum(map(len, pieces))
        length = len(self.data)
        if offset != length or length + size > self._longest or not self._memory.take(size):
            return False
        self._taken_bytes += size
        whole = all(len(piece) % BYTES_PER_CHECKSUM == 0 for piece in pieces[:-1])
        if checksums is None or length % BYTES_PER_CHECKSUM or not whole:
            self._checksums = None
        for piece in pieces:
            self.data += piece
        if self._checksums is not None:
            for one in checksums or ():
                self._checksums += one
        return True

    def write(self, data_fd: int, meta_fd: int) -> None:
        """Write all of it into the files of the replica, which were made for it."""
        checksums = self._checksums
        if checksums is None:
            kind = ChecksumKind.CRC32C
            checksums = bytearray(checksum_chunks(kind, BYTES_PER_CHECKSUM, bytes(self.data)))
        pwrite_all(data_fd, self.data, 0)
        pwrite_all(meta_fd, checksums, checksum_offset(0))

    def release(self) -> None:
        """It is not needed any more."""
        self._memory.give_back(self._taken_bytes)
        self._taken_bytes = 0


def put_into_files(replica: Replica) -> None:
    """Make files of a final replica that is held in memory, if it is. Nothing is synced.

    Raises BlockNotFound for one that is still being received, or was removed.
    """
    with replica.lock:
        held = replica.held
        if held is None:
            return
        if not replica.final or replica.removed:
            raise BlockNotFound(f"block {replica.block_id} is not in files here")
        with replica.volume.guard():
            # With a journal beside them until they are whole: a crash may come at any time.
            layout.make_directory(replica.volume.blocks, replica.block_id)
            journal = Journal.create(replica.journal_path, 0)
            try:
                data_fd, meta_fd = open_to_write(replica, new=True)
                try:
                    held.write(data_fd, meta_fd)
                finally:
                    os.close(data_fd)
                    os.close(meta_fd)
            except OSError:
                journal.close()
                raise
            journal.remove()
        replica.held = None
    held.release()


def open_to_write(replica: Replica, new: bool) -> tuple[int, int]:
    """Descriptors of a replica's data and checksums, whose files are made if they are not there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    data_fd = os.open(replica.data_path, flags, 0o644)
    try:
        meta_fd = os.open(replica.meta_path, flags, 0o644)
        try:
            if new:
                pwrite_all(meta_fd, layout.META_HEADER, 0)
        except OSError:
            os.close(meta_fd)
            raise
    except OSError:
        os.close(data_fd)
        raise
    return data_fd, meta_fd
