"""Noticing dead datanodes and lost volumes, and queueing their blocks for replication."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import structlog

from oastfs.namenode.blocks.commands import need_check
from oastfs.namenode.cluster import (
    DATANODE_DEAD,
    STORAGE_DRAINED,
    STORAGE_FAILED,
    STORAGE_NORMAL,
)
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import BLOCK_OWNER, DATANODE, REPLICA, STORAGE
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

BLOCKS_PER_STEP: Final = 1_000
START_LIMITS: Final = 10
"""After a start, how many times as long a datanode may take to be heard of for the first time."""
_replace = msgspec.structs.replace
log = structlog.get_logger(__name__)


class FailureDetection(Job):
    """A datanode is dead when it was silent for as long as this job has been listening, too.

    After a start (or a long pause) of the namenode all heartbeats look old: datanodes get the time
    to be heard again. Those that this process has never heard of get ``START_LIMITS`` times as much: when
    everything was stopped, machines come back one after the other, and copying what is not there yet would be
    a storm in vain. Every namenode listens, so that one that comes to lead has been listening already.
    """

    name = "failure detection"
    interval_seconds = 1.0
    everywhere = True

    def __init__(self, namespace: Namespace, leads: Callable[[], bool] = lambda: True) -> None:
        """``leads``: whether to act on what was heard."""
        super().__init__(namespace)
        self._leads = leads
        self._started_ns = 0
        self._listening_since_ns = 0
        self._last_step_ns = 0
        self._after: dict[int, int] = {}
        """How far the blocks of each lost storage have been queued."""

    def run_once(self, now_ns: int) -> int:
        limit_ns = self.context(now_ns).cluster.dead_after_ns
        if not 0 <= now_ns - self._last_step_ns < limit_ns // 2:
            self._listening_since_ns = now_ns
        self._last_step_ns = now_ns
        self._started_ns = self._started_ns or now_ns
        silent = self._silent(now_ns, limit_ns)
        if not self._leads():
            self._after.clear()
            return 0
        if silent and now_ns - self._listening_since_ns >= limit_ns:
            self.write(now_ns, partial(declare_dead, silent=silent))
        return self._queue_some(now_ns)

    def _silent(self, now_ns: int, limit_ns: int) -> dict[int, int]:
        """The last heartbeats, by datanode, of those that were silent for too long."""
        cluster = self.context(now_ns).cluster
        self.store.read(lambda tx: cluster.storages(tx, now_ns))
        patient = now_ns - self._started_ns < START_LIMITS * limit_ns
        return {
            datanode_id: heard.stamp_ns
            for datanode_id, heard in cluster.heard.items()
            if now_ns - heard.since_ns >= limit_ns
            and (heard.witnessed or not patient)
            and cluster.datanodes[datanode_id].state != DATANODE_DEAD
        }

    def _queue_some(self, now_ns: int) -> int:
        """Queue blocks of one lost storage; how many, and 1 more for its end."""
        storage_id = self.store.read(_first_failed)
        if storage_id is None:
            self._after.clear()
            return 0
        after = self._after.get(storage_id, 0)
        queued, last = self.write(now_ns, lambda tx, context: queue(tx, context, storage_id, after))
        self._after[storage_id] = last
        if queued < BLOCKS_PER_STEP:
            del self._after[storage_id]
            self.write(now_ns, lambda tx, _: _mark_drained(tx, storage_id))
        return queued + 1


def declare_dead(tx: Transaction, context: Context, silent: dict[int, int]) -> None:
    """Note datanodes as dead whose last heartbeat is (still) the given one, and their storages as lost."""
    for datanode_id, stamp_ns in silent.items():
        row = tx.get(DATANODE, (datanode_id,), Lock.EXCLUSIVE)
        if row is None or row.heartbeat_ns != stamp_ns or row.state == DATANODE_DEAD:
            continue
        tx.put(DATANODE, (datanode_id,), _replace(row, state=DATANODE_DEAD))
        for key, storage in list(tx.scan(STORAGE)):
            if storage.datanode_id == datanode_id and storage.state == STORAGE_NORMAL:
                tx.put(STORAGE, key, _replace(storage, state=STORAGE_FAILED))
        log.warning("datanode is dead", datanode_id=datanode_id, host=row.host, data_port=row.data_port)
    context.cluster.forget()


def queue(tx: Transaction, context: Context, storage_id: int, after: int) -> tuple[int, int]:
    """Queue the next blocks of a storage; how many, and the last one's id."""
    rows = tx.scan(REPLICA, (storage_id,), after=(after,), limit=BLOCKS_PER_STEP, index=REPLICA.indexes[0])
    block_ids = [int(key[0]) for key, _ in rows]
    owners = tx.get_many(BLOCK_OWNER, [(block_id,) for block_id in block_ids])
    for block_id, owner in zip(block_ids, owners, strict=True):
        if owner is not None:
            need_check(tx, block_id, owner.inode_id, owner.offset, context.now_ns)
    return len(block_ids), block_ids[-1] if block_ids else after


def _first_failed(tx: Transaction) -> int | None:
    return next((int(key[0]) for key, row in tx.scan(STORAGE) if row.state == STORAGE_FAILED), None)


def _mark_drained(tx: Transaction, storage_id: int) -> None:
    row = tx.get(STORAGE, (storage_id,))
    if row is not None and row.state == STORAGE_FAILED:
        tx.put(STORAGE, (storage_id,), _replace(row, state=STORAGE_DRAINED))
