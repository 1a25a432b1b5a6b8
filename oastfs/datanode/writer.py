"""Writing one replica: data and checksums together, in place or at the end, crash-consistent.

The one writer of a replica is a ``ReplicaWriter``. A later one with a newer generation stamp fences it: from
then on every call raises StaleBlock. See ``journal.py`` for what a crash leaves behind, and
``small_writer.py`` for a writer that begins without files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from oastfs.core.errors import CorruptBlock, FileTooLarge, NoDatanodes, ProtocolError, StaleBlock
from oastfs.core.limits import BLOCK_SIZE_BYTES_MAX, BYTES_PER_CHECKSUM
from oastfs.datanode import layout
from oastfs.datanode.disk import start_writeback
from oastfs.datanode.held import open_to_write
from oastfs.datanode.journal import Journal
from oastfs.datanode.latch import Latch
from oastfs.datanode.layout import checksum_offset, pwrite_all
from oastfs.datanode.replica import Replica
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, Buffer, ChecksumKind, checksum_chunks, crc32c

WRITEBACK_BYTES = 8 * 1024 * 1024
"""The kernel is asked to start writing to disk whenever this much has been written."""

_ZERO_CHECKSUM = crc32c(bytes(BYTES_PER_CHECKSUM)).to_bytes(4, "big")
_GAP_BATCH_CHUNKS = 64 * 1024
_IOV_MAX = 1024


class ReplicaWriter:
    """Writes to one replica until ``finalize`` or ``abort``. Used by one thread; ``fence`` by any."""

    _journal: Journal
    _data_fd: int
    _meta_fd: int

    def __init__(
        self, replica: Replica, journal: Journal | None, on_corrupt: Callable[[Replica], None], *, new: bool
    ) -> None:
        self.replica = replica
        self._on_corrupt = on_corrupt
        self._names_durable = not new
        """Whether the directory has been synced since a name in it changed."""
        self._journal_named = False
        self._durable_length = 0
        """Bytes below this must survive a crash: overwriting them is journalled first."""
        self._unwritten_bytes = 0
        self._fenced = False
        self._on_fence: Callable[[], None] = lambda: None
        self.closed = Latch()
        self.is_new = new
        self._has_files = False
        if journal is not None:
            self._open(journal)

    def _open(self, journal: Journal) -> None:
        try:
            self._data_fd, self._meta_fd = open_to_write(self.replica, self.is_new)
        except OSError:
            journal.close()
            raise
        self._journal = journal
        self._durable_length = journal.durable_length
        self._has_files = True

    @property
    def in_memory(self) -> bool:
        """Whether there are no files yet."""
        return False

    def to_files(self) -> None:
        """Have what is in memory put into files."""

    # --- fencing --------------------------------------------------------------------------------

    def on_fence(self, callback: Callable[[], None]) -> None:
        """Call this (from another thread) when the writer is fenced, to end a wait on the network."""
        self._on_fence = callback
        if self._fenced:
            callback()

    def fence(self) -> None:
        """Let every later call fail; ``closed`` is set once the writer has let go."""
        self._fenced = True
        self._on_fence()

    @property
    def fenced(self) -> bool:
        return self._fenced

    def _check(self) -> None:
        if self._fenced:
            raise StaleBlock(f"block {self.replica.block_id} has a newer writer")
        if self.closed.is_set():
            raise StaleBlock(f"block {self.replica.block_id} was closed")

    # --- writing --------------------------------------------------------------------------------

    def write(self, offset: int, pieces: Sequence[Buffer], checksums: Sequence[Buffer] | None) -> None:
        """Write ``pieces``, which follow each other, at ``offset``.

        ``checksums`` are CRC32C per 512 bytes of each piece, to be stored as they came; None to compute
        them here. They are also computed where chunks are only partly written. The caller has
        verified what it wants verified.
        """
        self._check()
        size = sum(map(len, pieces))
        if offset + size > BLOCK_SIZE_BYTES_MAX:
            raise FileTooLarge(f"a block may not be longer than {BLOCK_SIZE_BYTES_MAX} bytes")
        if not size:
            return
        replica = self.replica
        with replica.lock:
            self._check()
            if offset > replica.length:
                self._fill_gap(offset)
            self._protect(offset, offset + size)
            if checksums is not None and self._is_aligned(offset, pieces):
                self._write_aligned(offset, pieces, checksums)
            else:
                self._write_chunks(offset, b"".join(pieces))
            self._grow(offset + size)
        self._note_unwritten(size)

    def lend(self) -> int:
        """The data file's descriptor, to be passed to a writer that puts bytes at its end itself."""
        self._check()
        self._journal.begin_loan()
        return self._data_fd

    def place(self, offset: int, size: int, checksums: Buffer) -> None:
        """Take in ``size`` bytes that the borrower has put behind all others, with the CRC32C of each chunk.

        Raises ProtocolError unless they are there, on whole chunks.
        """
        self._check()
        replica = self.replica
        if not self._has_files or not self._journal.lent:
            raise ProtocolError(f"the file of block {replica.block_id} is not lent")
        end = offset + size
        if end > BLOCK_SIZE_BYTES_MAX:
            raise FileTooLarge(f"a block may not be longer than {BLOCK_SIZE_BYTES_MAX} bytes")
        with replica.lock:
            self._check()
            follows = offset == replica.length and offset % BYTES_PER_CHECKSUM == 0
            if not follows or os.fstat(self._data_fd).st_size < end:
                raise ProtocolError(f"bytes {offset} to {end} were not put into block {replica.block_id}")
            pwrite_all(self._meta_fd, checksums, checksum_offset(offset // BYTES_PER_CHECKSUM))
            self._grow(end)
        self._note_unwritten(size)

    def _note_unwritten(self, size: int) -> None:
        self._unwritten_bytes += size
        if self._unwritten_bytes >= WRITEBACK_BYTES:
            self._unwritten_bytes = 0
            start_writeback(self._data_fd, 0, 0)
            self._check_room(WRITEBACK_BYTES)

    def _check_room(self, size: int) -> None:
        if self.replica.volume.space()[1] < size:
            raise NoDatanodes(f"volume {self.replica.volume.path} is full")

    def _grow(self, end: int) -> None:
        replica = self.replica
        if end > replica.length:
            replica.volume.add_used(end - replica.length)
            replica.length = end

    def _protect(self, start: int, end: int) -> None:
        """Journal the part of a write that changes durable chunks, before it does."""
        journal = self._journal
        # A partial chunk's checksum covers durable bytes also when the write begins behind them.
        start -= start % BYTES_PER_CHECKSUM
        end = min(end, self._durable_length)
        if start >= end or journal.is_marked(start, end):
            return
        if journal.durable_length != self._durable_length:
            journal.set_durable_length(self._durable_length)
        journal.mark(start, end)
        self._name_journal()

    def _name_journal(self) -> None:
        """Make the journal's own name durable, once."""
        if not self._journal_named:
            layout.sync_directory(self._journal.path.parent)
            self._journal_named = True

    def _is_aligned(self, offset: int, pieces: Sequence[Buffer]) -> bool:
        """Whether the write consists of whole chunks, so that checksums can be stored as they came."""
        if offset % BYTES_PER_CHECKSUM:
            return False
        if any(len(piece) % BYTES_PER_CHECKSUM for piece in pieces[:-1]):
            return False
        end = offset + sum(map(len, pieces))
        return end % BYTES_PER_CHECKSUM == 0 or end >= self.replica.length

    def _write_aligned(self, offset: int, pieces: Sequence[Buffer], checksums: Sequence[Buffer]) -> None:
        at = offset
        for first in range(0, len(pieces), _IOV_MAX):
            batch = pieces[first : first + _IOV_MAX]
            wanted = sum(map(len, batch))
            written = os.pwritev(self._data_fd, batch, at)
            if written != wanted:
                pwrite_all(self._data_fd, b"".join(batch)[written:], at + written)
            at += wanted
        joined = checksums[0] if len(checksums) == 1 else b"".join(checksums)
        pwrite_all(self._meta_fd, joined, checksum_offset(offset // BYTES_PER_CHECKSUM))

    def _write_chunks(self, offset: int, data: bytes) -> None:
        """Write any byte range, computing the checksums of the chunks that it touches."""
        start = offset - offset % BYTES_PER_CHECKSUM
        end = offset + len(data)
        head = self._read_verified(start)[: offset - start] if start < offset else b""
        last = end - end % BYTES_PER_CHECKSUM
        tail = b""
        if last < end < self.replica.length:
            tail = self._read_verified(last)[end - last :]
        covering = b"".join((head, data, tail))
        checksums = checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, covering)
        pwrite_all(self._data_fd, data, offset)
        pwrite_all(self._meta_fd, checksums, checksum_offset(start // BYTES_PER_CHECKSUM))

    def _read_verified(self, start: int) -> bytes:
        """One stored chunk; CorruptBlock rather than giving bad bytes a good checksum."""
        replica = self.replica
        size = min(BYTES_PER_CHECKSUM, replica.length - start)
        data = os.pread(self._data_fd, size, start)
        stored = os.pread(self._meta_fd, CHECKSUM_BYTES, checksum_offset(start // BYTES_PER_CHECKSUM))
        if len(data) != size or crc32c(data).to_bytes(4, "big") != stored:
            self._on_corrupt(replica)
            raise CorruptBlock(f"block {replica.block_id} does not match its checksum at byte {start}")
        return data

    def _fill_gap(self, end: int) -> None:
        """Make the replica zeros from its length up to ``end``: a hole, and checksums of zeros."""
        length = self.replica.length
        partial = length % BYTES_PER_CHECKSUM
        if partial:
            first = min(BYTES_PER_CHECKSUM - partial, end - length)
            self._protect(length - partial, length + first)
            self._write_chunks(length, bytes(first))
            self._grow(length + first)
        length = self.replica.length
        if length == end:
            return
        self._check_room(layout.meta_length(end) - layout.meta_length(length))
        os.ftruncate(self._data_fd, end)
        chunk, full_end = length // BYTES_PER_CHECKSUM, end // BYTES_PER_CHECKSUM
        while chunk < full_end:
            count = min(full_end - chunk, _GAP_BATCH_CHUNKS)
            pwrite_all(self._meta_fd, _ZERO_CHECKSUM * count, checksum_offset(chunk))
            chunk += count
        rest = end % BYTES_PER_CHECKSUM
        if rest:
            pwrite_all(self._meta_fd, crc32c(bytes(rest)).to_bytes(4, "big"), checksum_offset(chunk))
        self._grow(end)

    def truncate(self, length: int) -> None:
        """Cut off what is beyond ``length`` bytes: it was truncated, or never acknowledged."""
        self._check()
        replica = self.replica
        with replica.lock:
            if length >= replica.length:
                return
            start = length - length % BYTES_PER_CHECKSUM
            kept = self._read_verified(start)[: length - start] if start < length else b""
            self._durable_length = min(self._durable_length, length)
            self._journal.set_durable_length(self._durable_length)
            self._journal.mark(start, length + 1)
            self._name_journal()
            os.ftruncate(self._data_fd, length)
            if kept:
                chunk = start // BYTES_PER_CHECKSUM
                pwrite_all(self._meta_fd, crc32c(kept).to_bytes(4, "big"), checksum_offset(chunk))
            os.ftruncate(self._meta_fd, layout.meta_length(length))
            replica.volume.add_used(length - replica.length)
            replica.length = length
            replica.visible_length = min(replica.visible_length, length)

    def set_stamp(self, generation_stamp: int) -> None:
        """Give the replica a newer stamp. The files stay the same; durable with the next ``sync``."""
        replica = self.replica
        if generation_stamp == replica.generation_stamp:
            return
        with replica.lock:
            old = replica.meta_path
            new = layout.meta_path(replica.volume.blocks, replica.block_id, generation_stamp)
            old.rename(new)
            replica.generation_stamp = generation_stamp
        self._names_durable = False

    def content(self) -> bytes:
        """All of a small replica's bytes, as they are now."""
        self._check()
        return os.pread(self._data_fd, self.replica.length, 0)

    # --- the end --------------------------------------------------------------------------------

    def sync(self) -> None:
        """Make everything written so far durable: data, checksums, names."""
        self._check()
        length = self.replica.length
        os.fdatasync(self._data_fd)
        os.fdatasync(self._meta_fd)
        if not self._names_durable:
            layout.sync_directory(self._journal.path.parent)
            self._names_durable = self._journal_named = True
        self._durable_length = length

    def finalize(self, *, sync: bool = True) -> None:
        """Make the replica final (and durable, with ``sync``), and let go of it."""
        self._check()
        if sync:
            self.sync()
        replica = self.replica
        with replica.lock:
            self._check()
            if self._has_files:
                if self._journal.lent and os.fstat(self._data_fd).st_size > replica.length:
                    os.ftruncate(self._data_fd, replica.length)  # what the borrower told nobody of
                self._journal.remove()
            replica.final = True
            replica.temporary = False
            replica.visible_length = replica.length
        self._release()

    def keep(self, *, sync: bool = True) -> None:
        """End a copy of an unfinished replica: it is whole, and stays being written for a later writer."""
        if sync:
            self.sync()
        self._journal.temporary = self.replica.temporary = False
        self._journal.set_durable_length(self._durable_length)
        self.abort()

    def abort(self) -> None:
        """Let go of the replica as it is: being written, for a later writer or a recovery to settle."""
        if self.closed.is_set():
            return
        try:
            if self._has_files:
                if self._durable_length > self._journal.durable_length:
                    self._journal.set_durable_length(self._durable_length)
                self._journal.close()
        finally:
            self.replica.visible_length = self.replica.length
            self._release()

    def _release(self) -> None:
        replica = self.replica
        replica.epoch += 1
        replica.writer = None
        self.closed.set()
        if self._has_files:
            os.close(self._data_fd)
            os.close(self._meta_fd)
