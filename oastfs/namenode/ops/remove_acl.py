"""remove_acl: leave nothing of an ACL but the mode."""

from __future__ import annotations

from oastfs.core.types import FileStatus
from oastfs.namenode import acl_updates
from oastfs.namenode.acls import changes
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def remove_acl(tx: Transaction, context: Context, path: str) -> FileStatus:
    """setfacl -b; HDFS removeAcl. The owning group gets back what its entry says."""
    return acl_updates.update(tx, context, path, changes.minimal)
