"""complete: commit, and stop writing the file."""

from __future__ import annotations

from oastfs.core.types import BlockCommit, FileStatus
from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.commit import committed
from oastfs.namenode.writing import resolve_file
from oastfs.store.transaction import Transaction


def complete(
    tx: Transaction, context: Context, path: str, holder: str, commits: list[BlockCommit], length: int
) -> FileStatus:
    """HDFS complete. Made again after it was carried out, it answers as it did."""
    node = resolve_file(tx, context, path)
    if not leases.holds(tx, node.inode, holder) and blocks.is_applied(tx, node.inode, commits):
        return tree.status_of(tx, context, node)
    leases.require(tx, node.inode, holder, path)
    inode = committed(tx, context, node, holder, commits, length, path)
    inode = leases.release(tx, blocks.give_up(tx, context, inode, holder), holder)
    return tree.status_of(tx, context, tree.save(tx, node, inode))
