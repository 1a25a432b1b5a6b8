"""content_summary: totals of a tree."""

from __future__ import annotations

import stat as _stat

from oastfs.core.storage_policies import BY_ID
from oastfs.core.types import ContentSummary, Flag, TypeQuota
from oastfs.namenode import quotas, storage_policies, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, READ, require
from oastfs.store.schema import INODE, LINKED_INODE, QUOTA, Inode
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
    row = tx.get(QUOTA, (top.inode.id,))
    by_type = dict.fromkeys((name for name, _ in row.type_limits), 0) if row is not None else {}
    length = files = directories = space = 0
    first_policy = storage_policies.effective_id(tx, top.inode.flags, top.parent_id) if by_type else 0
    pending = [(top.inode, path, first_policy)]
    while pending:
        directory, where, policy = pending.pop()
        require(context, directory, READ | EXECUTE, where)
        directories += 1
        below = len(pending)
        for (_, name), inode in tx.scan(INODE, (directory.id,)):
            kind = inode.mode & 0o170000
            if kind == _DIRECTORY:
                pending.append((inode, f"{where}/{name}", storage_policies.own_id(inode.flags) or policy))
                continue
            files += 1
            if inode.flags & _LINKED:
                inode = tx.get(LINKED_INODE, (inode.id,)) or inode
            length += inode.length
            space += _space(context, inode)
            if by_type:
                _count_types(context, inode, policy, by_type)
        # In order of names: who is denied is told of the first.
        pending[below:] = reversed(pending[below:])
    if row is None:
        return ContentSummary(length, files, directories, space)
    types = tuple(TypeQuota(name, limit, by_type[name]) for name, limit in row.type_limits)
    return ContentSummary(length, files, directories, space, row.names_max, row.space_max, types)


def _count_types(context: Context, inode: Inode, inherited: int, by_type: dict[str, int]) -> None:
    """Count the replicas that the file's policy, if it has one, puts on storage types with a quota (HDFS)."""
    policy = BY_ID.get(storage_policies.own_id(inode.flags) or inherited)
    if policy is not None and inode.flags & Flag.BLOCKS:
        for name in policy.types_of(inode.replication or context.info.replication):
            if name in by_type:
                by_type[name] += inode.length


def _space(context: Context, inode: Inode) -> int:
    return quotas.space_of(inode, context.info.replication)
