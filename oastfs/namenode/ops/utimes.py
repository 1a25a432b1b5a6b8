"""utimes: access and modification times."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, allows, require_owner
from oastfs.namenode.tree import Node
from oastfs.store.schema import DIRECTORY, Directory
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

_TIME_NS_MAX = (1 << 63) - 1


def utimes(
    tx: Transaction, context: Context, path: str, atime_ns: int, mtime_ns: int, follow: bool, now: bool
) -> FileStatus:
    """utimensat(2): whoever may write may set the present time, only the owner any other."""
    check_times(atime_ns, mtime_ns, path)
    node = tree.resolve(tx, context, path, follow)
    if not (now and allows(context.caller, node.inode, WRITE)):
        require_owner(context, node.inode, path)
    if now:
        atime_ns = mtime_ns = context.now_ns
    return tree.status_of(tx, context, set_times(tx, context, node, atime_ns, mtime_ns))


def check_times(atime_ns: int, mtime_ns: int, path: str) -> None:
    """Raise InvalidArgument unless both can be kept."""
    if max(atime_ns, mtime_ns) > _TIME_NS_MAX or min(atime_ns, mtime_ns) < -_TIME_NS_MAX:
        raise InvalidArgument("a time is out of range", path=path)


def set_times(tx: Transaction, context: Context, node: Node, atime_ns: int, mtime_ns: int) -> Node:
    """Set the times of an inode, but for one that is -1; of whom it may be is the caller's to know."""
    inode = node.inode
    changed = tree.with_attributes(
        inode,
        atime_ns=inode.atime_ns if atime_ns == -1 else atime_ns,
        mtime_ns=inode.mtime_ns if mtime_ns == -1 else mtime_ns,
        ctime_ns=context.now_ns,
    )
    if node.is_directory and mtime_ns != -1:
        _set_directory_time(tx, context, node, mtime_ns)
    return tree.save(tx, node, changed)


def _set_directory_time(tx: Transaction, context: Context, node: Node, mtime_ns: int) -> None:
    row = tx.get(DIRECTORY, (node.inode.id,), Lock.EXCLUSIVE)
    subdirectories = row.subdirectories if row else 0
    tx.put(DIRECTORY, (node.inode.id,), Directory(mtime_ns, context.now_ns, subdirectories))
