"""remove_acl_entries: take entries out of an ACL."""

from __future__ import annotations

from oastfs.core.types import AclEntry, FileStatus
from oastfs.namenode import acl_updates
from oastfs.namenode.acls import changes
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def remove_acl_entries(tx: Transaction, context: Context, path: str, entries: list[AclEntry]) -> FileStatus:
    """setfacl -x; HDFS removeAclEntries."""
    return acl_updates.update(tx, context, path, lambda acl: changes.without(acl, entries))
