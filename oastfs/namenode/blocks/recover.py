"""Settling blocks whose writer is gone, so that all replicas agree again.

While a block is written its replicas may differ in what was not committed. One live datanode is told to
make its replica final under a new stamp; what it then reports is committed with that replica alone, the
others are stale and are replaced (HDFS lease and block recovery, with one replica instead of a
negotiation between all: copies are made by the replication job anyway).

Meanwhile the block's holder is ``leases.RECOVERY``. Another datanode is never told the same stamp: a
late report of the first one then cannot be mistaken.
"""

from __future__ import annotations

import msgspec

from oastfs.core.types import BlockCommit, Flag
from oastfs.namenode import leases, tree
from oastfs.namenode.blocks import commands, commit, drop, inline
from oastfs.namenode.blocks.locate import first_after, last_before, live_replicas, live_targets
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.staging import known
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    CONTENT,
    DATANODE_COMMAND,
    OPEN_FILE,
    Block,
    Inode,
    OpenFile,
)
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction


def begin_file(tx: Transaction, context: Context, inode: Inode, holder: str, *, alive: bool = False) -> Inode:
    """End a holder's claim on a file, settling what it left behind; the inode as it is then, to be saved.

    An exclusive writer's new blocks are kept as far as a datanode has them (HDFS: what was flushed
    outlives its writer); a shared writer's are dropped, and so are blocks that would replace inline
    content that is safe, but for those that hold it with something appended. Staged bytes become content.
    The pipelines of one that may be ``alive`` are ended, too, though all that it wrote is committed.
    """
    row = tx.get(OPEN_FILE, (inode.id, holder), Lock.EXCLUSIVE)
    if row is None:
        return inode
    inline_before = _has_inline_content(tx, inode)
    left = [
        (int(key[1]), known(context, block))
        for key, block in tx.scan(BLOCK, (inode.id,))
        if (block.pending_stamp and block.holder == holder) or (row.exclusive and block.staged)
    ]
    for offset, block in left:
        if row.exclusive and block.staged:
            adopted = inline.adopt(tx, context, inode, block, len(block.staged))
            if adopted is not None:
                inode = adopted
                continue
        keep_new = row.exclusive and (block.staged is not None or not inline_before)
        if block.generation_stamp or keep_new:
            inode = begin_block(tx, context, inode, offset, block, row.exclusive)
        else:
            drop.drop_block(tx, context, inode.id, offset, block)
    if row.exclusive or alive:
        inode = _begin_tail(tx, context, inode, row.exclusive)
    return leases.release(tx, inode, holder)


def _begin_tail(tx: Transaction, context: Context, inode: Inode, exclusive: bool) -> Inode:
    """Have a last block settled that is committed, and that its writer could go on with.

    HDFS's clients tell the namenode of a flush only once for each pipeline, and some of none when they
    append under the stamp that a block has: such flushes, which are as good as promised, only the datanodes
    know. And the stamp that is given for it is what ends a pipeline.
    """
    last = next(iter(tx.scan(BLOCK, (inode.id,), limit=1, reverse=True)), None)
    if last is None:
        return inode
    offset, block = int(last[0][1]), last[1]
    if block.pending_stamp or block.length >= (inode.block_size or context.info.block_size):
        return inode
    return begin_block(tx, context, inode, offset, block, exclusive)


def give_up(tx: Transaction, context: Context, inode: Inode, holder: str) -> Inode:
    """Undo what ``holder`` was writing, at its own wish; the inode as it is then, to be saved.

    Blocks that were never committed go. Others keep what was committed, but their replicas may differ in
    the rest, so a datanode has to settle them.
    """
    pending = [
        (int(key[1]), row)
        for key, row in tx.scan(BLOCK, (inode.id,))
        if row.pending_stamp and row.holder == holder
    ]
    for offset, block in pending:
        if block.generation_stamp:
            inode = begin_block(tx, context, inode, offset, block)
        else:
            drop.drop_block(tx, context, inode.id, offset, block)
    return inode


def begin_block(
    tx: Transaction, context: Context, inode: Inode, offset: int, block: Block, exclusive: bool = False
) -> Inode:
    """Have one block settled by a datanode; the inode as it is then, to be saved.

    A block that was never committed and that no live datanode can have is dropped.
    """
    target = _next_target(tx, context, block)
    if target is None and not block.generation_stamp:
        drop.drop_block(tx, context, inode.id, offset, block)
        return inode
    stamp = max(block.generation_stamp, block.pending_stamp) + 1
    known = tx.get(OPEN_FILE, (inode.id, leases.RECOVERY))
    if known is None or (exclusive and not known.exclusive):
        tx.put(OPEN_FILE, (inode.id, leases.RECOVERY), OpenFile(exclusive, context.now_ns))
    _withdraw_all(tx, context, block)
    if target is not None:
        commands.order_recover(tx, target, block.block_id, block.generation_stamp, block.length, stamp)
    # The one that was told first: the others are those that remain, should it fail.
    order = (target.storage_id,) if target is not None else ()
    others = tuple(storage_id for storage_id in block.targets if storage_id not in order)
    changed = msgspec.structs.replace(
        block,
        pending_stamp=stamp,
        holder=leases.RECOVERY,
        targets=order + others,
        # What datanodes may still have to fetch stays.
        staged=block.staged if block.staged is None or block.generation_stamp else b"",
    )
    tx.put(BLOCK, (inode.id, offset), changed)
    return tree.with_attributes(inode, flags=inode.flags | int(Flag.OPEN))


