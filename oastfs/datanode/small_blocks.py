"""Small blocks of clients that know only blocks: their bytes belong in the metadata, not on this disk.

Before the last packet of such a block is acknowledged, the first datanode of the pipeline offers the whole
block to a namenode. If that takes it, the replica needs no files (``held.py``): it only serves readers until
the file is completed. Every datanode of the pipeline then asks what has become of its small replicas, many
in one call, and forgets them or puts them on its disk. A crash forgets them all; then the block report tells.

The other way round, a block that stands for an inline file's content has no replica anywhere until somebody
asks for it here: its bytes are fetched from a namenode. See ``namenode/blocks/inline.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf.message import DecodeError

from oastfs.core.errors import AlreadyExists, BlockNotFound, StaleBlock
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.namenode_calls import NamenodeCalls
from oastfs.datanode.reader import read_all, sync_files
from oastfs.datanode.replica import Replica
from oastfs.datanode.reporter import Registered
from oastfs.datanode.writer import ReplicaWriter
from oastfs.wire.datanode_calls import STORE_INLINE
from oastfs.wire.proto import control_pb2 as pb

log = structlog.get_logger(__name__)

CALL_SECONDS = 5.0
SETTLE_SECONDS = 1.0
"""First question about a replica, and how often those that are due are asked about."""
SETTLE_SECONDS_MAX = 60.0
"""Longest pause between two questions about the same replica: its writer may take hours."""
SETTLE_BATCH = 1000
PRESSURE_SECONDS = 0.05
"""Pause after questions that were asked before they were due, because much memory is held."""


@dataclass
class _Watched:
    """A replica whose fate is not known yet."""

    replica: Replica
    stamp: int
    synced: bool
    """Whether it was on the disk before it was acknowledged; otherwise a namenode is told when it is."""
    due: float
    pause_seconds: float
    on_disk: bool = False

    @property
    def reference(self) -> pb.BlockRef:
        """As namenodes are asked about it."""
        return pb.BlockRef(block_id=self.replica.block_id, generation_stamp=self.stamp)


class SmallBlocks:
    """What a datanode does about them. Safe to use from many threads."""

    def __init__(
        self, store: BlockStore, namenodes: Callable[[], list[Registered]], metrics: Metrics
    ) -> None:
        self._store = store
        self._offers = metrics.offers
        self._calls = NamenodeCalls(CALL_SECONDS)
        self._namenodes = namenodes
        self._watched: dict[int, _Watched] = {}
        self._synced: list[pb.BlockRef] = []
        """Blocks that were synced because they are to be kept, to be told to a namenode."""
        self._lock = threading.Lock()
        self._stopping = False
        self._wake = threading.Event()
        self._pressed = False
        self._longest = 0
        store.memory.on_pressure = self._press
        self._thread = threading.Thread(target=self._run, name="small blocks", daemon=True)

    def start(self) -> None:
        """Begin to ask what has become of replicas."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, and leave what may be a block on the disk."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._calls.close()
        for one in self._watched.values():
            try:
                self._sync(one)
            except OSError as error:
                log.error("a small replica was not kept", error=str(error), **one.replica.fields)

    @property
    def longest(self) -> int:
        """Length of the longest block that may end in the metadata. Known also when no namenode answers."""
        self._longest = max((one.inline_limit for one in self._namenodes()), default=self._longest)
        return self._longest

    def may_be_inline(self, length: int) -> bool:
        """Whether a block of this length may end in the metadata."""
        return 0 < length <= self.longest

    def _press(self) -> None:
        """Much memory is held: ask about all replicas now, whenever that was due."""
        self._pressed = True
        self._wake.set()

    # --- to and from namenodes --------------------------------------------------------------------

    def offer(self, block_id: int, stamp: int, data: bytes) -> bool:
        """Whether a namenode takes all of a block's bytes. False if none answers, too."""
        return self._offer_to_any(block_id, stamp, data, again=False) is True

    def _offer_to_any(self, block_id: int, stamp: int, data: bytes, *, again: bool) -> bool | None:
        """None if no namenode answers."""
        for namenode in self._namenodes():
            request = pb.StoreInlineRequest(
                datanode_id=namenode.datanode_id,
                block_id=block_id,
                generation_stamp=stamp,
                data=data,
                again=again,
            )
            try:
                accepted = self._offer(namenode, request)
            except grpc.RpcError as error:
                _note(namenode, "a small block could not be offered", error)
                continue
            self._offers.labels("taken" if accepted else "refused").inc()
            return accepted
        self._offers.labels("unanswered").inc()
        return None

    def _offer(self, namenode: Registered, request: pb.StoreInlineRequest) -> bool:
        """On the namenode's own port, which takes a fraction of the time, else on its control port."""
        if namenode.rpc_address:
            body = request.SerializeToString()
            try:
                answer = self._calls.call(namenode.rpc_address, STORE_INLINE, body)
                return bool(pb.StoreInlineResponse.FromString(answer).accepted)
            except (OSError, DecodeError) as error:
                log.info(
                    "a small block goes to the control port", namenode=namenode.address, error=str(error)
                )
        return bool(namenode.stub.StoreInline(request, timeout=CALL_SECONDS).accepted)

    def recreate(
        self, block_id: int, stamp: int, storage_uuid: str, acknowledged_length: int
    ) -> ReplicaWriter | None:
        """Begin a replica with the inline content that the block stands for; None if there is none.

        Of the content as many bytes are taken as the writer believes to be there.
        """
        content = self._fetch(block_id)
        if content is None or len(content[0]) < acknowledged_length:
            return None
        data, own_uuid = content
        writer = self._store.create(block_id, stamp, storage_uuid or own_uuid, held_bytes_max=self.longest)
        try:
            writer.write(0, [data[:acknowledged_length]], None)
        except BaseException:
            writer.abort()
            self._store.discard(writer.replica)
            raise
        return writer

    def make_if_inline(self, block_id: int, stamp: int) -> None:
        """For a reader: make a replica that is not here, if the block stands for inline content."""
        if self._store.find(block_id) is None:
            content = self._fetch(block_id)
            if content is not None:
                self._make(block_id, stamp, *content)

    def _make(self, block_id: int, stamp: int, data: bytes, storage_uuid: str) -> None:
        try:
            writer = self._store.create(block_id, stamp, storage_uuid)
        except AlreadyExists:
            return  # somebody was faster
        try:
            writer.write(0, [data], None)
            writer.keep(sync=False)
        finally:
            writer.abort()

    def _fetch(self, block_id: int) -> tuple[bytes, str] | None:
        """(bytes, uuid of the storage they belong on)"""
        for namenode in self._namenodes():
            request = pb.ReadInlineRequest(datanode_id=namenode.datanode_id, block_id=block_id)
            try:
                response = namenode.stub.ReadInline(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                _note(namenode, "inline content could not be fetched", error)
                continue
            for volume in self._store.volumes:
                if response.found and volume.storage_id == response.storage_id and not volume.failed:
                    return response.data, volume.storage_uuid
            return None
        return None

    # --- what becomes of replicas -----------------------------------------------------------------

    def watch(self, replica: Replica, *, synced: bool) -> None:
        """A small replica became final here: find out whether it stays."""
        due = time.monotonic() + SETTLE_SECONDS
        with self._lock:
            self._watched[replica.block_id] = _Watched(
                replica, replica.generation_stamp, synced, due, SETTLE_SECONDS
            )

    @property
    def watched(self) -> int:
        """How many replicas' fate is not known."""
        return len(self._watched)

    def _run(self) -> None:
        while True:
            self._wake.wait(SETTLE_SECONDS)
            self._wake.clear()
            if self._stopping:
                return
            pressed, self._pressed = self._pressed, False
            now = time.monotonic()
            with self._lock:
                due = [one for one in self._watched.values() if pressed or one.due <= now]
            # Also with nothing due, if there is something to tell.
            for start in range(0, max(len(due), bool(self._synced)), SETTLE_BATCH):
                try:
                    self._settle(due[start : start + SETTLE_BATCH])
                except Exception:
                    log.exception("small replicas were not settled, by a fault of this program")
            if pressed:
                time.sleep(PRESSURE_SECONDS)

    def _settle(self, batch: list[_Watched]) -> None:
        outcomes = self._ask(batch)
        if outcomes is None:
            self._put_on_disk(batch)
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            try:
                self._take(one, outcome)
            except OSError as error:
                log.warning("a small replica was not settled", error=str(error), **one.replica.fields)

    def _put_on_disk(self, batch: list[_Watched]) -> None:
        """Nobody can be asked: the namenode that took them may be gone, with all that it knew."""
        for one in batch:
            try:
                self._sync(one)
            except OSError as error:
                log.warning("a small replica is not on the disk", error=str(error), **one.replica.fields)

    def _take(self, one: _Watched, outcome: int) -> None:
        """Do what a namenode has answered about a replica."""
        if outcome == pb.SettleInlineResponse.DISCARD:
            self._discard(one)
        elif outcome == pb.SettleInlineResponse.KEEP:
            if not one.synced:
                self._sync(one)
                self._synced.append(one.reference)
            self._forget(one)
        else:
            if outcome == pb.SettleInlineResponse.OFFER:
                self._offer_again(one)
            one.due = time.monotonic() + one.pause_seconds
            one.pause_seconds = min(2 * one.pause_seconds, SETTLE_SECONDS_MAX)

    def _offer_again(self, one: _Watched) -> None:
        replica = one.replica
        if replica.removed or replica.writer is not None or replica.generation_stamp != one.stamp:
            return
        try:
            data = read_all(replica)
        except BlockNotFound:
            return  # deleted meanwhile
        if self._offer_to_any(replica.block_id, one.stamp, data, again=True) is False:
            self._sync(one)

    def _ask(self, batch: list[_Watched]) -> Iterable[int] | None:
        for namenode in self._namenodes():
            request = pb.SettleInlineRequest(
                datanode_id=namenode.datanode_id,
                blocks=[one.reference for one in batch],
                synced=self._synced,
            )
            try:
                outcomes = namenode.stub.SettleInline(request, timeout=CALL_SECONDS).outcomes
            except grpc.RpcError as error:
                _note(namenode, "a namenode was asked in vain about small replicas", error)
            else:
                self._synced.clear()
                return outcomes
        return None

    def _discard(self, one: _Watched) -> None:
        try:
            if not one.replica.removed:
                self._store.delete(one.replica.block_id, one.stamp)
        except StaleBlock:
            pass  # written again meanwhile: it will be watched under its new stamp
        self._forget(one)

    def _forget(self, one: _Watched) -> None:
        with self._lock:
            if self._watched.get(one.replica.block_id) is one:
                del self._watched[one.replica.block_id]

    def _sync(self, one: _Watched) -> None:
        """Put a replica on the disk that a namenode had made durable."""
        replica = one.replica
        if one.synced or one.on_disk or replica.removed:
            return
        try:
            sync_files(replica)
        except BlockNotFound:
            return  # deleted meanwhile
        one.on_disk = True


def _note(namenode: Registered, what: str, error: grpc.RpcError) -> None:
    code = error.code().name if isinstance(error, grpc.Call) else str(error)
    log.info(what, namenode=namenode.address, error=code)
