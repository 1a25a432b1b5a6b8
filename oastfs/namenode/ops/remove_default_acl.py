"""remove_default_acl: take the default entries out of an ACL."""

from __future__ import annotations

from oastfs.core.types import FileStatus
from oastfs.namenode import acl_updates
from oastfs.namenode.acls import changes
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def remove_default_acl(tx: Transaction, context: Context, path: str) -> FileStatus:
    """setfacl -k; HDFS removeDefaultAcl."""
    return acl_updates.update(tx, context, path, changes.without_default)
