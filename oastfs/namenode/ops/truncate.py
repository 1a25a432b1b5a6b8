"""truncate: set a file's length."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileStatus
from oastfs.namenode import content, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.commit import check_length
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.writing import resolve_file
from oastfs.store.transaction import Transaction


def truncate(tx: Transaction, context: Context, path: str, length: int) -> FileStatus:
    """truncate(2); HDFS truncate, but done at once: replicas may keep bytes that readers no longer see."""
    if length < 0:
        raise InvalidArgument(f"a length may not be negative: {length}", path=path)
    check_length(length, path)
    node = resolve_file(tx, context, path)
    require(context, node.inode, WRITE, path)
    leases.require_no_other_exclusive(tx, context, node.inode, "", path)
    if length < node.inode.length:
        inode = content.cut(tx, context, node.inode, length)
    else:
        inode = tree.with_attributes(
            node.inode, length=length, mtime_ns=context.now_ns, ctime_ns=context.now_ns
        )
    return tree.status_of(tx, context, tree.save(tx, node, inode))
