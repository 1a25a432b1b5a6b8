"""Small files of clients that know only blocks: written to datanodes, kept inline.

Such a client writes even ten bytes as a block. The datanode that is first in its pipeline has a namenode
*stage* the block's bytes, in the block's row, before it acknowledges the last packet; so what is
acknowledged needs no sync of the datanode's disk. When the file is completed, the staged
bytes become its inline content and the block is forgotten; datanodes find that out by asking (``settle``),
so no command has to be written for any of them. The namenode that gave the block out may spare the row and
keep the bytes until then (``staging.py``).

Only a file's one and only block is staged, when it is not full and its writer is alone: else more
blocks could follow, and it has to be a block. A sync commits what there is as a block, as readers want it; it
may become inline content afterwards.

To append to an inline file such a client gets a block that stands for the content
(``allocate.begin_append``): datanodes fetch its bytes with ``read`` when they are first asked for it. The
content itself stays until something takes its place.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from oastfs.core.errors import StaleHandle
from oastfs.core.types import Flag
from oastfs.namenode import leases, tree
from oastfs.namenode.blocks import commands
from oastfs.namenode.blocks.drop import drop_block
from oastfs.namenode.blocks.spill import hand_out
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.staging import known
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    CONTENT,
    COUNTER,
    DATANODE_COMMAND,
    OPEN_FILE,
    REPLICA,
    Block,
    BlockOwner,
    Content,
    Inode,
)
from oastfs.store.table import PARTITION_BITS, Lock
from oastfs.store.transaction import Transaction


class Outcome(enum.IntEnum):
    """What is to become of a small replica, as the control plane's messages have it."""

    WAIT = 0
    """It is still being written, or its file is not completed yet."""
    KEEP = 1
    """It is a block."""
    DISCARD = 2
    """Its content is inline, or its file is gone."""
    OFFER = 3
    """It has ended, and nothing is known of its content: it is to be offered (again)."""


# --- asked by datanodes ---------------------------------------------------------------------------


def stage(tx: Transaction, context: Context, block_id: int, stamp: int, data: bytes) -> bool:
    """Keep the whole content of a block for its writer; False if it has to be a block."""
    found = _find(tx, block_id)
    if found is None or not _may_be_staged(tx, context, *found, stamp, data):
        return False
    inode, block = found
    if block.staged != data:
        tx.put(BLOCK, (inode.id, 0), msgspec.structs.replace(block, staged=data))
    return True


def may_be_kept(tx: Transaction, context: Context, block_id: int, stamp: int, data: bytes) -> bool:
    """Whether a block may be staged, and is that of a new file, which is likely to be completed next."""
    found = _find(tx, block_id)
    if found is None or found[0].length or found[1].generation_stamp or found[1].staged:
        return False
    return _may_be_staged(tx, context, *found, stamp, data)


def _may_be_staged(
    tx: Transaction, context: Context, inode: Inode, block: Block, stamp: int, data: bytes
) -> bool:
    if stamp != (block.pending_stamp or block.generation_stamp):
        return False
    if not inode.length <= len(data) <= context.info.inline_limit or not data:
        return False
    if len(data) >= (inode.block_size or context.info.block_size):
        return False
    return _is_written_alone(tx, inode, block) and _is_only_block(tx, inode)


def read(tx: Transaction, context: Context, datanode_id: int, block_id: int) -> tuple[bytes, int] | None:
    """Content that a block stands for, and which of the datanode's storages it belongs to; else None."""
    owner = tx.get(BLOCK_OWNER, (block_id,))
    block = None if owner is None else tx.get(BLOCK, (owner.inode_id, owner.offset))
    if block is None or block.block_id != block_id:
        return None
    data = block.staged if block.generation_stamp else b""
    if not data:
        found = _find(tx, block_id)
        if found is None:
            return None
        data = known(context, found[1]).staged or _content(tx, context, found[0])
    storage_id = _storage_on(tx, context, block, datanode_id)
    return (data, storage_id) if storage_id and data else None


