"""statfs: space and counts of the filesystem."""

from __future__ import annotations

from oastfs.core.types import StorageStatus
from oastfs.namenode.context import Context
from oastfs.namenode.ops.datanodes import state_name
from oastfs.store.schema import BLOCK, DATANODE, INODE, LINK, LINKED_INODE, REPLICATION_NEED
from oastfs.store.transaction import Transaction


def statfs(tx: Transaction, context: Context) -> StorageStatus:
    """statfs(2); HDFS getFsStats. From figures that the store and datanodes keep: nothing is counted here."""
    count = context.environment.count
    capacity = used = remaining = live = dead = 0
    for key, row in tx.scan(DATANODE):
        if state_name(int(key[0]), row, context) == "dead":
            dead += 1
            continue
        live += 1
        capacity += row.capacity
        used += row.used
        remaining += row.remaining
    metadata_bytes, metadata_remaining = context.environment.usage()
    return StorageStatus(
        capacity,
        used,
        remaining,
        count(INODE) - count(LINK) + count(LINKED_INODE),
        metadata_bytes,
        metadata_remaining,
        live,
        dead,
        count(BLOCK),
        count(REPLICATION_NEED),
    )
