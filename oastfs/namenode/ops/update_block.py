"""update_block: write into an existing block."""

from __future__ import annotations

from oastfs.core.types import LocatedBlock
from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.writing import resolve_writable
from oastfs.store.transaction import Transaction


def update_block(
    tx: Transaction, context: Context, path: str, holder: str, offset: int, block_id: int
) -> LocatedBlock:
    """HDFS updateBlockForPipeline, for any block: a new generation stamp, above all that were given."""
    node = resolve_writable(tx, context, path, holder)
    inode = leases.acquire(tx, context, node.inode, holder, exclusive=False, path=path)
    located = blocks.begin_update(tx, context, inode, holder, offset, block_id, path)
    if inode is not node.inode:
        tree.save(tx, node, inode)
    return located
