"""Giving the blocks of one file to another."""

from __future__ import annotations

from oastfs.store.schema import BLOCK, BLOCK_OWNER, REPLICATION_NEED, BlockOwner, Inode, ReplicationNeed
from oastfs.store.transaction import Transaction


def move_all(tx: Transaction, source: Inode, target: Inode, shift: int) -> None:
    """Let every block of ``source`` belong to ``target``, ``shift`` bytes further on."""
    for (_, start), block in list(tx.scan(BLOCK, (source.id,))):
        offset = int(start) + shift
        tx.delete(BLOCK, (source.id, int(start)))
        tx.put(BLOCK, (target.id, offset), block)
        tx.put(BLOCK_OWNER, (block.block_id,), BlockOwner(target.id, offset))
        need = tx.get(REPLICATION_NEED, (block.block_id,))
        if need is not None:
            moved = ReplicationNeed(target.id, offset, need.due_ns, need.attempts)
            tx.put(REPLICATION_NEED, (block.block_id,), moved)
