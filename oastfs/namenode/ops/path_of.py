"""path_of: where an inode is now."""

from __future__ import annotations

from oastfs.core.errors import PermissionDenied, StaleHandle
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def path_of(tx: Transaction, context: Context, inode_id: int) -> str:
    """The path, if the caller may reach it."""
    path = tree.path_of(tx, inode_id)
    try:
        tree.resolve(tx, context, path, follow=False)
    except PermissionDenied:
        raise StaleHandle(path=str(inode_id)) from None
    return path
