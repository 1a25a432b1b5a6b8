"""append: take up an existing file at its end."""

from __future__ import annotations

from oastfs.core.types import Flag, Opened
from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.open import content_of
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.writing import resolve_file
from oastfs.store.transaction import Transaction


def append(tx: Transaction, context: Context, path: str, holder: str) -> Opened:
    """HDFS append. Where the file ends in a hole, or its last block is full, there is none to go on with."""
    node = resolve_file(tx, context, path)
    require(context, node.inode, WRITE, path)
    inode = leases.acquire(tx, context, node.inode, holder, exclusive=True, path=path)
    status = tree.status_of(tx, context, tree.save(tx, node, inode))
    if not inode.flags & Flag.BLOCKS:
        return Opened(status, content_of(tx, inode.id, inode.length))
    last = tuple(blocks.locate(tx, context, inode, inode.length - 1, 1)) if inode.length else ()
    return Opened(status, None, tuple(block for block in last if block.length < status.block_size))
