"""recover_lease: close a file that another client writes."""

from __future__ import annotations

from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.writing import resolve_file
from oastfs.store.schema import ORPHANS_ID
from oastfs.store.transaction import Transaction


def recover_lease(tx: Transaction, context: Context, path: str) -> bool:
    """HDFS recoverLease: the file's writers lose it, alive or not. True once it is closed."""
    node = resolve_file(tx, context, path)
    require(context, node.inode, WRITE, path)
    if node.parent_id == ORPHANS_ID:
        return False
    inode = node.inode
    for holder, _ in leases.holders(tx, inode):
        if holder != leases.RECOVERY:
            inode = blocks.recover_file(tx, context, inode, holder, alive=True)
    if inode is not node.inode:
        tree.save(tx, node, inode)
    return not leases.holders(tx, inode)
