"""HDFS's check of a path: before it says what is not possible, it says who may not.

Operations check permissions where they need them, and raise what they meet first. Calls that fail come here,
so that people are told what HDFS would tell them; calls that succeed pay nothing for it.
"""

from __future__ import annotations

from oastfs.core.errors import NotFound
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.permissions import EXECUTE, require, require_sticky
from oastfs.store.transaction import Transaction


def authorize(tx: Transaction, call: Call, path: str, *, ancestor: int = 0, parent: int = 0) -> None:
    """Raise if the caller lacks what is asked: on the nearest directory that is there, on the one above.

    ``parent`` is asked by who takes an entry away, so the sticky bit counts then.
    """
    context = call.context
    if context.superuser or path == "/":
        return
    above = path.rpartition("/")[0] or "/"
    nearest = _existing(tx, call, above)
    is_there = nearest is not None
    while nearest is None:
        above = above.rpartition("/")[0] or "/"
        nearest = _existing(tx, call, above)
    require(context, nearest.inode, EXECUTE, path)
    if parent and is_there:
        slot = tree.slot_in(tx, context, nearest.inode, path.rpartition("/")[2], path, writing=False)
        if slot.node is not None:
            require_sticky(context, nearest.inode, slot.node.inode, path)
    if ancestor or (parent and is_there):
        require(context, nearest.inode, ancestor or parent, path)


def _existing(tx: Transaction, call: Call, path: str) -> tree.Node | None:
    try:
        return tree.resolve(tx, call.context, path)
    except NotFound:
        return None
