"""Blocks of files: their order and lengths, owners, writers, and whether they have replicas enough."""

from __future__ import annotations

from itertools import groupby

import msgspec

from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.blocks import recover
from oastfs.namenode.blocks.commands import need_check
from oastfs.namenode.blocks.drop import drop_block
from oastfs.namenode.cluster import Cluster
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.report import Check, Repair, find
from oastfs.namenode.tree import Node
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    OPEN_FILE,
    RECLAIM_ID,
    REPLICA,
    REPLICATION_NEED,
    Block,
    BlockOwner,
    Inode,
)
from oastfs.store.table import PARTITION_BITS
from oastfs.store.transaction import Transaction


def check_blocks(check: Check) -> None:
    """One scan over all blocks, file by file; then over their owners."""
    files = _Files(check)
    for key, rows in groupby(check.tx.scan(BLOCK), key=lambda row: row[0][0]):
        files.begin(int(key))
        for (_, offset), block in rows:
            files.block(int(offset), block)
        files.end()
    _check_owners(check)


class _Files:
    """The file that is being looked at, and how far its blocks have come."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.tx = check.tx
        self.cluster = Cluster(check.dead_after_ns)
        self.inode_id = 0
        self.node: Node | None = None
        self.covered = 0
        self.committed = False

    def begin(self, inode_id: int) -> None:
        self.inode_id = inode_id
        self.node = find(self.tx, inode_id)
        self.covered = 0
        self.committed = False

    def end(self) -> None:
        """What is to be said of the file as a whole."""
        if self.node is None or not self.node.is_file:
            return
        check, inode = self.check, self.node.inode
        if self.committed and not inode.flags & Flag.BLOCKS:
            text = "its flags hide that its content is in blocks"
            repair = mend.set_flag(inode.id, Flag.BLOCKS, True)
            check.problem("flag", check.where(inode.id), text, repair)
        if self.committed and self.covered > inode.length:
            text = f"its blocks reach to {self.covered}, past its length {inode.length}"
            repair = mend.set_length(inode.id, self.covered)
            check.problem("length", check.where(inode.id), text, repair)

    def block(self, offset: int, block: Block) -> None:
        check = self.check
        check.report.checked["block"] += 1
        sequence = block.block_id >> PARTITION_BITS
        check.highest["block"] = max(check.highest["block"], sequence)
        if self.node is None or not self.node.is_file:
            text = f"block {block.block_id} at {offset} of a file that does not exist"
            repair = _drop(self.inode_id, offset, block.block_id)
            check.problem("block-without-file", f"inode {self.inode_id}", text, repair)
            return
        self._check_owner(offset, block)
        self._check_writer(offset, block)
        if not block.generation_stamp:
            return
        self.committed = True
        if offset < self.covered:
            text = (
                f"block {block.block_id} at {offset} lies over the one before, which reaches {self.covered}"
            )
            check.problem("overlap", check.where(self.inode_id), text)
        self.covered = max(self.covered, offset + block.length)
        limit = self.node.inode.block_size or check.info.block_size
        if not 0 <= block.length <= limit:
            text = f"block {block.block_id} at {offset} has {block.length} bytes, with {limit} at most"
            check.problem("bad-block", check.where(self.inode_id), text)
        self._check_replicas(self.node, offset, block)

    def _check_owner(self, offset: int, block: Block) -> None:
        owner = self.tx.get(BLOCK_OWNER, (block.block_id,))
        if owner is None or (owner.inode_id, owner.offset) != (self.inode_id, offset):
            text = f"block {block.block_id} at {offset} is not noted as this file's"
            repair = _put_owner(self.inode_id, offset, block.block_id)
            self.check.problem("block-owner", self.check.where(self.inode_id), text, repair)

    def _check_writer(self, offset: int, block: Block) -> None:
        check = self.check
        self._check_staged(offset, block)
        if not block.pending_stamp:
            if not block.generation_stamp or block.holder or block.targets:
                text = f"block {block.block_id} at {offset} is neither committed nor being written"
                repair = _clear_writer(self.inode_id, offset, block.block_id)
                check.problem("bad-block", check.where(self.inode_id), text, repair)
            return
        if block.pending_stamp <= block.generation_stamp or (block.length and not block.generation_stamp):
            text = f"stamps or length of block {block.block_id} at {offset} are impossible: {block}"
            check.problem("bad-block", check.where(self.inode_id), text)
        if self.tx.get(OPEN_FILE, (self.inode_id, block.holder)) is None:
            text = f"block {block.block_id} at {offset} is being written by {block.holder!r}, without a lease"
            repair = _end_writer(self.inode_id, offset, block.block_id)
            check.problem("block-without-writer", check.where(self.inode_id), text, repair)

    def _check_staged(self, offset: int, block: Block) -> None:
        """Before it is committed only a first block holds bytes, and as many as may be inline."""
        check = self.check
        if not block.staged:
            return
        if (offset and not block.generation_stamp) or len(block.staged) > check.info.inline_limit:
            text = (
                f"block {block.block_id} at {offset} holds {len(block.staged)} staged bytes it may not hold"
            )
            check.problem("bad-block", check.where(self.inode_id), text, _unstage(self.inode_id, offset))

    def _check_replicas(self, node: Node, offset: int, block: Block) -> None:
        """Health of a committed block; and that the replication job knows of one that lacks replicas."""
        check, tx = self.check, self.tx
        noted = live = 0
        for key, row in tx.scan(REPLICA, (block.block_id,)):
            name = f"replica of block {block.block_id} on storage {key[1]}"
            if row.generation_stamp > block.generation_stamp:
                text = f"{name} has stamp {row.generation_stamp}, above {block.generation_stamp}"
                check.problem("bad-replica", check.where(self.inode_id), text)
            elif row.corrupt:
                check.unhealthy("corrupt", check.where(self.inode_id), f"{name} is corrupt")
            elif row.generation_stamp < block.generation_stamp:
                check.unhealthy("stale", check.where(self.inode_id), f"{name} is stale")
            else:
                noted += 1
                view = self.cluster.find(tx, check.now_ns, int(key[1]))
                live += view is not None and self.cluster.is_live(view, check.now_ns)
        if node.parent_id == RECLAIM_ID:
            return
        wanted = node.inode.replication or check.info.replication
        if live < wanted:
            code = "under-replicated" if live else "missing"
            text = f"block {block.block_id} at {offset} has {live} live replicas of {wanted}"
            check.unhealthy(code, check.where(self.inode_id), text)
        if noted != wanted and tx.get(REPLICATION_NEED, (block.block_id,)) is None:
            text = (
                f"block {block.block_id} at {offset} has {noted} of {wanted} replicas, unknown to replication"
            )
            repair = _queue(block.block_id)
            check.problem("not-queued", check.where(self.inode_id), text, repair)


def _check_owners(check: Check) -> None:
    tx = check.tx
    for (key,), owner in tx.scan(BLOCK_OWNER):
        block_id = int(key)
        check.report.checked["block_owner"] += 1
        block = tx.get(BLOCK, (owner.inode_id, owner.offset))
        if block is None or block.block_id != block_id:
            text = f"it is noted as at {owner.offset} of inode {owner.inode_id}, and is not there"
            check.problem("owner-without-block", f"block {block_id}", text, _drop_owner(block_id))


# --- repairs --------------------------------------------------------------------------------------


def _drop(inode_id: int, offset: int, block_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        block = tx.get(BLOCK, (inode_id, offset))
        node = find(tx, inode_id)
        if block is not None and block.block_id == block_id and (node is None or not node.is_file):
            drop_block(tx, context, inode_id, offset, block)

    return mend_it


def _put_owner(inode_id: int, offset: int, block_id: int) -> Repair:
    """Unless another file's row claims the block as well: then the other keeps it."""

    def mend_it(tx: Transaction, context: Context) -> None:
        block = tx.get(BLOCK, (inode_id, offset))
        owner = tx.get(BLOCK_OWNER, (block_id,))
        other = None if owner is None else tx.get(BLOCK, (owner.inode_id, owner.offset))
        if block is None or block.block_id != block_id:
            return
        if other is None or other.block_id != block_id:
            tx.put(BLOCK_OWNER, (block_id,), BlockOwner(inode_id, offset))

    return mend_it


