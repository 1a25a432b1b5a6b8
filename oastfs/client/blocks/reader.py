"""Reading one block from its replicas: the nearest first, the next when one fails."""

from __future__ import annotations

import threading

from oastfs.client.blocks.short_circuit import LocalReplica
from oastfs.client.blocks.stream import BlockStream
from oastfs.client.file_context import FileContext
from oastfs.core.errors import BlockNotFound, ConnectionLost, CorruptBlock, OastError
from oastfs.core.types import LocatedBlock, Location

STREAM_BYTES_MIN = 4 * 1024 * 1024
"""Sequential reads have the datanode send this much ahead at first, and ever more later."""
STREAM_BYTES_MAX = 128 * 1024 * 1024
LOCAL_BYTES_MAX = 4 * 1024 * 1024
SKIP_BYTES_MAX = 256 * 1024
"""A reader that jumps ahead by no more than this keeps its stream."""


class BlockReader:
    """Reads blocks of one file. Safe for many threads; one of them at a time may stream."""

    def __init__(self, context: FileContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._stream: BlockStream | None = None
        self._stream_version = 0
        self._next = -1
        """File offset that a sequential reader would ask for next."""
        self._ahead_bytes = STREAM_BYTES_MIN

    def close(self) -> None:
        """End a stream that is open."""
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def read_into(self, block: LocatedBlock, offset: int, target: memoryview, version: int = 0) -> None:
        """Fill ``target`` from byte ``offset`` of a block. Raises the last error if no replica serves.

        ``version`` is another one whenever the file was written here: a block that is written under one
        generation stamp does not show that, and a stream may hold what was there before. Corrupt replicas
        are reported to the namenode.
        """
        datanodes = self._context.session.datanodes
        failure: OastError = BlockNotFound(f"no live datanode has block {block.block_id}")
        for location in datanodes.ordered(block.locations):
            try:
                if self._read_local(block, location, offset, target):
                    return
                self._read_remote(block, location, offset, target, version)
                return
            except CorruptBlock as error:
                failure = error
                self._report(block, location)
            except OastError as error:
                failure = error
                if isinstance(error, (ConnectionLost, TimeoutError)):
                    datanodes.suspect(location)
        raise failure

    def read_local(self, block: LocatedBlock, offset: int, size: int) -> bytes | None:
        """Bytes of a block by a passed descriptor, if that is the way to read it and nothing goes wrong."""
        session = self._context.session
        datanodes = session.datanodes
        if not block.locations or size > LOCAL_BYTES_MAX:
            return None
        location = datanodes.ordered(block.locations)[0]
        replica = datanodes.local.find(block, location) if datanodes.is_local(location) else None
        if replica is None:
            return None
        try:
            return replica.read(offset, size, verify=session.verify_local_reads)
        except OSError:
            return None  # ``read_into`` finds out what it is

    def _read_local(self, block: LocatedBlock, location: Location, offset: int, target: memoryview) -> bool:
        session = self._context.session
        datanodes = session.datanodes
        if not datanodes.is_local(location):
            return False
        replica: LocalReplica | None = datanodes.local.find(block, location)
        if replica is None:
            return False
        try:
            replica.read_into(offset, target, verify=session.verify_local_reads)
        except OSError:
            # Perhaps it is being overwritten at this moment, or was made anew: the datanode knows.
            datanodes.local.forget(block.block_id)
            return False
        return True

    def _report(self, block: LocatedBlock, location: Location) -> None:
        context = self._context
        try:
            context.metadata.report_bad_blocks(context.caller, [(block.block_id, location.storage_id)])
        except OastError:
            pass  # the datanode's own scrubber will find it

    # --- over the network -------------------------------------------------------------------------

    def _read_remote(
        self, block: LocatedBlock, location: Location, offset: int, target: memoryview, version: int
    ) -> None:
        position = block.offset + offset
        end = position + len(target)
        if not self._lock.acquire(blocking=False):
            self._read_once(block, location, offset, target)
            return
        try:
            if self._continue_stream(block, location, offset, target, version):
                self._next = end
                return
            sequential = position == self._next
            self._next = end
            if not sequential:
                self._ahead_bytes = STREAM_BYTES_MIN
                self._read_once(block, location, offset, target)
                return
            length = min(max(self._ahead_bytes, len(target)), block.length - offset)
            self._ahead_bytes = min(2 * self._ahead_bytes, STREAM_BYTES_MAX)
            stream = BlockStream.open(self._context.session.datanodes, block, location, offset, length)
            self._stream, self._stream_version = stream, version
            self._consume(stream, target)
        finally:
            self._lock.release()

    def _continue_stream(
        self, block: LocatedBlock, location: Location, offset: int, target: memoryview, version: int
    ) -> bool:
        """Read from the stream that is open, if it is at the right place."""
        stream = self._stream
        if stream is None:
            return False
        serves = (
            self._stream_version == version
            and stream.block_id == block.block_id
            and stream.generation_stamp >= block.generation_stamp
            and stream.location == location
            and stream.position <= offset <= stream.position + SKIP_BYTES_MAX
            and offset + len(target) <= stream.end
        )
        if not serves:
            self._stream = None
            stream.close()
            return False
        try:
            stream.skip(offset - stream.position)
            self._consume(stream, target)
        except ConnectionLost:
            return False  # it was idle for too long; a new one shows whether the datanode lives
        return True

    def _consume(self, stream: BlockStream, target: memoryview) -> None:
        try:
            stream.read_into(target)
        except BaseException:
            self._stream = None
            stream.close()
            raise
        if stream.position == stream.end:
            self._stream = None
            stream.close()

    def _read_once(self, block: LocatedBlock, location: Location, offset: int, target: memoryview) -> None:
        datanodes = self._context.session.datanodes
        stream = BlockStream.open(datanodes, block, location, offset, len(target))
        try:
            stream.read_into(target)
        finally:
            stream.close()
