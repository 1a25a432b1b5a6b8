"""The content of a file in blocks: reading it, and writing it so that a commit makes it count.

Its owner's lock guards everything but the transfer of data that is read.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from oastfs.client.blocks.layout import BlockLayout
from oastfs.client.blocks.reader import BlockReader
from oastfs.client.blocks.writer import BlockGone, BlockWriter
from oastfs.client.file_context import FileContext
from oastfs.core.errors import (
    BlockNotFound,
    ConnectionLost,
    CorruptBlock,
    DeadlineExceeded,
    LeaseExpired,
    OastError,
    StaleBlock,
)
from oastfs.core.types import BlockCommit, FileStatus, LocatedBlock, Opened

PIPELINES_MAX = 16
"""Blocks of one file that are open for writing at the same time."""
FINISHING_MAX = 2
"""Full blocks of one file that datanodes bring to disk while the next one is written."""
KEPT_BYTES_MAX = 32 * 1024 * 1024
"""What was sent is kept until it is committed; it is committed when it comes to this much."""
CORRUPT_SECONDS = 3.0
"""For this long other replicas are looked for when all are corrupt or missing."""
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 0.02, 1.0


class BlockContent:
    """What the filesystem has of a file in blocks, and the writers of some of them."""

    def __init__(
        self, context: FileContext, lock: threading.RLock, opened: Opened | None, *, fresh: bool = False
    ) -> None:
        """``fresh``: the file was inline until now, and its first commit has to bring all of it."""
        self._context = context
        self._lock = lock
        self._layout = BlockLayout(context, None if fresh else opened)
        if fresh:
            self._layout.empty()
        self._fresh = fresh
        self._reader = BlockReader(context)
        self._writers: dict[int, BlockWriter] = {}
        self._written = 0
        """Goes up with each write: what a datanode sent in advance before that is out of date."""
        self._homeless: list[tuple[int, list[memoryview]]] = []
        """What was written to blocks that are gone: (offset, pieces) to be written before anything else."""

    def forget(self) -> None:
        """The file was changed by others: look for its blocks anew."""
        self._layout.forget()
        self._reader.close()

    # --- reading --------------------------------------------------------------------------------

    def read_local(self, offset: int, size: int) -> bytes | None:
        """Bytes inside of one block on this machine, in one go; None if that is not how it is.

        Called without the lock.
        """
        block = None if self._writers else self._layout.covering(offset, offset + size)
        if block is None:
            with self._lock:
                segments = self._segments(offset, offset + size)
            block = segments[0][2] if len(segments) == 1 else None
        return None if block is None else self._reader.read_local(block, offset - block.offset, size)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` from ``offset``; what no block covers is zeros. Called without the lock."""
        began = time.monotonic()
        pause = PAUSE_SECONDS_FIRST
        while True:
            with self._lock:
                segments, written = self._segments(offset, offset + len(target)), self._written
            try:
                for start, end, block in segments:
                    self._read_segment(start, block, target[start - offset : end - offset], written)
                return
            except (BlockNotFound, CorruptBlock, ConnectionLost, DeadlineExceeded) as error:
                limit = self._context.session.timeout_seconds
                if isinstance(error, (BlockNotFound, CorruptBlock)):
                    limit = min(limit, CORRUPT_SECONDS)
                if time.monotonic() - began + pause > limit:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
                # Where the blocks are may have changed since they were looked for.
                self._layout.forget()

    def _segments(self, start: int, end: int) -> list[tuple[int, int, LocatedBlock | None]]:
        """Where the bytes are, once what was written here has arrived there."""
        self._rehome()
        for writer in list(self._writers.values()):
            if writer.needs_commit and writer.start < end and start < writer.limit:
                self._guarded(writer.settle)
        for writer in self._writers.values():
            if writer.needs_commit:
                self._layout.pin(writer.located())
        return list(self._layout.segments(start, end))

    def _read_segment(self, start: int, block: LocatedBlock | None, target: memoryview, written: int) -> None:
        if block is not None:
            self._reader.read_into(block, start - block.offset, target, written)
            return
        data = self._layout.inline or b""
        found = memoryview(data)[start : start + len(target)]
        target[: len(found)] = found
        if len(found) < len(target):
            target[len(found) :] = bytes(len(target) - len(found))

    # --- writing --------------------------------------------------------------------------------

    def write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        """Send ``pieces``, which follow each other from ``offset``."""
        self._rehome()
        self._write(offset, pieces)
        if sum(writer.kept_bytes for writer in self._writers.values()) > KEPT_BYTES_MAX:
            self._commit_some()

    def _write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        self._written += 1
        rest = list(pieces)
        while rest:
            writer = self._writer_at(offset)
            part, rest, size = _split(rest, writer.limit - offset)
            at = offset - writer.start
            offset += size
            try:
                writer.write(at, part)
                if offset == writer.limit:
                    self._begin_finish(writer)
            except BlockGone as gone:
                self._evict(gone.writer)
                self._homeless.extend([(offset, rest)] if rest else [])
                self._rehome()
                return

    def _begin_finish(self, writer: BlockWriter) -> None:
        """A block is full: the next one can be written while datanodes bring this one to disk."""
        writer.begin_finish()
        finishing = [one for one in self._writers.values() if one.is_finishing]
        for one in finishing:
            one.poll()
        if len(finishing) > FINISHING_MAX:
            finishing[0].finish()

    def push(self) -> None:
        """Put everything on its way."""
        for writer in list(self._writers.values()):
            self._guarded(writer.push)

    def _writer_at(self, offset: int) -> BlockWriter:
        for writer in self._writers.values():
            if writer.start <= offset < writer.limit:
                if not writer.is_open and writer.needs_commit:
                    # To be written again it has to be begun again, which is only good for what is committed.
                    self.flush(sync=False, final=False)
                    return self._writer_at(offset)
                return writer
        is_open = [writer for writer in self._writers.values() if writer.is_open]
        if len(is_open) >= PIPELINES_MAX:
            oldest = min(is_open, key=lambda writer: writer.last_used)
            self._guarded(oldest.finish)
        place = self._layout.place(offset)
        if place.block is None:
            # Not over one that is being made, either: blocks need not begin at multiples of their size.
            ends = [one.limit for one in self._writers.values() if one.limit <= offset]
            place = place._replace(start=max([place.start, *ends]))
        writer = BlockWriter(self._context, place.start, place.limit, place.block)
        for other in self._writers.values():
            if place.start < other.start:
                writer.limit = min(writer.limit, other.start)
        self._writers[place.start] = writer
        return writer

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something with a writer; if its block is gone, what it kept goes elsewhere."""
        try:
            action()
        except BlockGone as gone:
            self._evict(gone.writer)
            self._rehome()

    def _evict(self, writer: BlockWriter) -> None:
        """The block was cut off by another writer: its bytes go where they belong by now."""
        self._homeless += [(writer.start + one.offset, one.pieces) for one in writer.take_kept()]
        if self._writers.get(writer.start) is writer:
            del self._writers[writer.start]
        self._layout.unpin(writer.start, None)
        self._layout.forget()

    def _rehome(self) -> None:
        """Write again what was in blocks that are gone. What cannot be written waits for the next call."""
        homeless, self._homeless = self._homeless, []
        for number, (offset, pieces) in enumerate(homeless):
            try:
                self._write(offset, pieces)
            except BaseException:
                self._homeless = homeless[number:] + self._homeless
                raise

    # --- committing -----------------------------------------------------------------------------

    def flush(self, *, sync: bool, final: bool) -> FileStatus | None:
        """Have everything that was written on all replicas, on disk if ``sync``, and commit it.

        ``final`` ends the write. Answers the status, or None if there was nothing to tell.
        """
        began = time.monotonic()
        while True:
            try:
                self._rehome()
                for writer in list(self._writers.values()):
                    if final or not writer.is_open:
                        writer.finish()
                    elif sync:
                        writer.sync()
                    else:
                        writer.settle()
                return self._commit(final)
            except BlockGone as gone:
                failure: OastError = gone
                self._evict(gone.writer)
            except (StaleBlock, LeaseExpired) as error:
                failure = error
                self._begin_again(error)
            if time.monotonic() - began > self._context.session.timeout_seconds:
                raise failure

    def _commit_some(self) -> None:
        """Commit what was acknowledged, so that it need not be kept, while the rest is under way."""
        if self._fresh:
            self.flush(sync=False, final=False)
            return
        try:
            for writer in list(self._writers.values()):
                if writer.has_overwritten:
                    writer.settle()  # nothing may be on some replicas only under a committed stamp
                else:
                    writer.poll()
            self._commit(final=False)
        except (BlockGone, StaleBlock, LeaseExpired):
            self.flush(sync=False, final=False)
        if sum(writer.kept_bytes for writer in self._writers.values()) > 2 * KEPT_BYTES_MAX:
            self.flush(sync=False, final=False)

    def _commit(self, final: bool) -> FileStatus | None:
        """Tell the namenode of everything that was acknowledged."""
        context = self._context
        records: list[tuple[BlockWriter, BlockCommit]] = []
        for writer in self._writers.values():
            record = writer.record()
            if record is not None:
                records.append((writer, record))
        if not records and not (final and context.is_leased):
            self._drop_closed()
            return None
        commits = [record for _, record in records]
        verb = context.metadata.complete if final else context.metadata.commit
        status = verb(context.caller, context.path, context.holder, commits, -1)
        self._fresh = False
        for writer, record in records:
            block = writer.committed(record)
            if writer.needs_commit:
                self._layout.pin(writer.located())
            else:
                self._layout.unpin(writer.start, block)
        self._drop_closed()
        if final:
            context.release_holder()
        return status

    def _drop_closed(self) -> None:
        for start, writer in list(self._writers.items()):
            if not (writer.is_open or writer.is_finishing or writer.needs_commit):
                del self._writers[start]

    def _begin_again(self, error: OastError) -> None:
        """A commit was refused: find the blocks that others have taken over, and send them again."""
        context = self._context
        for writer in list(self._writers.values()):
            record = writer.record()
            if record is None:
                continue
            if isinstance(error, StaleBlock):
                try:
                    context.metadata.commit(context.caller, context.path, context.holder, [record], -1)
                except (StaleBlock, LeaseExpired):
                    pass
                else:
                    self._layout.unpin(writer.start, writer.committed(record))
                    continue
            self._guarded(writer.superseded)

    # --- the end --------------------------------------------------------------------------------

    def has_idle(self, now: float, idle_seconds: float) -> bool:
        """Whether there are pipelines that have nothing to do."""
        return any(
            writer.is_open and now - writer.last_used > idle_seconds
            for writer in list(self._writers.values())
        )

    def end_idle(self, now: float, idle_seconds: float) -> None:
        """End pipelines that have nothing to do, so that datanodes need not keep them."""
        for writer in list(self._writers.values()):
            if writer.is_open and not writer.needs_commit and now - writer.last_used > idle_seconds:
                self._guarded(writer.finish)
        self._drop_closed()

    def begin_finish(self) -> None:
        """End all pipelines without waiting for it: the next write takes new ones."""
        for writer in list(self._writers.values()):
            self._guarded(writer.begin_finish)

    def finish(self) -> None:
        """End all pipelines, and commit, so that the next write begins from what is committed."""
        for writer in list(self._writers.values()):
            self._guarded(writer.finish)
        self.flush(sync=False, final=False)

    def end(self) -> None:
        """Nothing more is to be written; the writer's lease ends if the namenode answers."""
        if self._context.is_leased:
            self.flush(sync=False, final=True)
        self.abort()

    def abort(self) -> None:
        """Let go of everything; what was not committed is lost."""
        for start, writer in list(self._writers.items()):
            writer.abort()
            self._layout.unpin(start, None)
        self._writers.clear()
        self._homeless.clear()
        self.forget()


def _split(pieces: list[memoryview], limit: int) -> tuple[list[memoryview], list[memoryview], int]:
    """(the first ``limit`` bytes, the rest, how many bytes the first are)."""
    size = 0
    for index, piece in enumerate(pieces):
        if size + len(piece) > limit:
            cut = limit - size
            head = [*pieces[:index], piece[:cut]] if cut else pieces[:index]
            return head, [piece[cut:], *pieces[index + 1 :]], limit
        size += len(piece)
    return pieces, [], size
