"""Giving a writer a block: a new one, or an existing one to change in place or past its end.

The stamp that is given out is the fence: it is above every stamp that was given for the block before, so
a datanode refuses the writers of before, and only the writer with the last stamp can commit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from oastfs.core.errors import BlockNotFound, InvalidArgument, LeaseConflict, StaleBlock
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import LocatedBlock
from oastfs.namenode import leases, quotas
from oastfs.namenode.blocks import commands, recover
from oastfs.namenode.blocks.drop import drop_block
from oastfs.namenode.blocks.locate import last_before, live_replicas, live_targets, locations
from oastfs.namenode.blocks.place import place
from oastfs.namenode.blocks.spill import is_only_here
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.staging import known
from oastfs.store.schema import BLOCK, BLOCK_OWNER, Block, BlockOwner, Inode
from oastfs.store.table import PARTITION_MASK, Lock
from oastfs.store.transaction import Transaction

FIRST_STAMP: Final = 1
"""Generation stamp of a new block."""


def allocate(
    tx: Transaction,
    context: Context,
    inode: Inode,
    holder: str,
    offset: int,
    exclude: list[int],
    local_host: str,
    path: str,
    *,
    knows_only_blocks: bool = False,
    favored: Collection[int] = (),
) -> LocatedBlock:
    """A new block at ``offset`` with storages to write it to. Raises NoDatanodes, LeaseConflict and others.

    What a writer that ``knows_only_blocks`` puts into it may end inline. ``favored`` datanodes come first.
    """
    _check_free(tx, context, inode, holder, offset, path)
    quotas.require_room(tx, inode, inode.block_size or context.info.block_size)
    targets = place(tx, context, inode, exclude, local_host, favored)
    block_id = context.take_block_id(tx, inode.id & PARTITION_MASK)
    staged = b"" if knows_only_blocks else None
    if knows_only_blocks:
        context.environment.staging.give_out(block_id)
    block = Block(block_id, 0, 0, FIRST_STAMP, holder, tuple(view.storage_id for view in targets), staged)
    tx.put(BLOCK, (inode.id, offset), block)
    tx.put(BLOCK_OWNER, (block_id,), BlockOwner(inode.id, offset))
    return LocatedBlock(block_id, FIRST_STAMP, offset, 0, locations(targets), True)


def begin_append(
    tx: Transaction, context: Context, inode: Inode, holder: str, local_host: str, path: str
) -> LocatedBlock:
    """A block that stands for an inline file's content, for a writer that knows only blocks to append to."""
    block = allocate(tx, context, inode, holder, 0, [], local_host, path, knows_only_blocks=True)
    return msgspec.structs.replace(block, length=inode.length)


def begin_update(
    tx: Transaction, context: Context, inode: Inode, holder: str, offset: int, block_id: int, path: str
) -> LocatedBlock:
    """A new stamp for an existing block, and the replicas to write to. Raises BlockNotFound.

    What was staged of a new block stays: it is staged when it has ended, and under a newer stamp its writer
    only makes sure of that. (Some HDFS clients ask for a stamp and then do without it.)
    """
    block = tx.get(BLOCK, (inode.id, offset), Lock.EXCLUSIVE)
    if block is None or block.block_id != block_id:
        raise StaleBlock(f"the file has no block {block_id} at {offset} (any more)", path=path)
    if block.pending_stamp and block.holder == leases.RECOVERY:
        raise LeaseConflict(f"block {block_id} is being recovered: try again", path=path)
    if not block.generation_stamp and block.holder != holder:
        raise LeaseConflict(f"block {block_id} is being written by {block.holder!r}", path=path)
    if is_only_here(tx, context, block):
        raise LeaseConflict(f"block {block_id} is on its way to datanodes: try again", path=path)
    targets = _update_targets(tx, context, block, holder)
    if not targets:
        raise BlockNotFound(f"no live datanode has block {block_id}: it cannot be changed now", path=path)
    for view in targets:
        # A copy made of a replica that is being written would be neither the old content nor the new.
        commands.withdraw(tx, view, block_id, commands.COPY)
    block = known(context, block)
    stamp = max(block.generation_stamp, block.pending_stamp) + 1
    storage_ids = tuple(view.storage_id for view in targets)
    staged = b"" if block.staged and block.generation_stamp else block.staged
    changed = msgspec.structs.replace(
        block, pending_stamp=stamp, holder=holder, targets=storage_ids, staged=staged
    )
    tx.put(BLOCK, (inode.id, offset), changed)
    return LocatedBlock(
        block_id, stamp, offset, block.length, locations(targets), True, block.generation_stamp
    )


