"""mkdirs: a directory, and those above it."""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.errors import AlreadyExists, NotADirectory, NotFound
from oastfs.core.path import INODES, RESERVED, parent, split
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.tree import Node, Slot
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction

AS_ABOVE: Final = -1


def mkdirs(
    tx: Transaction,
    context: Context,
    path: str,
    mode: int,
    parents: bool,
    exist_ok: bool,
    unmasked_mode: int = -1,
) -> FileStatus:
    """mkdir(2), and ``mkdir -p`` with ``parents`` and ``exist_ok`` (HDFS mkdirs)."""
    node = make_directory(tx, context, path, mode, parents, exist_ok, unmasked_mode)
    return tree.status_of(tx, context, node)


def make_directory(
    tx: Transaction,
    context: Context,
    path: str,
    mode: int,
    parents: bool,
    exist_ok: bool,
    unmasked_mode: int = -1,
) -> Node:
    """As ``mkdirs``, without the status."""
    tree.check_modes(mode, unmasked_mode, path)
    if path == "/":
        if not exist_ok:
            raise AlreadyExists(path=path)
        return tree.resolve(tx, context, path)
    above = None
    try:
        slot = tree.resolve_slot(tx, context, path, writing=False)
    except NotFound:
        if not parents:
            raise
        above = make_parents(tx, context, path, mode, mode if unmasked_mode == -1 else unmasked_mode)
        if above is None:
            raise
        # Who may make the first of them makes all: a default ACL may leave them closed to their own owner.
        slot = Slot(above, split(path)[-1], None)
    if above is None:
        if slot.node is not None:
            return _existing(tx, context, path, slot.node, exist_ok)
        slot = tree.slot_in(tx, context, slot.parent, slot.name, path)
    inode = tree.new_inode(tx, context, slot.parent, _stat.S_IFDIR | mode, unmasked_mode=unmasked_mode)
    return tree.insert(tx, context, slot.parent, slot.name, inode)


def make_parents(
    tx: Transaction, context: Context, path: str, mode: int = 0o755, unmasked_mode: int = 0o777
) -> Inode | None:
    """Make the missing directories above ``path``; those made can be searched and changed by their owner.

    The last one that was made, if any. With AS_ABOVE as ``mode`` they get the permissions of the directory
    that is there already.
    """
    if path.startswith(INODES):
        # What is addressed by id exists or not: nothing is made on the way to it.
        tree.resolve(tx, context, "/".join(path.split("/", 4)[:4]), follow=False)
        if path.count("/") == 3:
            return None
    elif path.startswith(RESERVED + "/"):
        raise NotFound("only /.reserved/.inodes/ID is known under /.reserved", path=path)
    missing: list[str] = []
    above = parent(path)
    while True:
        try:
            node = tree.resolve(tx, context, above)
            break
        except NotFound:
            missing.append(above)
            above = parent(above)
    if not node.is_directory:
        raise NotADirectory(path=above)
    directory = node.inode
    if mode == AS_ABOVE:
        mode = unmasked_mode = directory.mode
    # Sticky is the directory that was asked for, not those on the way to it.
    mode, unmasked_mode = (mode & 0o777) | 0o300, (unmasked_mode & 0o777) | 0o300
    made: Inode | None = None
    for missing_path in reversed(missing):
        name = missing_path.rpartition("/")[2]
        if made is None and tree.slot_in(tx, context, directory, name, missing_path).node is not None:
            raise NotADirectory("a symbolic link to nothing is in the way", path=missing_path)
        made = tree.new_inode(tx, context, directory, _stat.S_IFDIR | mode, unmasked_mode=unmasked_mode)
        tree.insert(tx, context, directory, name, made)
        directory = made
    return made


def _existing(tx: Transaction, context: Context, path: str, node: Node, exist_ok: bool) -> Node:
    if exist_ok and node.is_symlink:
        node = tree.resolve(tx, context, path)
    if not exist_ok or not node.is_directory:
        raise AlreadyExists(path=path)
    return node
