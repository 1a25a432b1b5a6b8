"""set_acl: replace an ACL."""

from __future__ import annotations

from oastfs.core.types import AclEntry, FileStatus
from oastfs.namenode import acl_updates
from oastfs.namenode.acls import changes
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def set_acl(tx: Transaction, context: Context, path: str, entries: list[AclEntry]) -> FileStatus:
    """setfacl --set; HDFS setAcl. Nothing in place of what is there means to remove it."""
    if not entries:
        return acl_updates.update(tx, context, path, changes.minimal)
    return acl_updates.update(tx, context, path, lambda acl: changes.replaced(acl, entries))
