"""Writing one block, new or existing, until the namenode knows of it.

Everything written is kept until it has been committed. So whatever happens to the pipeline, to a
datanode, or by another writer, the block can be begun again from what is committed:

* A new block that was never committed is replaced by another one, on other datanodes.
* A committed block gets a new generation stamp; replicas are cut to the committed length, and what came
  after the commit is sent again to those that remain.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence

from oastfs.client.blocks.packets import OutgoingPacket, cut
from oastfs.client.blocks.pipeline import Pipeline, PipelineBroken
from oastfs.client.file_context import FileContext
from oastfs.core.errors import BlockNotFound, LeaseConflict, NoDatanodes, OastError, StaleBlock
from oastfs.core.types import BlockCommit, LocatedBlock, Location
from oastfs.wire.transfer import BlockId, Stage

PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 0.02, 1.0
PIPELINES_MAX = 8
"""So many pipelines in a row may break under one and the same step."""
NO_DATANODES_SECONDS = 10.0
"""For this long a new block waits for datanodes to come up."""


class BlockGone(OastError):
    """Another writer has cut the block off the file; ``writer`` still keeps what it was to hold."""

    def __init__(self, message: str, writer: BlockWriter) -> None:
        super().__init__(message)
        self.writer = writer


class BlockWriter:
    """One block that begins at file offset ``start`` and ends before ``limit``. Its owner locks."""

    def __init__(self, context: FileContext, start: int, limit: int, block: LocatedBlock | None) -> None:
        self._context = context
        self.start = start
        self.limit = limit
        self.block_id = 0
        self.generation_stamp = 0
        self.committed_stamp = 0
        self.committed_length = 0
        self.length = 0
        """How far the block reaches with what is written here."""
        if block is not None:
            self.block_id = block.block_id
            self.generation_stamp = block.generation_stamp
            self.committed_stamp = block.committed_stamp or block.generation_stamp
            self.committed_length = self.length = block.length
        self._targets: tuple[Location, ...] = ()
        self._pipeline: Pipeline | None = None
        self._finishing = False
        self._kept: deque[OutgoingPacket] = deque()
        self.kept_bytes = 0
        self._recorded = 0
        """How many of the kept packets the last ``record`` covers."""
        self._unsynced = False
        self._bad: set[int] = set()
        """Datanodes that failed this writer."""
        self._choosy = True
        """Whether datanodes that failed are left out; not when there are no others."""

    # --- what it is -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it has a pipeline that takes more."""
        return self._pipeline is not None and not self._finishing

    @property
    def is_finishing(self) -> bool:
        """Whether its replicas are becoming final."""
        return self._pipeline is not None and self._finishing

    @property
    def last_used(self) -> float:
        """When (monotonic) something was last sent."""
        return self._pipeline.last_used if self._pipeline is not None else 0.0

    @property
    def needs_commit(self) -> bool:
        """Whether the namenode has to be told of anything."""
        return bool(self._kept)

    def located(self) -> LocatedBlock:
        """The block as this writer knows it, for reading back. ``settle`` comes first."""
        return LocatedBlock(
            self.block_id, self.generation_stamp, self.start, self.length, self._targets, True
        )

    # --- writing --------------------------------------------------------------------------------

    def write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        """Write ``pieces`` one after another from byte ``offset`` of the block.

        Returns once they are on their way. Raises BlockGone, and what a namenode refuses.
        """
        packets = list(cut(offset, pieces))
        self._kept.extend(packets)
        self.kept_bytes += sum(packet.size for packet in packets)
        self.length = max(self.length, packets[-1].end)
        self._unsynced = True
        if self._pipeline is None or self._finishing or self._would_diverge(offset):
            self._rebuild(None)
            return
        try:
            for packet in packets:
                self._pipeline.send(packet)
        except PipelineBroken as broken:
            self._rebuild(broken)

    def _would_diverge(self, offset: int) -> bool:
        """Whether overwriting bytes under a stamp that is committed could leave replicas that differ.

        Should this client die in the middle, a stamp that is only pending has the replicas settled.
        """
        committed = self.generation_stamp == self.committed_stamp
        return committed and len(self._targets) > 1 and offset < self.committed_length

    @property
    def has_overwritten(self) -> bool:
        """Whether committed bytes were overwritten, on several replicas, since the last commit."""
        return len(self._targets) > 1 and any(one.offset < self.committed_length for one in self._kept)

    def take_kept(self) -> list[OutgoingPacket]:
        """Give up: what is not committed is the caller's."""
        kept = list(self._kept)
        self.abort()
        return kept

    def push(self) -> None:
        """Put everything on its way."""
        if self._pipeline is not None:
            self._try(Pipeline.push)

    def settle(self) -> None:
        """Wait until every replica has everything (not necessarily on disk)."""
        if self._pipeline is not None or self._unsynced:
            self._try(Pipeline.wait)

    def sync(self) -> None:
        """Wait until every replica has everything on disk."""
        if not self._unsynced:
            return
        self._try(self._sync)
        self._unsynced = False

    def _sync(self, pipeline: Pipeline) -> None:
        if not self._finishing:
            pipeline.sync(self.length)
        pipeline.wait()

    def begin_finish(self) -> None:
        """Say that nothing follows for now, without waiting: replicas become final and durable."""
        if self.is_open or (self._pipeline is None and self._unsynced):
            self._try(lambda pipeline: pipeline.finish(self.length))
            self._finishing = True

    def finish(self) -> None:
        """Wait until all replicas are final and on disk."""
        while self._pipeline is not None or self._unsynced:
            self.begin_finish()
            self._try(Pipeline.wait)
            # If it was rebuilt meanwhile, it has to be finished again.
            self._settle_finish()

    def _settle_finish(self) -> None:
        """Let go of the pipeline if all replicas are final."""
        pipeline = self._pipeline
        if pipeline is not None and self._finishing and pipeline.is_settled:
            self._pipeline, self._finishing = None, False
            self._unsynced = False
            pipeline.release()

    def abort(self) -> None:
        """Let go; what was not committed is lost, and replicas that it leaves different are settled."""
        gives_up = bool(self._kept) and 0 < self.committed_stamp < self.generation_stamp
        if self._pipeline is not None:
            self._pipeline.abort()
        self._pipeline, self._finishing = None, False
        self._kept.clear()
        self.kept_bytes = 0
        self._unsynced = False
        if gives_up:
            self._abandon()

    def _abandon(self) -> None:
        context = self._context
        try:
            context.metadata.abandon_block(context.caller, context.path, context.holder, self.block_id)
        except OastError:
            pass  # the file or block is gone, or the end of the lease will settle it

    # --- committing -----------------------------------------------------------------------------

    def record(self) -> BlockCommit | None:
        """What the namenode can be told now: everything that all replicas have acknowledged; or None."""
        acknowledged = self._pipeline.acknowledged if self._pipeline is not None else None
        length = self.committed_length
        self._recorded = 0
        for packet in self._kept:
            if acknowledged is not None and packet.seqno > acknowledged:
                break
            length = max(length, packet.end)
            self._recorded += 1
        if not self._recorded:
            return None
        storage_ids = tuple(one.storage_id for one in self._targets)
        return BlockCommit(self.block_id, self.generation_stamp, self.start, length, storage_ids)

    def committed(self, record: BlockCommit) -> LocatedBlock:
        """The namenode has taken the last ``record``: forget what it covers. The block as readers see it."""
        self.committed_stamp = record.generation_stamp
        self.committed_length = record.length
        for _ in range(self._recorded):
            self.kept_bytes -= self._kept.popleft().size
        self._recorded = 0
        return LocatedBlock(
            self.block_id,
            record.generation_stamp,
            self.start,
            record.length,
            self._targets,
            False,
            record.generation_stamp,
        )

    def poll(self) -> None:
        """Take acknowledgements that have come."""
        if self._pipeline is not None:
            self._try(Pipeline.poll)
            self._settle_finish()

    def superseded(self) -> None:
        """A commit was refused: another writer has begun after us. Begin again and send again."""
        self._drop_pipeline()
        self._rebuild(None)

    # --- beginning, and beginning again -----------------------------------------------------------

    def _try(self, action: Callable[[Pipeline], None]) -> None:
        """Do something with the pipeline; if it breaks, do it again with another that has all packets."""
        failure: PipelineBroken | None = None
        for _ in range(PIPELINES_MAX):
            if self._pipeline is None or failure is not None:
                self._rebuild(failure)
            assert self._pipeline is not None
            try:
                action(self._pipeline)
                return
            except PipelineBroken as broken:
                failure = broken
        assert failure is not None
        raise failure

    def _drop_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.abort()
        self._pipeline, self._finishing = None, False
        self._unsynced = self._unsynced or bool(self._kept)

    def _rebuild(self, failure: OastError | None) -> None:
        """A pipeline that all kept packets have been sent on. Waits for datanodes within limits."""
        began = time.monotonic()
        pause = PAUSE_SECONDS_FIRST
        while True:
            self._blame(failure)
            self._drop_pipeline()
            try:
                self._begin()
                for packet in self._kept:
                    self._pipeline.send(packet)  # type: ignore[union-attr]
                return
            except (PipelineBroken, BlockNotFound, LeaseConflict, NoDatanodes) as error:
                failure = error
            limit = self._context.session.timeout_seconds
            if isinstance(failure, NoDatanodes) and not self._bad:
                limit = min(limit, NO_DATANODES_SECONDS)
            if time.monotonic() - began + pause > limit:
                raise failure
            self._choosy = True
            if not isinstance(failure, PipelineBroken):
                self._bad.clear()  # better one that failed than none
                self._choosy = False
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def _blame(self, failure: OastError | None) -> None:
        if isinstance(failure, PipelineBroken) and failure.culprit is not None:
            self._bad.add(failure.culprit.datanode_id)
            if failure.silent:
                self._context.session.datanodes.suspect(failure.culprit)

    def _begin(self) -> None:
        """Get a stamp and set up the pipeline. Raises PipelineBroken, NoDatanodes, BlockGone."""
        block = self._update() if self.committed_stamp else self._allocate()
        datanodes = self._context.session.datanodes
        targets = [one for one in block.locations if one.datanode_id not in self._bad]
        targets = [one for one in targets if not datanodes.is_suspect(one.datanode_id)] or targets
        if not targets:
            raise NoDatanodes(f"none of the replicas of block {block.block_id} can be written")
        if self.committed_stamp:
            named = BlockId(block.block_id, self.committed_stamp, self.committed_length)
            stage = Stage.PIPELINE_SETUP_APPEND
        else:
            named = BlockId(block.block_id, block.generation_stamp)
            stage = Stage.PIPELINE_SETUP_CREATE
        pipeline = Pipeline(datanodes, targets)
        pipeline.set_up(named, stage, block.generation_stamp, self._context.holder)
        self._targets = pipeline.targets
        self._pipeline = pipeline

    def _allocate(self) -> LocatedBlock:
        context = self._context
        datanodes = context.session.datanodes
        block = context.metadata.add_block(
            context.caller,
            context.path,
            context.holder,
            self.start,
            sorted(self._bad | datanodes.suspects()) if self._choosy else [],
            datanodes.local_host,
        )
        for one in block.locations:
            datanodes.is_local(one)
        self.block_id = block.block_id
        self.generation_stamp = block.generation_stamp
        return block

    def _update(self) -> LocatedBlock:
        context = self._context
        try:
            block = context.metadata.update_block(
                context.caller, context.path, context.holder, self.start, self.block_id
            )
        except StaleBlock as error:
            raise BlockGone(error.message, self) from None
        if block.generation_stamp > self.generation_stamp + 1:
            self._bad.clear()  # another writer has taken over; the datanodes only told us so
        self.generation_stamp = block.generation_stamp
        self.committed_stamp = block.committed_stamp
        self.committed_length = block.length
        self.length = max((packet.end for packet in self._kept), default=0)
        self.length = max(self.length, block.length)
        return block
