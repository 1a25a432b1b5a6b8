"""content_summary: totals of a tree."""

from __future__ import annotations

import stat as _stat

from oastfs.core.types import ContentSummary, Flag
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, READ, require
from oastfs.store.schema import INODE, LINKED_INODE, Inode
from oastfs.store.transaction import Transaction

_BLOCKS = int(Flag.BLOCKS)
_LINKED = int(Flag.LINKED)
_DIRECTORY = _stat.S_IFDIR
_FILE = _stat.S_IFREG


def content_summary(tx: Transaction, context: Context, path: str) -> ContentSummary:
    """HDFS getContentSummary; needs read and execute permission on every directory.

    Content in blocks takes space once for each replica, inline content once. A file with several
    names counts with each of them, as in ``ls -R``.
    """
    top = tree.resolve(tx, context, path)
    if not top.is_directory:
        return ContentSummary(top.inode.length, 1, 0, _space(context, top.inode))
    length = files = directories = space = 0
    pending = [(top.inode, path)]
    while pending:
        directory, where = pending.pop()
        require(context, directory, READ | EXECUTE, where)
        directories += 1
        for (_, name), inode in tx.scan(INODE, (directory.id,)):
            kind = inode.mode & 0o170000
            if kind == _DIRECTORY:
                pending.append((inode, f"{where}/{name}"))
                continue
            files += 1
            if inode.flags & _LINKED:
                inode = tx.get(LINKED_INODE, (inode.id,)) or inode
            length += inode.length
            space += _space(context, inode)
    return ContentSummary(length, files, directories, space)


def _space(context: Context, inode: Inode) -> int:
    if inode.flags & _BLOCKS and inode.mode & 0o170000 == _FILE:
        return inode.length * (inode.replication or context.info.replication)
    return inode.length
