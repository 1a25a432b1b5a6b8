"""commit: written blocks become part of the file."""

from __future__ import annotations

from oastfs.core.errors import FileTooLarge, InvalidArgument
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import BlockCommit, FileStatus
from oastfs.namenode import blocks, content, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.tree import Node
from oastfs.namenode.writing import resolve_file
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction


def commit(
    tx: Transaction, context: Context, path: str, holder: str, commits: list[BlockCommit], length: int
) -> FileStatus:
    """fsync: what was written is the file's content from now on, on every replica that is named."""
    node = resolve_file(tx, context, path)
    leases.require(tx, node.inode, holder, path)
    leases.touch(tx, context, holder)
    return tree.status_of(
        tx, context, tree.save(tx, node, committed(tx, context, node, holder, commits, length, path))
    )


def committed(
    tx: Transaction,
    context: Context,
    node: Node,
    holder: str,
    commits: list[BlockCommit],
    length: int,
    path: str,
) -> Inode:
    """Apply the commits and the length; the inode as it is then, not yet saved."""
    check_length(length, path)
    inode = blocks.apply_commits(tx, context, node.inode, holder, commits, path)
    if length in (-1, inode.length):
        return inode
    if length < inode.length:
        return content.cut(tx, context, inode, length)
    return tree.with_attributes(inode, length=length, mtime_ns=context.now_ns, ctime_ns=context.now_ns)


def check_length(length: int, path: str) -> None:
    """Raise unless it is a file's length, or -1."""
    if length < -1:
        raise InvalidArgument(f"a length may not be negative: {length}", path=path)
    if length > FILE_BYTES_MAX:
        raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes", path=path)
