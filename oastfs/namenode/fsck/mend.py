"""Repairs that several checks use. Each looks again before it changes anything."""

from __future__ import annotations

import stat as _stat

from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.fsck.report import Repair, find
from oastfs.store.schema import (
    DIRECTORY,
    INODE,
    LINK,
    PLACE,
    ROOT_ID,
    Directory,
    Inode,
    Link,
    Place,
)
from oastfs.store.table import Key, Table
from oastfs.store.transaction import Transaction

LOST_AND_FOUND = "lost+found"


def delete_row(table: Table, key: Key) -> Repair:  # type: ignore[type-arg]
    """Remove a row that nothing refers to."""

    def mend(tx: Transaction, context: Context) -> None:
        tx.delete(table, key)

    return mend


def set_flag(inode_id: int, flag: int, on: bool) -> Repair:
    """Make a flag agree with the rows that it tells of."""

    def mend(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is not None:
            flags = node.inode.flags | flag if on else node.inode.flags & ~flag
            tree.save(tx, node, tree.with_attributes(node.inode, flags=flags), enforce_quota=False)

    return mend


def set_length(inode_id: int, length: int) -> Repair:
    """Give a file the length that its content has."""

    def mend(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is not None and node.inode.length < length:
            tree.save(tx, node, tree.with_attributes(node.inode, length=length), enforce_quota=False)

    return mend


def attach(tx: Transaction, context: Context, inode: Inode) -> None:
    """Give an inode that is nowhere an entry in ``/lost+found``, under its id."""
    directory_id = _lost_and_found(tx, context)
    name = f"#{inode.id}"
    linked = bool(inode.flags & Flag.LINKED)
    tx.put(INODE, (directory_id, name), tree.link_entry(inode) if linked else inode)
    tx.put(PLACE, (inode.id,), Place(directory_id, name))
    if linked:
        tx.put(LINK, (inode.id, directory_id, name), Link())
    is_directory = _stat.S_ISDIR(inode.mode)
    if is_directory and tx.get(DIRECTORY, (inode.id,)) is None:
        tx.put(DIRECTORY, (inode.id,), Directory(inode.mtime_ns, inode.ctime_ns))
    tree.touch(tx, context, directory_id, int(is_directory))


def move_to_lost_and_found(parent_id: int, name: str) -> Repair:
    """Take an entry out of where it cannot stay."""

    def mend(tx: Transaction, context: Context) -> None:
        entry = tx.get(INODE, (parent_id, name))
        if entry is None:
            return
        tx.delete(INODE, (parent_id, name))
        row = tx.get(DIRECTORY, (parent_id,))
        if row is not None and _stat.S_ISDIR(entry.mode):
            count = max(0, row.subdirectories - 1)
            tx.put(DIRECTORY, (parent_id,), Directory(row.mtime_ns, row.ctime_ns, count))
        if entry.flags & Flag.LINKED:
            tx.delete(LINK, (entry.id, parent_id, name))
        attach(tx, context, entry)

    return mend


def _lost_and_found(tx: Transaction, context: Context) -> int:
    entry = tx.get(INODE, (ROOT_ID, LOST_AND_FOUND))
    if entry is not None and _stat.S_ISDIR(entry.mode):
        return entry.id
    name = LOST_AND_FOUND
    number = 0
    while entry is not None and not _stat.S_ISDIR(entry.mode):
        number += 1
        name = f"{LOST_AND_FOUND}.{number}"
        entry = tx.get(INODE, (ROOT_ID, name))
    if entry is not None:
        return entry.id
    inode = tree.new_inode(tx, context, tree.root(tx), _stat.S_IFDIR | 0o700)
    tree.insert(tx, context, tree.root(tx), name, inode)
    return inode.id
