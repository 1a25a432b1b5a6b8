"""delete: a file, an empty directory or a whole tree."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, NotEmpty, NotFound
from oastfs.core.types import Flag
from oastfs.namenode import removal, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, READ, WRITE, require, require_sticky
from oastfs.namenode.tree import Node
from oastfs.store.schema import INODE, LINKED_INODE, Inode
from oastfs.store.transaction import Transaction


def delete(tx: Transaction, context: Context, path: str, recursive: bool) -> None:
    """HDFS delete. A tree is moved out of sight in one step, whatever its size, and reclaimed later."""
    if path == "/":
        raise InvalidArgument("the root directory cannot be removed", path=path)
    slot = tree.resolve_slot(tx, context, path)
    if slot.node is None:
        raise NotFound(path=path)
    node = slot.node
    require_sticky(context, slot.parent, node.inode, path)
    if not node.is_directory or removal.is_empty(tx, node.inode.id):
        removal.remove(tx, context, node)
        return
    if not recursive:
        raise NotEmpty(path=path)
    if not context.superuser:
        require_tree(tx, context, node.inode, path)
    removal.hide_tree(tx, context, node)


def require_tree(tx: Transaction, context: Context, top: Inode, path: str) -> None:
    """All permissions on every directory that is not empty, as HDFS asks of who deletes a tree."""
    context.begin_walk()
    pending = [(top, path)]
    while pending:
        directory, where = pending.pop()
        entries = tx.scan(INODE, (directory.id,))
        checked = False
        for (_, name), entry in entries:
            if not checked:
                require(context, directory, READ | WRITE | EXECUTE, where)
                checked = True
            if entry.flags & Flag.LINKED:
                entry = tx.get(LINKED_INODE, (entry.id,)) or entry
            require_sticky(context, directory, entry, f"{where}/{name}")
            if Node(directory.id, str(name), entry).is_directory:
                pending.append((entry, f"{where}/{name}"))