def abandon(tx: Transaction, context: Context, inode: Inode, holder: str, block_id: int) -> Inode:
    """Give up what ``holder`` was writing into a block; the inode as it is then, to be saved.

    A block that is not this holder's (any more) is left alone: the call may come twice.
    """
    owner = tx.get(BLOCK_OWNER, (block_id,))
    if owner is None or owner.inode_id != inode.id:
        return inode
    block = tx.get(BLOCK, (inode.id, owner.offset), Lock.EXCLUSIVE)
    if block is None or block.block_id != block_id or not block.pending_stamp or block.holder != holder:
        return inode
    if block.generation_stamp:
        return recover.begin_block(tx, context, inode, owner.offset, block)
    drop_block(tx, context, inode.id, owner.offset, block)
    return inode


def _check_free(tx: Transaction, context: Context, inode: Inode, holder: str, offset: int, path: str) -> None:
    """Nothing may be at the offset but an uncommitted block, which is dropped."""
    if not 0 <= offset < FILE_BYTES_MAX:
        raise InvalidArgument(f"a block cannot start at {offset}", path=path)
    existing = tx.get(BLOCK, (inode.id, offset), Lock.EXCLUSIVE)
    if existing is not None:
        if existing.generation_stamp:
            raise InvalidArgument(f"there is a block at {offset} already: update it", path=path)
        other = existing.holder != holder
        if other and not leases.is_expired(tx, existing.holder, context.now_ns):
            raise LeaseConflict(f"{existing.holder!r} is writing a block at {offset}: try again", path=path)
        drop_block(tx, context, inode.id, offset, existing)
    before = last_before(tx, inode.id, offset) if offset else None
    if before is not None and before[0] + before[1].length > offset:
        raise InvalidArgument(f"the block at {before[0]} covers {offset} already: update it", path=path)


def _update_targets(tx: Transaction, context: Context, block: Block, holder: str) -> list[StorageView]:
    """Replicas whose bytes agree, or will once this writer has sent again what was not acknowledged.

    While a writer is at a block its replicas may differ in what is not committed. That writer sends
    such bytes again to those that it had; for any other writer only one of them can be taken.
    """
    if not block.pending_stamp:
        return live_replicas(tx, context, block)
    targets = live_targets(tx, context, block)
    if not block.generation_stamp:
        return targets
    live = live_replicas(tx, context, block)
    held = {view.storage_id for view in targets}
    agreeing = [view for view in live if view.storage_id in held]
    return agreeing if agreeing and block.holder == holder else (agreeing or live)[:1]


def retarget(
    tx: Transaction, context: Context, inode_id: int, offset: int, block: Block, targets: tuple[int, ...]
) -> None:
    """Let a pending block be written to other storages than it was given, as a mended pipeline has it.

    Those that are left out may hold some of it: under the pending stamp they must not be taken for good.
    """
    for storage_id in set(block.targets) - set(targets):
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            commands.order_delete(tx, view, block.block_id, block.pending_stamp - 1)
    tx.put(BLOCK, (inode_id, offset), msgspec.structs.replace(block, targets=targets, shortened=False))


def take_back_stamps(
    tx: Transaction, inode: Inode, holder: str, block_id: int, generation_stamp: int
) -> bool:
    """Forget newer stamps that a new block's writer was given, if it ends the block under an earlier one.

    HDFS's clients in Go ask for a stamp whenever a block is written, and set up no pipeline with it. Whether
    there was anything to forget.
    """
    owner = tx.get(BLOCK_OWNER, (block_id,))
    if owner is None or owner.inode_id != inode.id:
        return False
    block = tx.get(BLOCK, (inode.id, owner.offset), Lock.EXCLUSIVE)
    if block is None or block.block_id != block_id or block.generation_stamp or block.holder != holder:
        return False
    if not FIRST_STAMP <= generation_stamp < block.pending_stamp:
        return False
    changed = msgspec.structs.replace(block, pending_stamp=generation_stamp)
    tx.put(BLOCK, (inode.id, owner.offset), changed)
    return True