def settle(tx: Transaction, context: Context, replicas: Sequence[tuple[int, int]]) -> list[Outcome]:
    """What has become of replicas that have ended, given as (block id, stamp)."""
    owners = tx.get_many(BLOCK_OWNER, [(block_id,) for block_id, _ in replicas])
    keys = [(owner.inode_id, owner.offset) for owner in owners if owner is not None]
    rows = iter(tx.get_many(BLOCK, keys))
    outcomes = []
    for (block_id, stamp), owner in zip(replicas, owners, strict=True):
        block = None if owner is None else next(rows)
        if block is None or block.block_id != block_id:
            outcomes.append(Outcome.DISCARD if was_given_out(tx, block_id) else Outcome.KEEP)
        elif block.pending_stamp == stamp and known(context, block).staged == b"":
            outcomes.append(Outcome.OFFER)
        else:
            outcomes.append(Outcome.WAIT if _may_become_inline(tx, owner, block) else Outcome.KEEP)
    return outcomes


def _may_become_inline(tx: Transaction, owner: BlockOwner | None, block: Block) -> bool:
    if block.pending_stamp or not block.staged or owner is None:
        return block.pending_stamp != 0
    rows = tx.scan(BLOCK, (owner.inode_id,), limit=2)
    is_open = any(True for _ in tx.scan(OPEN_FILE, (owner.inode_id,), limit=1))
    return is_open and sum(1 for _ in rows) == 1


def unstage_synced(tx: Transaction, replicas: Sequence[tuple[int, int]]) -> None:
    """Datanodes have synced blocks whose staged bytes they relied on: these are no longer needed."""
    for block_id, stamp in replicas:
        owner = tx.get(BLOCK_OWNER, (block_id,))
        block = None if owner is None else tx.get(BLOCK, (owner.inode_id, owner.offset), Lock.EXCLUSIVE)
        if owner is None or block is None or block.block_id != block_id or not block.staged:
            continue
        if block.generation_stamp == stamp and not _may_become_inline(tx, owner, block):
            tx.put(BLOCK, (owner.inode_id, owner.offset), msgspec.structs.replace(block, staged=None))


def was_given_out(tx: Transaction, block_id: int) -> bool:
    """Whether the id can be of a block that existed. An unknown id is not ours to remove."""
    counter = tx.get(COUNTER, ("block",))
    return counter is not None and block_id >> PARTITION_BITS < counter.value


# --- at the end of a file -------------------------------------------------------------------------


def take_over(
    tx: Transaction, context: Context, inode: Inode, holder: str, block_id: int, stamp: int, length: int
) -> Inode | None:
    """Make a file inline that ``holder`` completes with this block; the inode as it is then, to be saved.

    None if it has to be a block: then it is committed as any other.
    """
    block = _only_known(tx, inode, block_id)
    if block is None:
        return None
    if block.pending_stamp and block.holder != holder:
        return None
    if stamp != (block.pending_stamp or block.generation_stamp):
        return None
    inode_then = adopt(tx, context, inode, known(context, block), length)
    if inode_then is not None:
        context.environment.staging.use(block_id)
    return inode_then


def is_doubtful(tx: Transaction, context: Context, inode: Inode, block_id: int, length: int) -> bool:
    """Whether a small block that is to be committed may be nowhere but in datanodes' memory.

    One that was offered is not: its bytes are here, and are written when it is committed.
    """
    block = _only_known(tx, inode, block_id)
    if block is None or block.generation_stamp:
        return False
    if not 0 < length <= context.info.inline_limit or length >= (inode.block_size or context.info.block_size):
        return False
    unknown = known(context, block).staged == b""
    return unknown and not inode.length and context.environment.staging.is_doubtful(block_id)


def adopt(tx: Transaction, context: Context, inode: Inode, block: Block, length: int) -> Inode | None:
    """Make what a block holds the inline content, if those ``length`` bytes are known here."""
    if block.staged is None or not length or block.shortened or not _is_only_block(tx, inode):
        return None
    if len(block.staged) == length:
        tx.put(CONTENT, (inode.id,), Content(block.staged))
        if block.generation_stamp:
            drop_block(tx, context, inode.id, 0, block)
        else:
            tx.delete(BLOCK_OWNER, (block.block_id,))
            tx.delete(BLOCK, (inode.id, 0))
    elif not block.staged and length == inode.length and stands_for_content(inode, 0, block):
        drop_block(tx, context, inode.id, 0, block)  # nothing was appended
    else:
        return None
    return tree.with_attributes(
        inode,
        length=length,
        mtime_ns=context.now_ns,
        ctime_ns=context.now_ns,
        flags=inode.flags & ~int(Flag.BLOCKS),
    )


