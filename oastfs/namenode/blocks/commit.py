"""Making written blocks part of the file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from oastfs.core.errors import InvalidArgument, StaleBlock
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import BlockCommit, Flag
from oastfs.namenode import tree
from oastfs.namenode.blocks import commands
from oastfs.namenode.blocks.locate import first_after, last_before
from oastfs.namenode.context import Context
from oastfs.namenode.staging import known
from oastfs.store.schema import BLOCK, CONTENT, OPEN_FILE, REPLICA, Block, Inode, Replica
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction


def apply_commits(
    tx: Transaction, context: Context, inode: Inode, holder: str, commits: Sequence[BlockCommit], path: str
) -> Inode:
    """Commit blocks; the inode as it is then, for the caller to save. Raises StaleBlock.

    Its length reaches as far as the blocks do. Inline content goes: the blocks replace it.
    """
    end = inode.length
    for one in commits:
        block = tx.get(BLOCK, (inode.id, one.offset), Lock.EXCLUSIVE)
        if block is None or not _may_commit(tx, inode, block, one, holder):
            raise StaleBlock(
                f"block {one.block_id} at {one.offset} with stamp {one.generation_stamp} was replaced, "
                "cut off or taken over by another writer",
                path=path,
            )
        if block.pending_stamp == 0 and block.length == one.length:
            if block.staged == b"":
                tx.put(BLOCK, (inode.id, one.offset), msgspec.structs.replace(block, staged=None))
            continue  # made again, or nothing was written since
        _check(tx, inode, block, one, context.info.block_size, path)
        commit_block(tx, context, inode, one, block)
        end = max(end, one.offset + one.length)
    if not commits:
        return inode
    if not inode.flags & Flag.BLOCKS:
        tx.delete(CONTENT, (inode.id,))
    return tree.with_attributes(
        inode,
        length=end,
        mtime_ns=context.now_ns,
        ctime_ns=context.now_ns,
        flags=inode.flags | int(Flag.BLOCKS),
    )


def is_applied(tx: Transaction, inode: Inode, commits: Sequence[BlockCommit]) -> bool:
    """Whether all of it was committed before: the answer to a call that is made again."""
    rows = tx.get_many(BLOCK, [(inode.id, one.offset) for one in commits])
    return all(
        row is not None
        and row.block_id == one.block_id
        and row.generation_stamp == one.generation_stamp
        and row.length >= one.length
        for row, one in zip(rows, commits, strict=True)
    )


def commit_block(
    tx: Transaction,
    context: Context,
    inode: Inode,
    one: BlockCommit,
    block: Block,
    shortened: bool = False,
) -> None:
    """Write the committed block, its replicas, and what has to become of replicas that are left behind."""
    block = known(context, block)
    named = _trusted(tx, one)
    _leave_behind(tx, context, one, named, block)
    committed = Block(block.block_id, one.length, one.generation_stamp, shortened=shortened)
    if block.staged and len(block.staged) == one.length:
        # Another block follows: the staged bytes stay until the datanodes that relied on them, and may hold
        # theirs in memory, have them on their disks. Those that lose them meanwhile fetch them.
        committed = msgspec.structs.replace(committed, staged=block.staged)
        for storage_id in named:
            view = context.cluster.find(tx, context.now_ns, storage_id)
            if view is not None:
                stamp = one.generation_stamp
                commands.order_recover(tx, view, one.block_id, stamp, one.length, stamp)
    tx.put(BLOCK, (inode.id, one.offset), committed)
    replica = Replica(one.generation_stamp)
    for storage_id in named:
        tx.put(REPLICA, (block.block_id, storage_id), replica)
    if len(named) != (inode.replication or context.info.replication):
        commands.need_check(tx, block.block_id, inode.id, one.offset, context.now_ns)


def _trusted(tx: Transaction, one: BlockCommit) -> set[int]:
    """The named storages, but for such as were found corrupt meanwhile, unless all were."""
    rows = tx.get_many(REPLICA, [(one.block_id, storage_id) for storage_id in one.storage_ids])
    pairs = zip(one.storage_ids, rows, strict=True)
    good = {storage_id for storage_id, row in pairs if row is None or not row.corrupt}
    return good or set(one.storage_ids)


def _leave_behind(tx: Transaction, context: Context, one: BlockCommit, named: set[int], block: Block) -> None:
    """Have replicas removed that did not take part to the end.

    One with an older stamp is stale. One that bears the stamp but is not named by the writer may lack
    some of the bytes, which nothing but a note that it is bad could tell.
    """
    replicas = {int(key[1]): row.generation_stamp for key, row in tx.scan(REPLICA, (block.block_id,))}
    # Targets whose row is older were given the new stamp: what they hold is unknown, too.
    replicas.update((storage_id, one.generation_stamp) for storage_id in block.targets)
    for storage_id, stamp in replicas.items():
        if storage_id in named:
            continue
        # Whatever a stale replica's row says: an unfinished update may have raised its stamp since.
        highest = one.generation_stamp - 1
        if stamp > highest:
            highest = one.generation_stamp
            tx.put(REPLICA, (block.block_id, storage_id), Replica(one.generation_stamp, True))
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            commands.order_delete(tx, view, block.block_id, highest)


def _may_commit(tx: Transaction, inode: Inode, block: Block, one: BlockCommit, holder: str) -> bool:
    """The last writer with the last stamp; or again under the stamp that was committed last.

    After a sync a writer may go on appending with its pipeline: while nobody was given a newer stamp it
    commits what it added. (To change committed bytes it needs a new stamp: a copy that is under way
    could otherwise pass for the new content.)
    """
    if block.block_id != one.block_id:
        return False
    if block.pending_stamp:
        return block.pending_stamp == one.generation_stamp and block.holder == holder
    if block.generation_stamp != one.generation_stamp:
        return False
    if not block.shortened or one.length <= block.length:
        return True
    # Its replicas still hold what was cut off, unless their writer began after that, as nobody else writes.
    claim = tx.get(OPEN_FILE, (inode.id, holder))
    return claim is not None and claim.exclusive


def length_max(inode: Inode, block_size: int, offset: int) -> int:
    """How long a block at the offset may be: ``block_size`` is for files that have none of their own."""
    return min(inode.block_size or block_size, FILE_BYTES_MAX - offset)


def _check(tx: Transaction, inode: Inode, block: Block, one: BlockCommit, block_size: int, path: str) -> None:
    limit = length_max(inode, block_size, one.offset)
    if not block.length <= one.length <= limit:
        raise InvalidArgument(
            f"block {one.block_id} cannot have {one.length} bytes, but {block.length} to {limit}",
            path=path,
        )
    following = first_after(tx, inode.id, one.offset)
    if following is not None and one.offset + one.length > following[0]:
        raise StaleBlock(f"block {one.block_id} would reach over the one at {following[0]}", path=path)
    if not block.generation_stamp:
        before = last_before(tx, inode.id, one.offset)
        if before is not None and before[0] + before[1].length > one.offset:
            raise StaleBlock(f"block {one.block_id} would lie over the one at {before[0]}", path=path)
    _check_storages(tx, block, one, path)


def _check_storages(tx: Transaction, block: Block, one: BlockCommit, path: str) -> None:
    if block.pending_stamp:
        allowed = set(block.targets)
    else:
        allowed = {int(key[1]) for key, _ in tx.scan(REPLICA, (block.block_id,))}
    if not one.storage_ids:
        raise InvalidArgument(f"block {one.block_id} has no replica", path=path)
    if not allowed.issuperset(one.storage_ids):
        strange = sorted(set(one.storage_ids) - allowed)
        raise InvalidArgument(f"block {one.block_id} was not given to storages {strange}", path=path)
