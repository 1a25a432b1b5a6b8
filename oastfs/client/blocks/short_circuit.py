"""Reading replicas on this machine without the datanode: it passes their open files once.

Updates are made in place, so descriptors show them; a block made anew has other files, and a newer
stamp. A chunk that is being overwritten at the moment may not match its checksum.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict

from oastfs.client.blocks.verify import CHECKSUM_BYTES, matches
from oastfs.core.errors import BlockNotFound, CorruptBlock, OastError
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.core.types import LocatedBlock, Location
from oastfs.wire.transfer import BlockId, TransferConnection

REPLICAS_MAX = 256
REFUSED_SECONDS = 30.0
"""A datanode that does not pass descriptors is not asked again for this long."""
META_HEADER_BYTES = 7
_BATCH_BYTES = 4 * 1024 * 1024


class LocalReplica:
    """Open files of one replica; closed when nobody refers to it any more."""

    __slots__ = ("block_id", "data_fd", "generation_stamp", "meta_fd")

    def __init__(self, block: BlockId, data_fd: int, meta_fd: int) -> None:
        self.block_id = block.block_id
        self.generation_stamp = block.generation_stamp
        self.data_fd = data_fd
        self.meta_fd = meta_fd

    def __del__(self) -> None:
        os.close(self.data_fd)
        os.close(self.meta_fd)

    def read_into(self, offset: int, target: memoryview, *, verify: bool) -> None:
        """Fill ``target`` from byte ``offset``. Raises CorruptBlock, BlockNotFound if it is too short."""
        if not verify:
            if _read_all(self.data_fd, [target], offset) < len(target):
                raise BlockNotFound(f"block {self.block_id} is shorter than it should be")
            return
        for at in range(0, len(target), _BATCH_BYTES):
            self._read_verified(offset + at, target[at : at + _BATCH_BYTES])

    def read(self, offset: int, size: int, *, verify: bool) -> bytes:
        """``size`` bytes from ``offset``, as ``read_into`` but without a buffer to be filled before."""
        start = offset - offset % BYTES_PER_CHECKSUM if verify else offset
        end = offset + size + (-(offset + size) % BYTES_PER_CHECKSUM if verify else 0)
        data = os.pread(self.data_fd, end - start, start)
        if len(data) < offset + size - start:
            raise BlockNotFound(f"block {self.block_id} is shorter than it should be")
        if verify and not matches(b"", memoryview(data), b"", self._sums(start, len(data))):
            raise CorruptBlock(f"block {self.block_id} does not match its checksums near byte {offset}")
        return data if len(data) == size else data[offset - start : offset - start + size]

    def _sums(self, start: int, size: int) -> bytes:
        """The stored checksums of ``size`` bytes from ``start``, which begins a chunk."""
        count = -(-size // BYTES_PER_CHECKSUM)
        where = META_HEADER_BYTES + start // BYTES_PER_CHECKSUM * CHECKSUM_BYTES
        return os.pread(self.meta_fd, count * CHECKSUM_BYTES, where)

    def _read_verified(self, offset: int, target: memoryview) -> None:
        """Whole chunks are read, with scratch space for what is not wanted of the first and the last."""
        size = len(target)
        before = offset % BYTES_PER_CHECKSUM
        after = -(offset + size) % BYTES_PER_CHECKSUM
        head, tail = bytearray(before), bytearray(after)
        start = offset - before
        count = _read_all(self.data_fd, [memoryview(head), target, memoryview(tail)], start)
        if count < before + size:
            raise BlockNotFound(f"block {self.block_id} is shorter than it should be")
        rest = bytes(memoryview(tail)[: count - before - size])
        if not matches(bytes(head), target, rest, self._sums(start, count)):
            raise CorruptBlock(f"block {self.block_id} does not match its checksums near byte {offset}")


class LocalReplicas:
    """A bounded cache of ``LocalReplica``, least recently used out first. Safe for many threads."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._replicas: OrderedDict[int, LocalReplica] = OrderedDict()
        self._refused: dict[str, float] = {}

    def close(self) -> None:
        """Let go of all descriptors that nobody is reading from."""
        with self._lock:
            self._replicas.clear()

    def find(self, block: LocatedBlock, location: Location) -> LocalReplica | None:
        """The replica's open files, or None if they cannot be had from this datanode."""
        with self._lock:
            replica = self._replicas.get(block.block_id)
            if replica is not None and replica.generation_stamp >= block.generation_stamp:
                self._replicas.move_to_end(block.block_id)
                return replica
        return self._fetch(block, location)

    def forget(self, block_id: int) -> None:
        """The descriptors did not serve."""
        with self._lock:
            self._replicas.pop(block_id, None)

    def _fetch(self, block: LocatedBlock, location: Location) -> LocalReplica | None:
        if self._refused.get(location.local_socket, 0.0) > time.monotonic():
            return None
        wanted = BlockId(block.block_id, block.generation_stamp)
        try:
            with TransferConnection.open_local(location.local_socket, self._timeout_seconds) as connection:
                replica = LocalReplica(wanted, *connection.request_descriptors(wanted))
        except BlockNotFound:
            return None
        except OastError:
            self._refused[location.local_socket] = time.monotonic() + REFUSED_SECONDS
            return None
        with self._lock:
            self._replicas[block.block_id] = replica
            self._replicas.move_to_end(block.block_id)
            while len(self._replicas) > REPLICAS_MAX:
                self._replicas.popitem(last=False)
        return replica


def _read_all(fd: int, buffers: list[memoryview], offset: int) -> int:
    """preadv(2) until all is read or the file ends; the bytes read."""
    total = os.preadv(fd, buffers, offset)
    wanted = sum(map(len, buffers))
    while total < wanted:
        skip, rest = total, []
        for buffer in buffers:
            if skip < len(buffer):
                rest.append(buffer[skip:])
            skip = max(0, skip - len(buffer))
        count = os.preadv(fd, rest, offset + total)
        if count == 0:
            break
        total += count
    return total
