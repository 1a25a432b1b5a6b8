"""What a namenode serves as blocks: the content of inline files, and the zeros of holes.

A block's id names the inode, so a read needs no path. Permission was checked when the locations were
given out, as in HDFS without block tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from oastfs.core.errors import BlockNotFound
from oastfs.core.inline_blocks import inode_of, is_hole, is_inline
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.namenode.content import read_inline
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.deferred import read_threads
from oastfs.wire.transfer.memory import MemoryBlock

T = TypeVar("T")


class InlineBlocks:
    """Reads them from the store. ``reads_at_once``: without waiting, so that the event loop may do it."""

    def __init__(self, namespace: Namespace, threads: int = 0) -> None:
        self._read = namespace.store.read
        self.reads_at_once = namespace.store.reads_inline
        threads = threads or read_threads(self.reads_at_once)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="inline-read")

    def close(self) -> None:
        """Wait for reads under way. Calls after it fail."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def find(self, block_id: int, length: int) -> MemoryBlock:
        """The block of a request that gives it ``length`` bytes. Raises BlockNotFound."""
        if is_inline(block_id):
            inode_id = inode_of(block_id)
            data, file_length = self._read(lambda tx: read_inline(tx, inode_id))
            return MemoryBlock(block_id, data, file_length)
        if is_hole(block_id):
            return MemoryBlock(block_id, b"", min(length, FILE_BYTES_MAX))
        raise BlockNotFound(f"block {block_id} is not on this namenode")

    def on_thread(self, function: Callable[[], T]) -> Future[T]:
        """Run what waits for the store."""
        return self._threads.submit(function)
