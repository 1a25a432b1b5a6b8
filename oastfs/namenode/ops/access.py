"""access: may the caller do this?"""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, PermissionDenied
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, require
from oastfs.store.transaction import Transaction


def access(tx: Transaction, context: Context, path: str, mask: int) -> None:
    """access(2); HDFS checkAccess. The superuser, too, cannot execute what nobody may."""
    if mask & ~7:
        raise InvalidArgument(f"an access mask is 0 to 7, not {mask}")
    node = tree.resolve(tx, context, path)
    require(context, node.inode, mask, path)
    if mask & EXECUTE and not node.is_directory and not node.inode.mode & 0o111:
        raise PermissionDenied("nobody may execute it", path=path)
