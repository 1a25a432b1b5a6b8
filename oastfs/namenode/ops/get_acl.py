"""get_acl: the access control list of an inode."""

from __future__ import annotations

from oastfs.core.types import AclStatus
from oastfs.namenode import tree
from oastfs.namenode.acls import rows
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def get_acl(tx: Transaction, context: Context, path: str) -> AclStatus:
    """acl_get_file(3); HDFS getAclStatus."""
    inode = tree.resolve(tx, context, path).inode
    return AclStatus(inode.uid, inode.gid, inode.mode, tuple(rows.whole(inode)))
