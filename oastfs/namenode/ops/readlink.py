"""readlink: the target of a symbolic link."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def readlink(tx: Transaction, context: Context, path: str) -> str:
    """readlink(2)."""
    node = tree.resolve(tx, context, path, follow=False)
    if not node.is_symlink:
        raise InvalidArgument("not a symbolic link", path=path)
    return tree.link_target(tx, node.inode)
