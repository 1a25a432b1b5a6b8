"""HDFS's checks of a path: before it says what is not possible, it says who may not.

Operations check permissions where they need them, and raise what they meet first. Calls that fail come here,
so that people are told what HDFS would tell them; calls that succeed pay nothing for it.
"""

from __future__ import annotations

from oastfs.core.errors import NameTooLong, NotFound
from oastfs.core.limits import NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_DEPTH_MAX
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import ILLEGAL_ARGUMENT, IO, HdfsError
from oastfs.namenode.permissions import EXECUTE, require, require_sticky
from oastfs.store.transaction import Transaction


def check_new(verb: str, path: str) -> None:
    """Raise if HDFS lets nothing be made under that path: the name of snapshots, or what is too long."""
    if path.endswith("/.snapshot"):
        raise HdfsError(ILLEGAL_ARGUMENT, '".snapshot" is a reserved name.')
    if len(path) <= NAME_BYTES_MAX // 4:
        return
    names = path.split("/")[1:]
    if len(path.encode()) > PATH_BYTES_MAX or len(names) > PATH_DEPTH_MAX:
        limits = f"Limit {PATH_BYTES_MAX} characters, {PATH_DEPTH_MAX} levels."
        raise HdfsError(IO, f"{verb}: Pathname too long.  {limits}")
    for depth, name in enumerate(names):
        if len(name.encode()) > NAME_BYTES_MAX:
            raise HdfsError(
                NameTooLong.java_class,
                f"The maximum path component name limit of {name} in directory /{'/'.join(names[:depth])} "
                f"is exceeded: limit={NAME_BYTES_MAX} length={len(name.encode())}",
            )


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
