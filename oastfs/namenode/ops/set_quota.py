"""set_quota: limits of a directory's tree."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, NotADirectory, NotPermitted
from oastfs.core.limits import QUOTA_NONE, QUOTA_STORAGE_TYPES, QUOTA_UNCHANGED
from oastfs.namenode import quotas, tree
from oastfs.namenode.context import Context
from oastfs.store.run import First
from oastfs.store.schema import QUOTA, Quota
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction


def set_quota(
    tx: Transaction, context: Context, path: str, names: int, space: int, storage_type: str
) -> None:
    """HDFS setQuota. The first quota of a directory has its tree counted, in this transaction.

    Who began to change the tree before there was a quota charges nobody. So the quota is announced first, and
    the tree counted when they have ended: all others charge it, and that is a conflict with counting.
    """
    if not context.superuser:
        raise NotPermitted(
            f"Access denied for user {context.caller.user}. Superuser privilege is required", path=path
        )
    _check(names, space, storage_type)
    node = tree.resolve(tx, context, path)
    if not node.is_directory:
        raise NotADirectory(path=path)
    inode_id = node.inode.id
    row = tx.get(QUOTA, (inode_id,), Lock.EXCLUSIVE)
    if row is None or not quotas.is_counted(row):
        if tx.overlapped:
            raise First(lambda tx: quotas.announce(tx, inode_id))
        row = Quota(QUOTA_NONE, QUOTA_NONE, *quotas.usage_of(tx, node.inode))
    names_max, space_max, types = row.names_max, row.space_max, dict(row.type_limits)
    if storage_type:
        if space != QUOTA_UNCHANGED:
            types[storage_type] = space
    else:
        names_max = names_max if names == QUOTA_UNCHANGED else names
        space_max = space_max if space == QUOTA_UNCHANGED else space
    limits = tuple(sorted((name, limit) for name, limit in types.items() if limit >= 0))
    quotas.put(tx, inode_id, Quota(names_max, space_max, row.names, row.space, limits))


def _check(names: int, space: int, storage_type: str) -> None:
    if not (names == QUOTA_NONE or 1 <= names <= QUOTA_UNCHANGED):
        raise InvalidArgument(f"a quota of names is 1 or more (-1: none), not {names}")
    if not QUOTA_NONE <= space <= QUOTA_UNCHANGED:
        raise InvalidArgument(f"a quota of space is 0 bytes or more (-1: none), not {space}")
    if storage_type and storage_type not in QUOTA_STORAGE_TYPES:
        raise InvalidArgument(f"no quota is kept for storage type {storage_type}")
