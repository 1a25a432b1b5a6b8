"""rmdir: an empty directory."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, NotADirectory, NotEmpty, NotFound
from oastfs.namenode import removal, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import require_sticky
from oastfs.store.transaction import Transaction


def rmdir(tx: Transaction, context: Context, path: str) -> None:
    """rmdir(2)."""
    if path == "/":
        raise InvalidArgument("the root directory cannot be removed", path=path)
    slot = tree.resolve_slot(tx, context, path)
    if slot.node is None:
        raise NotFound(path=path)
    if not slot.node.is_directory:
        raise NotADirectory(path=path)
    require_sticky(context, slot.parent, slot.node.inode, path)
    if not removal.is_empty(tx, slot.node.inode.id):
        raise NotEmpty(path=path)
    removal.remove(tx, context, slot.node)
