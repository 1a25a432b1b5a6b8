"""set_replication: how many replicas a file's blocks are to have."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.core.limits import REPLICATION_MAX
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.blocks.commands import need_check
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.writing import resolve_file
from oastfs.store.schema import BLOCK
from oastfs.store.transaction import Transaction


def set_replication(tx: Transaction, context: Context, path: str, replication: int) -> FileStatus:
    """HDFS setReplication: the replication job makes or removes replicas."""
    if not 1 <= replication <= REPLICATION_MAX:
        raise InvalidArgument(f"replication is 1 to {REPLICATION_MAX}, not {replication}", path=path)
    node = resolve_file(tx, context, path)
    require(context, node.inode, WRITE, path)
    stored = 0 if replication == context.info.replication else replication
    inode = tree.with_attributes(node.inode, replication=stored, ctime_ns=context.now_ns)
    if stored != node.inode.replication:
        for (inode_id, offset), block in tx.scan(BLOCK, (inode.id,)):
            if block.generation_stamp:
                need_check(tx, block.block_id, int(inode_id), int(offset), context.now_ns)
    return tree.status_of(tx, context, tree.save(tx, node, inode))
