"""Where the blocks of a file are, for readers and writers."""

from __future__ import annotations

from collections.abc import Iterator

from oastfs.core.types import LocatedBlock, Location
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.store.schema import BLOCK, REPLICA, Block, Inode
from oastfs.store.transaction import Transaction


def locate(
    tx: Transaction, context: Context, inode: Inode, offset: int, length: int
) -> Iterator[LocatedBlock]:
    """Committed blocks that hold bytes of ``[offset, offset + length)``, in order."""
    if length <= 0:
        return
    end = offset + length
    before = last_before(tx, inode.id, offset + 1)
    if before is not None and before[0] + before[1].length > offset:
        yield locate_block(tx, context, *before)
    for (_, start), block in tx.scan(BLOCK, (inode.id,), after=(offset,)):
        if int(start) >= end:
            return
        if block.generation_stamp:
            yield locate_block(tx, context, int(start), block)


def locate_block(tx: Transaction, context: Context, offset: int, block: Block) -> LocatedBlock:
    """A committed block with its replicas, the likeliest to answer first."""
    return LocatedBlock(
        block.block_id,
        block.generation_stamp,
        offset,
        block.length,
        tuple(one.location for one in readable(tx, context, block)),
        block.pending_stamp != 0,
        block.generation_stamp,
    )


def readable(tx: Transaction, context: Context, block: Block) -> list[StorageView]:
    """Storages that hold the committed block: those with a recent heartbeat first.

    Corrupt replicas are given only when there is no other: a reader checks what it gets.
    """
    find, now_ns = context.cluster.find, context.now_ns
    good: list[StorageView] = []
    corrupt: list[StorageView] = []
    for (_, storage_id), replica in tx.scan(REPLICA, (block.block_id,)):
        if replica.generation_stamp < block.generation_stamp:
            continue
        view = find(tx, now_ns, int(storage_id))
        if view is not None and view.readable:
            (corrupt if replica.corrupt else good).append(view)
    found = good or corrupt
    if len(found) > 1:
        found.sort(key=lambda view: not context.cluster.is_live(view, now_ns))
    return found


def live_replicas(tx: Transaction, context: Context, block: Block) -> list[StorageView]:
    """Storages that a writer can update the committed block on."""
    cluster, now_ns = context.cluster, context.now_ns
    found = []
    for (_, storage_id), replica in tx.scan(REPLICA, (block.block_id,)):
        if replica.generation_stamp < block.generation_stamp or replica.corrupt:
            continue
        view = cluster.find(tx, now_ns, int(storage_id))
        if view is not None and cluster.is_live(view, now_ns):
            found.append(view)
    return found


def live_targets(tx: Transaction, context: Context, block: Block) -> list[StorageView]:
    """Storages that the block's present writer was given and that still live."""
    cluster, now_ns = context.cluster, context.now_ns
    views = (cluster.find(tx, now_ns, storage_id) for storage_id in block.targets)
    return [view for view in views if view is not None and cluster.is_live(view, now_ns)]


def locations(views: list[StorageView]) -> tuple[Location, ...]:
    """What a client is told of storages."""
    return tuple(view.location for view in views)


def last_before(tx: Transaction, inode_id: int, offset: int) -> tuple[int, Block] | None:
    """The last committed block that starts before ``offset``."""
    for (_, start), block in tx.scan(BLOCK, (inode_id,), after=(offset,), reverse=True):
        if block.generation_stamp:
            return int(start), block
    return None


def first_after(tx: Transaction, inode_id: int, offset: int) -> tuple[int, Block] | None:
    """The first committed block that starts after ``offset``."""
    for (_, start), block in tx.scan(BLOCK, (inode_id,), after=(offset,)):
        if block.generation_stamp:
            return int(start), block
    return None
