"""What datanodes and readers tell of single replicas, taken over into the rows.

Each function believes what it is told of the replica itself, and decides by the block's row what follows.
All may be called twice with the same news.
"""

from __future__ import annotations

import msgspec

from oastfs.namenode.blocks import commands, recover
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    DATANODE_COMMAND,
    REPLICA,
    Block,
    BlockOwner,
    Replica,
)
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction


def owner_and_block(tx: Transaction, block_id: int) -> tuple[BlockOwner | None, Block | None]:
    """The rows of a block by its id; None for what is not there."""
    owner = tx.get(BLOCK_OWNER, (block_id,))
    if owner is None:
        return None, None
    block = tx.get(BLOCK, (owner.inode_id, owner.offset), Lock.EXCLUSIVE)
    return owner, block if block is not None and block.block_id == block_id else None


def mark_corrupt(tx: Transaction, context: Context, block_id: int, storage_id: int) -> None:
    """A replica's bytes do not match their checksums, or cannot be read."""
    row = tx.get(REPLICA, (block_id, storage_id), Lock.EXCLUSIVE)
    if row is not None and not row.corrupt:
        tx.put(REPLICA, (block_id, storage_id), Replica(row.generation_stamp, True))
    recover.failed(tx, context, block_id, storage_id)
    if row is not None:
        check_soon(tx, context, block_id)


def received(
    tx: Transaction, context: Context, view: StorageView, block_id: int, stamp: int, length: int
) -> None:
    """A copy of the block arrived on a storage."""
    _, block = owner_and_block(tx, block_id)
    if block is None or stamp < block.generation_stamp:
        commands.order_delete(tx, view, block_id, stamp)
        return
    _end_copies(tx, context, block_id, view.storage_id)
    if stamp > block.generation_stamp or length < block.length:
        # Its source was being written meanwhile: what this copy has of that is unknown.
        commands.order_delete(tx, view, block_id, stamp)
    else:
        tx.put(REPLICA, (block_id, view.storage_id), Replica(stamp))
    check_soon(tx, context, block_id)


def deleted(tx: Transaction, context: Context, view: StorageView, block_id: int, stamp: int) -> None:
    """A replica was removed by its datanode, as it was told."""
    commands.withdraw(tx, view, block_id, commands.DELETE)
    row = tx.get(REPLICA, (block_id, view.storage_id), Lock.EXCLUSIVE)
    if row is not None and row.generation_stamp <= stamp:
        tx.delete(REPLICA, (block_id, view.storage_id))
        check_soon(tx, context, block_id)


def missing(tx: Transaction, context: Context, view: StorageView, block_id: int) -> None:
    """A datanode has no such replica, although it was given a command for it."""
    for kind in (commands.DELETE, commands.COPY):
        commands.withdraw(tx, view, block_id, kind)
    tx.delete(REPLICA, (block_id, view.storage_id))
    recover.failed(tx, context, block_id, view.storage_id)
    check_soon(tx, context, block_id)


def is_leaving(tx: Transaction, view: StorageView, block_id: int) -> bool:
    """Whether the datanode has been told to delete its replica."""
    return tx.get(DATANODE_COMMAND, (view.datanode_id, block_id, commands.DELETE)) is not None


def check_soon(tx: Transaction, context: Context, block_id: int) -> None:
    """Have the replication job look at a block, if it is there."""
    owner, block = owner_and_block(tx, block_id)
    if owner is not None and block is not None and block.generation_stamp:
        commands.need_check(tx, block_id, owner.inode_id, owner.offset, context.now_ns)


def _end_copies(tx: Transaction, context: Context, block_id: int, target_id: int) -> None:
    """Take back commands to copy to a storage that has the block now."""
    for (_, storage_id), _ in list(tx.scan(REPLICA, (block_id,))):
        source = context.cluster.find(tx, context.now_ns, int(storage_id))
        if source is None:
            continue
        key = (source.datanode_id, block_id, commands.COPY)
        command = tx.get(DATANODE_COMMAND, key)
        if command is None or target_id not in command.targets:
            continue
        rest = tuple(one for one in command.targets if one != target_id)
        if rest:
            tx.put(DATANODE_COMMAND, key, msgspec.structs.replace(command, targets=rest))
        else:
            tx.delete(DATANODE_COMMAND, key)
