"""Carrying out what namenodes ask for in answers to heartbeats: delete, copy, recover, report.

Commands are handed out again until a report settles them, so each is idempotent and one that is still
under way is not begun twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from oastfs.core.errors import BlockNotFound, CorruptBlock, OastError, StaleBlock
from oastfs.datanode.block_store import BlockStore, Change
from oastfs.datanode.copier import copy_replica
from oastfs.datanode.replica import Replica
from oastfs.datanode.reporter import Reporter
from oastfs.datanode.small_blocks import SmallBlocks
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.transfer.messages import Target

log = structlog.get_logger(__name__)

COPIES_AT_ONCE = 2
OTHERS_AT_ONCE = 2


class Commands:
    """Queues and threads for commands."""

    def __init__(
        self,
        store: BlockStore,
        reporter: Reporter,
        verify_soon: Callable[[Replica], None],
        small_blocks: SmallBlocks,
        timeout_seconds: float,
        sync: bool,
    ) -> None:
        self._store = store
        self._reporter = reporter
        self._verify_soon = verify_soon
        self._small_blocks = small_blocks
        self._timeout_seconds = timeout_seconds
        self._sync = sync
        self._under_way: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._copies = ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="copy")
        self._others = ThreadPoolExecutor(OTHERS_AT_ONCE, thread_name_prefix="command")

    def stop(self) -> None:
        """Begin nothing more; what is under way ends with its connections."""
        with self._lock:
            self._stopping = True
        self._copies.shutdown(wait=False, cancel_futures=True)
        self._others.shutdown(wait=True, cancel_futures=True)

    @property
    def active(self) -> int:
        """How many commands are under way."""
        return len(self._under_way)

    def accept(self, command: pb.Command) -> None:
        """Queue a command, unless the same is queued already."""
        kind = command.WhichOneof("kind")
        if kind == "delete":
            delete = command.delete
            self._queue(self._others, (kind, delete.block.block_id), lambda: self._delete(delete))
        elif kind == "copy":
            copy = command.copy
            self._queue(self._copies, (kind, copy.block.block_id), lambda: self._copy(copy))
        elif kind == "recover":
            recover = command.recover
            self._queue(self._others, (kind, recover.block.block_id), lambda: self._recover(recover))
        else:
            log.warning("a namenode sent a command that this version does not know")

    def _queue(self, pool: ThreadPoolExecutor, key: tuple[str, int], work: Callable[[], None]) -> None:
        with self._lock:
            # What comes while the datanode stops is asked for again when it is back.
            if self._stopping or key in self._under_way:
                return
            self._under_way.add(key)
            pool.submit(self._carry_out, key, work)

    def _carry_out(self, key: tuple[str, int], work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            log.warning("a command failed", command=key[0], block_id=key[1], error=str(error))
        except Exception:
            log.exception("a command failed by a fault of this program", command=key[0], block_id=key[1])
        finally:
            with self._lock:
                self._under_way.discard(key)

    # --- each kind --------------------------------------------------------------------------------

    def _delete(self, command: pb.Delete) -> None:
        block = command.block
        try:
            replica = self._store.delete(block.block_id, block.generation_stamp)
        except StaleBlock as error:
            log.info("not deleted", block_id=command.block.block_id, error=str(error))
            return
        if replica is None:
            self._reporter.not_here(Change.DELETED, command.storage_id, block)
        else:
            self._reporter.changed(Change.DELETED, replica)

    def _copy(self, command: pb.Copy) -> None:
        block = command.block
        replica = self._store.find(block.block_id)
        if replica is not None and not (replica.final and replica.generation_stamp == block.generation_stamp):
            # It is being written: a copy would be neither what was committed nor what will be.
            log.info("not copied, it has changed", block_id=block.block_id, replica=repr(replica))
            return
        for target in command.targets:
            where = Target(target.host, target.data_port, target.storage_uuid)
            try:
                copy_replica(
                    self._store,
                    block.block_id,
                    block.generation_stamp,
                    where,
                    timeout_seconds=self._timeout_seconds,
                )
            except BlockNotFound as error:
                self._explain_absence(command, error)
                return
            except CorruptBlock:
                # What arrived did not match: the fault may be the wire's or this disk's.
                replica = self._store.find(block.block_id)
                if replica is not None:
                    self._verify_soon(replica)
            except OSError as error:
                log.warning("not copied", block_id=block.block_id, target=where.address, error=str(error))

    def _explain_absence(self, command: pb.Copy, error: OastError) -> None:
        replica = self._store.find(command.block.block_id)
        if replica is None:
            self._reporter.not_here(Change.MISSING, command.storage_id, command.block)
        elif replica.corrupt:
            self._reporter.changed(Change.CORRUPT, replica)
        else:
            log.warning("not copied", block_id=command.block.block_id, error=str(error))
            self._reporter.report_soon()

    def _recover(self, command: pb.Recover) -> None:
        block = command.block
        self._small_blocks.make_if_inline(block.block_id, block.generation_stamp)
        try:
            replica = self._store.recover(
                block.block_id, block.length, command.new_generation_stamp, sync=self._sync
            )
        except BlockNotFound:
            self._reporter.not_here(Change.MISSING, command.storage_id, block)
        except CorruptBlock:
            replica = self._store.get(block.block_id)
            self._store.mark_corrupt(replica)
        except StaleBlock as error:
            log.info("not recovered", block_id=block.block_id, error=str(error))
        else:
            self._reporter.changed(Change.RECOVERED, replica)
            if self._small_blocks.may_be_inline(replica.length):
                # Should a namenode still keep the bytes for want of a replica, it may let go of them.
                self._small_blocks.watch(replica, synced=False)
