"""Reading ranges of a replica with the checksums that belong to them, also while it is being written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from oastfs.core.errors import BlockNotFound, CorruptBlock
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.datanode import layout
from oastfs.datanode.held import put_into_files
from oastfs.datanode.layout import checksum_offset, chunk_count
from oastfs.datanode.replica import Replica
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, ChecksumKind, first_bad_chunk

_CHECK_BYTES = 1024 * 1024


class ReplicaReader:
    """The open files of one replica. Close it after use; deletion meanwhile does not disturb it."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.data_fd, self.meta_fd = open_files(replica)

    def __enter__(self) -> ReplicaReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both files."""
        os.close(self.data_fd)
        os.close(self.meta_fd)

    def read_into(self, start: int, data: Sequence[memoryview], checksums: Sequence[memoryview]) -> int:
        """Fill ``data`` from byte ``start`` (a chunk's beginning) and ``checksums`` with theirs.

        Returns the bytes of data read: fewer than asked where the replica ends. Data and checksums are
        of one moment: no write comes between them.
        """
        replica = self.replica
        epoch = replica.epoch
        if replica.writer is None:
            count = self._read(start, data, checksums)
            if replica.epoch == epoch and replica.writer is None:
                return count
        with replica.lock:
            return self._read(start, data, checksums)

    def batches(self, length: int, batch_bytes: int) -> Iterator[tuple[memoryview, memoryview]]:
        """(data, checksums) of the first ``length`` bytes, a batch at a time; views into one buffer."""
        data = memoryview(bytearray(min(length, batch_bytes)))
        checksums = memoryview(bytearray(chunk_count(len(data)) * CHECKSUM_BYTES))
        for start in range(0, length, batch_bytes):
            size = min(batch_bytes, length - start)
            piece, sums = data[:size], checksums[: chunk_count(size) * CHECKSUM_BYTES]
            if self.read_into(start, [piece], [sums]) < size:
                raise CorruptBlock(f"block {self.replica.block_id} is shorter than it should be")
            yield piece, sums

    def holds(self, start: int, end: int) -> bool:
        """Whether the bytes from ``start`` (a chunk's beginning) to ``end`` match their checksums."""
        for at in range(start, end, _CHECK_BYTES):
            size = min(_CHECK_BYTES, end - at)
            data = memoryview(bytearray(size))
            checksums = memoryview(bytearray(chunk_count(size) * CHECKSUM_BYTES))
            if self.read_into(at, [data], [checksums]) < size:
                return False
            if first_bad_chunk(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data, checksums) is not None:
                return False
        return True

    def _read(self, start: int, data: Sequence[memoryview], checksums: Sequence[memoryview]) -> int:
        count = _preadv_all(self.data_fd, data, start)
        if checksums:
            wanted = chunk_count(count) * CHECKSUM_BYTES
            where = checksum_offset(start // BYTES_PER_CHECKSUM)
            if _preadv_all(self.meta_fd, checksums, where) < wanted:
                raise CorruptBlock(f"block {self.replica.block_id} lacks checksums")
        return count


def sync_files(replica: Replica) -> None:
    """Make all of a final replica durable, names included. Raises BlockNotFound."""
    with replica.volume.guard(), ReplicaReader(replica) as reader:
        os.fdatasync(reader.data_fd)
        os.fdatasync(reader.meta_fd)
        layout.sync_directory(replica.data_path.parent)


def read_all(replica: Replica) -> bytes:
    """The content of a small final replica. Raises BlockNotFound, CorruptBlock."""
    with replica.lock:
        if (held := replica.held) is not None:
            return bytes(held.data)
    with ReplicaReader(replica) as reader:
        return b"".join(bytes(data) for data, _ in reader.batches(replica.length, _CHECK_BYTES))


def open_files(replica: Replica) -> tuple[int, int]:
    """Descriptors of data and checksums, for reading only; held replicas get files. Raises BlockNotFound.

    The checksum file's name changes with the stamp: if it is not there, look again while no writer can
    be renaming it.
    """
    if replica.held is not None:
        put_into_files(replica)
    with replica.volume.guard():
        try:
            return _open_both(replica)
        except FileNotFoundError:
            pass
        with replica.lock:
            try:
                return _open_both(replica)
            except FileNotFoundError:
                raise BlockNotFound(f"the files of block {replica.block_id} are gone") from None


def _open_both(replica: Replica) -> tuple[int, int]:
    data_fd = os.open(replica.data_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return data_fd, os.open(replica.meta_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(data_fd)
        raise


def _preadv_all(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
    """preadv(2) until all is read or the file ends."""
    total = os.preadv(fd, buffers, offset)
    wanted = sum(map(len, buffers))
    while total < wanted:
        rest = _skip(buffers, total)
        count = os.preadv(fd, rest, offset + total)
        if count == 0:
            break
        total += count
    return total


def _skip(buffers: Sequence[memoryview], count: int) -> list[memoryview]:
    rest = []
    for buffer in buffers:
        if count >= len(buffer):
            count -= len(buffer)
        else:
            rest.append(buffer[count:])
            count = 0
    return rest
