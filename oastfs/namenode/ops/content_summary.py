"""content_summary: totals of a tree."""

from __future__ import annotations

import stat as _stat

from oastfs.core.types import ContentSummary, Flag, TypeQuota
from oastfs.namenode import quotas, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, READ, require
from oastfs.store.schema import INODE, LINKED_INODE, QUOTA, Inode, Quota
from oastfs.store.transaction import Transaction

_LINKED = int(Flag.LINKED)
_DIRECTORY = _stat.S_IFDIR


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
    row = tx.get(QUOTA, (top.inode.id,))
    if row is None:
        return ContentSummary(length, files, directories, space)
    limits = row.names_max, row.space_max, type_quotas(row)
    return ContentSummary(length, files, directories, space, *limits)


def type_quotas(row: Quota) -> tuple[TypeQuota, ...]:
    """Quotas of single storage types."""
    return tuple(TypeQuota(name, limit) for name, limit in row.type_limits)


def _space(context: Context, inode: Inode) -> int:
    return quotas.space_of(inode, context.info.replication)