def _clear_writer(inode_id: int, offset: int, block_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        block = tx.get(BLOCK, (inode_id, offset))
        if block is None or block.block_id != block_id or block.pending_stamp:
            return
        if block.generation_stamp:
            tx.put(BLOCK, (inode_id, offset), Block(block_id, block.length, block.generation_stamp))
        else:
            drop_block(tx, context, inode_id, offset, block)

    return mend_it


def _end_writer(inode_id: int, offset: int, block_id: int) -> Repair:
    """As when a writer's lease expires: what was never committed goes, the rest is settled."""

    def mend_it(tx: Transaction, context: Context) -> None:
        block, node = tx.get(BLOCK, (inode_id, offset)), find(tx, inode_id)
        if node is None or block is None or block.block_id != block_id:
            return
        if tx.get(OPEN_FILE, (inode_id, block.holder)) is not None:
            return
        if not block.generation_stamp:
            drop_block(tx, context, inode_id, offset, block)
            return
        inode: Inode = recover.begin_block(tx, context, node.inode, offset, block)
        tree.save(tx, node, inode)

    return mend_it


def _unstage(inode_id: int, offset: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        block = tx.get(BLOCK, (inode_id, offset))
        if block is not None and block.staged:
            staged = None if block.generation_stamp or offset else b""
            tx.put(BLOCK, (inode_id, offset), msgspec.structs.replace(block, staged=staged))

    return mend_it


def _queue(block_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        owner = tx.get(BLOCK_OWNER, (block_id,))
        if owner is not None:
            need_check(tx, block_id, owner.inode_id, owner.offset, context.now_ns)

    return mend_it


def _drop_owner(block_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        owner = tx.get(BLOCK_OWNER, (block_id,))
        block = None if owner is None else tx.get(BLOCK, (owner.inode_id, owner.offset))
        if owner is not None and (block is None or block.block_id != block_id):
            tx.delete(BLOCK_OWNER, (block_id,))

    return mend_it
