"""Inline content that has to be blocks, because blocks are to follow it.

A namenode sends datanodes nothing. It writes the bytes into the blocks' rows (``staged``) and tells the
datanodes that are to have them, which fetch them with their next heartbeat, or when the first reader comes.
Until then the row is all that there is: nothing may take bytes out of it, and nobody may change the block.
"""

from __future__ import annotations

from collections.abc import Sequence

from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.blocks import commands
from oastfs.namenode.blocks.place import place
from oastfs.namenode.context import Context
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    CONTENT,
    DATANODE_COMMAND,
    REPLICA,
    Block,
    BlockOwner,
    Inode,
    Replica,
)
from oastfs.store.table import PARTITION_MASK
from oastfs.store.transaction import Transaction

_STAMP = 1


def spill(tx: Transaction, context: Context, inode: Inode) -> Inode:
    """Turn a file's inline content into blocks; the inode as it is then, to be saved. Raises NoDatanodes."""
    if inode.flags & Flag.BLOCKS:
        return inode
    content = tx.get(CONTENT, (inode.id,))
    if content is not None:
        tx.delete(CONTENT, (inode.id,))
        add(tx, context, inode, 0, content.data[: inode.length])
    return tree.with_attributes(inode, flags=inode.flags | int(Flag.BLOCKS), ctime_ns=context.now_ns)


def add(tx: Transaction, context: Context, inode: Inode, offset: int, data: bytes) -> None:
    """New blocks of a file, from ``offset`` on, that hold ``data``; zeros at its end need none."""
    data = data.rstrip(b"\0")
    size = inode.block_size or context.info.block_size
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        targets = [view.storage_id for view in place(tx, context, inode, [], "")]
        block_id = context.take_block_id(tx, inode.id & PARTITION_MASK)
        tx.put(BLOCK_OWNER, (block_id,), BlockOwner(inode.id, offset + start))
        hand_out(tx, context, inode.id, offset + start, block_id, _STAMP, piece, targets)


def hand_out(
    tx: Transaction,
    context: Context,
    inode_id: int,
    offset: int,
    block_id: int,
    stamp: int,
    data: bytes,
    storage_ids: Sequence[int],
) -> None:
    """Commit a block whose bytes are here, and have the datanodes of these storages fetch them."""
    tx.put(BLOCK, (inode_id, offset), Block(block_id, len(data), stamp, staged=data))
    for storage_id in storage_ids:
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            tx.put(REPLICA, (block_id, storage_id), Replica(stamp))
            commands.order_recover(tx, view, block_id, stamp, len(data), stamp)
    commands.need_check(tx, block_id, inode_id, offset, context.now_ns)


def is_only_here(tx: Transaction, context: Context, block: Block) -> bool:
    """Whether no datanode has fetched the block's bytes yet."""
    if not block.generation_stamp or not block.staged:
        return False
    told = 0
    for (_, storage_id), _ in tx.scan(REPLICA, (block.block_id,)):
        view = context.cluster.find(tx, context.now_ns, int(storage_id))
        if view is None:
            continue
        command = tx.get(DATANODE_COMMAND, (view.datanode_id, block.block_id, commands.RECOVER))
        if command is None or command.new_stamp != block.generation_stamp:
            return False
        told += 1
    return told > 0
