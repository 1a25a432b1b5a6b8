"""lookup: an entry by its directory's id, as the kernel asks a mount."""

from __future__ import annotations

from oastfs.core.errors import PermissionDenied
from oastfs.core.path import by_id, check_name
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.tree import Node
from oastfs.store.schema import INODE
from oastfs.store.transaction import Transaction


def lookup(tx: Transaction, context: Context, directory_id: int, name: str) -> FileStatus | None:
    """Where reads cost trips the entry is one row, asked for alone.

    What is in a directory that was removed elsewhere is found then until it is reclaimed, and nothing after
    that.
    """
    if not context.superuser:
        raise PermissionDenied("only the superuser looks entries up by id", path=by_id(directory_id, name))
    check_name(name)
    hints = context.environment.hints
    if hints is None:
        node = tree.find(tx, context, by_id(directory_id, name), follow=False)
        return None if node is None else tree.status_of(tx, context, node)
    hints.expect_entry(tx, directory_id, name)
    entry = tx.get(INODE, (directory_id, name))
    if entry is None:
        return None
    hints.note(directory_id, name, entry)
    return tree.status_of(tx, context, Node(directory_id, name, tree.attributes_of(tx, entry)))
