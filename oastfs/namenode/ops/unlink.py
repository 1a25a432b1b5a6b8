"""unlink: take a name of a file away."""

from __future__ import annotations

from oastfs.core.errors import EntryChanged, IsADirectory, NotFound
from oastfs.core.types import FileStatus
from oastfs.namenode import removal, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import require_sticky
from oastfs.store.transaction import Transaction


def unlink(tx: Transaction, context: Context, path: str, keep_for: str, expected_id: int = -1) -> FileStatus:
    """unlink(2)."""
    slot = tree.resolve_slot(tx, context, path)
    if slot.node is None:
        raise NotFound(path=path)
    if slot.node.is_directory:
        raise IsADirectory(path=path)
    require_sticky(context, slot.parent, slot.node.inode, path)
    if expected_id not in (-1, slot.node.inode.id):
        raise EntryChanged(path=path)
    inode = removal.remove(tx, context, slot.node, keep_for)
    return tree.file_status(context, slot.parent.id, slot.name, inode)
