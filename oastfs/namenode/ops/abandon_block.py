"""abandon_block: give up what was being written into a block."""

from __future__ import annotations

from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.writing import resolve_file
from oastfs.store.transaction import Transaction


def abandon_block(tx: Transaction, context: Context, path: str, holder: str, block_id: int) -> None:
    """HDFS abandonBlock. What was committed of the block stays."""
    node = resolve_file(tx, context, path)
    leases.require(tx, node.inode, holder, path)
    inode = blocks.abandon(tx, context, node.inode, holder, block_id)
    if inode is not node.inode:
        tree.save(tx, node, inode)
