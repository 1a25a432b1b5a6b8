"""Taking blocks away from files: rows go at once, replicas by commands to their datanodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from oastfs.core.types import Flag
from oastfs.namenode.blocks import commands
from oastfs.namenode.context import Context
from oastfs.namenode.leases import RECOVERY
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    INODE,
    PLACE,
    RECLAIM_ID,
    REPLICA,
    REPLICATION_NEED,
    Block,
    BlockOwner,
    Inode,
    Place,
)
from oastfs.store.table import PARTITION_MASK
from oastfs.store.transaction import Transaction

AT_ONCE_MAX: Final = 64
"""More blocks than this are handed to the reclaim job, so that no transaction grows large."""


def drop_block(tx: Transaction, context: Context, inode_id: int, offset: int, block: Block) -> None:
    """Remove a block's rows, and have every replica deleted that it has or may have."""
    drop_blocks(tx, context, inode_id, [(offset, block)])


def drop_blocks(tx: Transaction, context: Context, inode_id: int, gone: Sequence[tuple[int, Block]]) -> None:
    """``drop_block`` of each."""
    # All reads before all writes: a scan is slower the more of its table the transaction has changed.
    replicas = [[int(key[1]) for key, _ in tx.scan(REPLICA, (block.block_id,))] for _, block in gone]
    for (offset, block), storage_ids in zip(gone, replicas, strict=True):
        block_id = block.block_id
        for storage_id in storage_ids:
            tx.delete(REPLICA, (block_id, storage_id))
        stamp = max(block.generation_stamp, block.pending_stamp)
        for storage_id in {*storage_ids, *block.targets}:
            view = context.cluster.find(tx, context.now_ns, storage_id)
            if view is not None:
                commands.withdraw(tx, view, block_id, commands.COPY)
                commands.withdraw(tx, view, block_id, commands.RECOVER)
                commands.order_delete(tx, view, block_id, stamp)
        tx.delete(REPLICATION_NEED, (block_id,))
        tx.delete(BLOCK_OWNER, (block_id,))
        tx.delete(BLOCK, (inode_id, offset))


def drop_all(tx: Transaction, context: Context, inode: Inode) -> None:
    """Drop every block of a file, committed or not."""
    _drop(tx, context, inode, [(int(key[1]), row) for key, row in tx.scan(BLOCK, (inode.id,))])


def cut(tx: Transaction, context: Context, inode: Inode, length: int) -> None:
    """Take away committed bytes at ``length`` and past it.

    What is being written and was never committed stays: it is as if it were written afterwards.
    """
    gone: list[tuple[int, Block]] = []
    # From the end, so that the cost is that of what goes away.
    for (_, start), block in tx.scan(BLOCK, (inode.id,), reverse=True):
        offset = int(start)
        if not block.generation_stamp:
            continue
        if offset < length:
            if offset + block.length > length:
                tx.put(BLOCK, (inode.id, offset), _shortened(block, length - offset))
            break
        gone.append((offset, block))
    _drop(tx, context, inode, gone)


def has_committed(tx: Transaction, inode_id: int) -> bool:
    """Whether any block of the file holds committed bytes."""
    return any(block.generation_stamp for _, block in tx.scan(BLOCK, (inode_id,)))


def _drop(tx: Transaction, context: Context, inode: Inode, gone: list[tuple[int, Block]]) -> None:
    if len(gone) > AT_ONCE_MAX:
        _hand_to_reclaim(tx, context, inode, gone)
        return
    drop_blocks(tx, context, inode.id, gone)


def _hand_to_reclaim(tx: Transaction, context: Context, inode: Inode, gone: list[tuple[int, Block]]) -> None:
    """Give blocks to a nameless file in the reclaim directory: a third of the work of dropping them."""
    partition = inode.id & PARTITION_MASK
    now_ns = context.now_ns
    heir = Inode(
        context.take_inode_id(tx, partition),
        inode.mode,
        inode.uid,
        inode.gid,
        max(offset + block.length for offset, block in gone),
        now_ns,
        now_ns,
        now_ns,
        flags=int(Flag.BLOCKS),
        nlink=0,
    )
    tx.put(INODE, (RECLAIM_ID, str(heir.id)), heir)
    tx.put(PLACE, (heir.id,), Place(RECLAIM_ID, str(heir.id)))
    for offset, block in gone:
        tx.delete(BLOCK, (inode.id, offset))
        tx.put(BLOCK, (heir.id, offset), block)
        tx.put(BLOCK_OWNER, (block.block_id,), BlockOwner(heir.id, offset))


def _shortened(block: Block, length: int) -> Block:
    """The row of a block that ends earlier.

    Whoever is updating it is fenced: replicas that were prepared for more bytes would bring back what was cut
    off. That writer begins the update again, and then writes past the new end. Bytes that datanodes may still
    have to fetch stay.
    """
    pending_stamp = block.pending_stamp
    staged = block.staged if block.staged and not pending_stamp else None
    if pending_stamp and block.holder != RECOVERY:
        pending_stamp += 1
    return msgspec.structs.replace(
        block, length=length, pending_stamp=pending_stamp, staged=staged, shortened=True
    )
