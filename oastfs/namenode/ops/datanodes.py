"""datanodes: what is known of every datanode."""

from __future__ import annotations

from typing import Final

from oastfs.core.types import DatanodeReport
from oastfs.namenode.cluster import DATANODE_DEAD, DATANODE_DECOMMISSIONING
from oastfs.namenode.context import Context
from oastfs.store.schema import DATANODE, REPLICA, STORAGE, Datanode
from oastfs.store.transaction import Transaction

BLOCKS_COUNTED_MAX: Final = 100_000
"""Replicas are counted up to this many per storage: the answer must not take long."""


def datanodes(tx: Transaction, context: Context) -> list[DatanodeReport]:
    """HDFS getDatanodeReport."""
    replicas: dict[int, int] = {}
    for (storage_id,), storage in tx.scan(STORAGE):
        found = tx.scan(REPLICA, (storage_id,), limit=BLOCKS_COUNTED_MAX, index=REPLICA.indexes[0])
        replicas[storage.datanode_id] = replicas.get(storage.datanode_id, 0) + sum(1 for _ in found)
    return [
        DatanodeReport(
            int(key[0]),
            row.uuid,
            row.host,
            row.data_port,
            row.control_port,
            state_name(int(key[0]), row, context),
            row.capacity,
            row.used,
            row.remaining,
            row.heartbeat_ns,
            replicas.get(int(key[0]), 0),
            row.http_port,
        )
        for key, row in tx.scan(DATANODE)
    ]


def state_name(datanode_id: int, row: Datanode, context: Context) -> str:
    """live, dead or decommissioning. One that has been silent is dead, even if no job has noted it yet."""
    silent = context.cluster.silence_ns(datanode_id, row, context.now_ns) >= context.cluster.dead_after_ns
    if row.state == DATANODE_DEAD or silent:
        return "dead"
    return "decommissioning" if row.state == DATANODE_DECOMMISSIONING else "live"