def expel(
    tx: Transaction, context: Context, inode: Inode, holder: str, block_id: int, length: int
) -> Inode | None:
    """Make inline content a file's first block, because another is to follow it; the inode as it is then.

    None if the block does not stand for the content, or holds more by now. The bytes stay staged until a
    datanode has fetched them: all of its targets are told to.
    """
    found = _find(tx, block_id)
    if found is None or found[0].id != inode.id or length != inode.length:
        return None
    block, data = found[1], _content(tx, context, inode)
    if not stands_for_content(inode, 0, block) or block.staged or block.holder != holder or not data:
        return None
    tx.delete(CONTENT, (inode.id,))
    hand_out(tx, context, inode.id, 0, block_id, block.pending_stamp, data, block.targets)
    return tree.with_attributes(inode, flags=inode.flags | int(Flag.BLOCKS), ctime_ns=context.now_ns)


def fetched(tx: Transaction, view: StorageView, block_id: int, stamp: int) -> None:
    """A datanode has made its replica of an expelled block final."""
    command = tx.get(DATANODE_COMMAND, (view.datanode_id, block_id, commands.RECOVER))
    if command is not None and command.new_stamp == stamp:
        commands.withdraw(tx, view, block_id, commands.RECOVER)


def keep_open(tx: Transaction, inode: Inode, offset: int, before: Block) -> None:
    """A block was committed by a sync, and its writer goes on: it may end inline all the same."""
    block = tx.get(BLOCK, (inode.id, offset))
    if block is not None and before.staged == b"" and not block.staged and not offset:
        tx.put(BLOCK, (inode.id, offset), msgspec.structs.replace(block, staged=b""))


def stands_for_content(inode: Inode, offset: int, block: Block) -> bool:
    """Whether a pending block holds an inline file's content and what is appended to it."""
    return (
        block.staged is not None
        and offset == 0
        and not block.generation_stamp
        and inode.length > 0
        and not inode.flags & Flag.BLOCKS
    )


# --- rows -----------------------------------------------------------------------------------------


def _find(tx: Transaction, block_id: int) -> tuple[Inode, Block] | None:
    """The first block of a file, while a client that knows only blocks writes it, and the file."""
    owner = tx.get(BLOCK_OWNER, (block_id,))
    if owner is None or owner.offset:
        return None
    block = tx.get(BLOCK, (owner.inode_id, 0), Lock.EXCLUSIVE)
    if block is None or block.block_id != block_id or block.staged is None:
        return None
    try:
        inode = tree.resolve_id(tx, owner.inode_id).inode
    except StaleHandle:
        return None
    return None if inode.flags & Flag.BLOCKS and not block.generation_stamp else (inode, block)


def _only_known(tx: Transaction, inode: Inode, block_id: int) -> Block | None:
    """As ``_find``, for who has the file."""
    block = tx.get(BLOCK, (inode.id, 0), Lock.EXCLUSIVE)
    if block is None or block.block_id != block_id or block.staged is None:
        return None
    return None if inode.flags & Flag.BLOCKS and not block.generation_stamp else block


def _is_written_alone(tx: Transaction, inode: Inode, block: Block) -> bool:
    """Whether the file has an exclusive writer, whose block it is unless it was committed by a sync."""
    for holder, row in leases.holders(tx, inode):
        if row.exclusive:
            return holder != leases.RECOVERY and (not block.pending_stamp or holder == block.holder)
    return False


def _is_only_block(tx: Transaction, inode: Inode) -> bool:
    return sum(1 for _ in tx.scan(BLOCK, (inode.id,), limit=2)) == 1


def _storage_on(tx: Transaction, context: Context, block: Block, datanode_id: int) -> int:
    storage_ids = block.targets or tuple(int(key[1]) for key, _ in tx.scan(REPLICA, (block.block_id,)))
    for storage_id in storage_ids:
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None and view.datanode_id == datanode_id:
            return storage_id
    return 0


def _content(tx: Transaction, context: Context, inode: Inode) -> bytes:
    """Inline content, whole; nothing of a file that is not inline, or was extended beyond what may be."""
    if inode.flags & Flag.BLOCKS or inode.length > context.info.inline_limit:
        return b""
    row = tx.get(CONTENT, (inode.id,)) if inode.length else None
    data = b"" if row is None else row.data  # without a row it is all zeros
    return data[: inode.length].ljust(inode.length, b"\0")
