"""modify_acl: add and change entries of an ACL."""

from __future__ import annotations

from oastfs.core.types import AclEntry, FileStatus
from oastfs.namenode import acl_updates
from oastfs.namenode.acls import changes
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def modify_acl(tx: Transaction, context: Context, path: str, entries: list[AclEntry]) -> FileStatus:
    """setfacl -m; HDFS modifyAclEntries."""
    return acl_updates.update(tx, context, path, lambda acl: changes.merged(acl, entries))