def settled(
    tx: Transaction, context: Context, block_id: int, storage_id: int, stamp: int, length: int
) -> bool:
    """A datanode reports that it made its replica final; whether that was still wanted."""
    found = _in_recovery(tx, block_id)
    if found is None or found[2].pending_stamp != stamp or found[2].targets[:1] != (storage_id,):
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            inline.fetched(tx, view, block_id, stamp)
        return False
    node, offset, block = found
    inode = node.inode
    final_length = _final_length(tx, context, inode, offset, block, length)
    if final_length == 0:
        drop.drop_block(tx, context, inode.id, offset, block)
    else:
        one = BlockCommit(block_id, stamp, offset, final_length, (storage_id,))
        commit.commit_block(tx, context, inode, one, block, shortened=length > final_length)
        inode = tree.with_attributes(
            inode,
            length=max(inode.length, offset + final_length),
            mtime_ns=context.now_ns,
            ctime_ns=context.now_ns,
            flags=inode.flags | int(Flag.BLOCKS),
        )
        tx.delete(CONTENT, (inode.id,))
    _withdraw_all(tx, context, block)
    # The bytes are there: a quota cannot undo that.
    tree.save(tx, node, close_if_settled(tx, inode), enforce_quota=False)
    return True


def failed(tx: Transaction, context: Context, block_id: int, storage_id: int) -> None:
    """A datanode reports that it has no replica to settle: ask the next one."""
    found = _in_recovery(tx, block_id)
    if found is None or found[2].targets[:1] != (storage_id,):
        return
    node, offset, block = found
    remaining = msgspec.structs.replace(block, targets=block.targets[1:])
    inode = begin_block(tx, context, node.inode, offset, remaining)
    tree.save(tx, node, close_if_settled(tx, inode))


def ask_again(tx: Transaction, context: Context, inode: Inode) -> Inode:
    """Turn to other datanodes where the one that was asked is gone; the inode as it is then."""
    for key, block in list(tx.scan(BLOCK, (inode.id,))):
        if not block.pending_stamp or block.holder != leases.RECOVERY:
            continue
        asked = context.cluster.find(tx, context.now_ns, block.targets[0]) if block.targets else None
        if asked is not None and context.cluster.is_live(asked, context.now_ns):
            command = (asked.datanode_id, block.block_id, commands.RECOVER)
            if tx.get(DATANODE_COMMAND, command) is not None:
                continue
        inode = begin_block(tx, context, inode, int(key[1]), block)
    return close_if_settled(tx, inode)


def close_if_settled(tx: Transaction, inode: Inode) -> Inode:
    """End the recovery of a file that has no block left to settle."""
    if any(row.holder == leases.RECOVERY and row.pending_stamp for _, row in tx.scan(BLOCK, (inode.id,))):
        return inode
    return leases.release(tx, inode, leases.RECOVERY)


def _in_recovery(tx: Transaction, block_id: int) -> tuple[tree.Node, int, Block] | None:
    owner = tx.get(BLOCK_OWNER, (block_id,))
    block = None if owner is None else tx.get(BLOCK, (owner.inode_id, owner.offset), Lock.EXCLUSIVE)
    if owner is None or block is None or block.holder != leases.RECOVERY or not block.pending_stamp:
        return None
    return tree.resolve_id(tx, owner.inode_id), owner.offset, block


def _next_target(tx: Transaction, context: Context, block: Block) -> StorageView | None:
    """Whom to ask: one that the last writer had, and for committed bytes one that has all of them."""
    targets = live_targets(tx, context, block)
    if not block.generation_stamp:
        return targets[0] if targets else None
    live = live_replicas(tx, context, block)
    ids = {view.storage_id for view in live}
    preferred = [view for view in targets if view.storage_id in ids] or live
    return preferred[0] if preferred else None


def _final_length(
    tx: Transaction, context: Context, inode: Inode, offset: int, block: Block, length: int
) -> int:
    """Bytes of a settled block: as many as the replica has, if they can belong to the file."""
    recovering = tx.get(OPEN_FILE, (inode.id, leases.RECOVERY))
    if block.generation_stamp and not (recovering is not None and recovering.exclusive):
        # Of a shared file only what was committed: the rest may be what a truncation cut off.
        return block.length
    if block.shortened:
        return block.length
    limit = commit.length_max(inode, context.info.block_size, offset)
    following = first_after(tx, inode.id, offset)
    if following is not None:
        limit = min(limit, following[0] - offset)
    before = last_before(tx, inode.id, offset)
    if not block.generation_stamp:
        covered = before is not None and before[0] + before[1].length > offset
        appended = inline.stands_for_content(inode, offset, block) and length > inode.length
        if covered or (_has_inline_content(tx, inode) and not appended):
            return 0
    return max(block.length, min(length, limit))


def _has_inline_content(tx: Transaction, inode: Inode) -> bool:
    return not inode.flags & Flag.BLOCKS and tx.get(CONTENT, (inode.id,)) is not None


def _withdraw_all(tx: Transaction, context: Context, block: Block) -> None:
    for storage_id in block.targets:
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            commands.withdraw(tx, view, block.block_id, commands.RECOVER)
