"""What every operation on blocks begins with: the file, and the right to write it."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, IsADirectory, StaleHandle
from oastfs.namenode import leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.tree import Node
from oastfs.store.schema import RECLAIM_ID
from oastfs.store.transaction import Transaction


def resolve_file(tx: Transaction, context: Context, path: str) -> Node:
    """The regular file at ``path``. One whose last name is gone, and that nobody keeps, is stale."""
    node = tree.resolve(tx, context, path)
    if not node.is_file:
        if node.is_directory:
            raise IsADirectory(path=path)
        raise InvalidArgument("not a regular file", path=path)
    if node.parent_id == RECLAIM_ID:
        raise StaleHandle(path=path)
    return node


def resolve_writable(tx: Transaction, context: Context, path: str, holder: str) -> Node:
    """The file, for a writer: one that holds it was let in when it opened it."""
    node = resolve_file(tx, context, path)
    if not leases.holds(tx, node.inode, holder):
        require(context, node.inode, WRITE, path)
    return node
