"""rename: move an entry, in one row whatever hangs below it."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import (
    AlreadyExists,
    EntryChanged,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
)
from oastfs.core.path import join
from oastfs.core.types import FileStatus, RenameMode
from oastfs.namenode import removal, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require, require_sticky
from oastfs.namenode.tree import Node, Slot
from oastfs.store.schema import COUNTER, LINK, RENAME_MUTEX, ROOT_ID, Link
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

_HDFS: Final = RenameMode.HDFS
_EXCHANGE: Final = RenameMode.EXCHANGE
_POSIX_MODES: Final = (RenameMode.POSIX, RenameMode.NO_REPLACE, _EXCHANGE)


def rename(
    tx: Transaction,
    context: Context,
    source: str,
    target: str,
    mode: RenameMode,
    keep_for: str,
    replacing: int = -1,
) -> FileStatus:
    """rename(2), renameat2(2), HDFS rename and rename2: see RenameMode for how they differ."""
    return tree.status_of(tx, context, rename_entry(tx, context, source, target, mode, keep_for, replacing))


def rename_entry(
    tx: Transaction,
    context: Context,
    source: str,
    target: str,
    mode: RenameMode,
    keep_for: str,
    replacing: int = -1,
) -> Node:
    """As ``rename``, without the status."""
    if type(mode) is not RenameMode:
        mode = RenameMode(mode)
    from_slot, to_slot = _slots(tx, context, source, target, mode)
    node = from_slot.node
    if node is None:
        raise NotFound(path=source)
    _require(context, mode, from_slot, to_slot, source, target)
    _refuse_cycle(tx, node, to_slot, target)
    if replacing != -1 and replacing != (0 if to_slot.node is None else to_slot.node.inode.id):
        raise EntryChanged(path=target)
    if mode is _EXCHANGE:
        return _exchange(tx, context, from_slot, to_slot, source, target)
    if to_slot.node is not None:
        if mode is RenameMode.NO_REPLACE:
            raise AlreadyExists(path=target)
        if to_slot.node.inode.id == node.inode.id:
            # Two names of one file, or one name: POSIX and HDFS rename say that nothing happens.
            if mode is RenameMode.HDFS_OVERWRITE:
                raise AlreadyExists("source and target are the same", path=target)
            return node
        if mode is RenameMode.HDFS:
            raise AlreadyExists(path=target)
        _check_replaceable(tx, node, to_slot.node, target)
        removal.remove(tx, context, to_slot.node, keep_for)
    return _move(tx, context, node, to_slot.parent.id, to_slot.name)


def _slots(
    tx: Transaction, context: Context, source: str, target: str, mode: RenameMode
) -> tuple[Slot, Slot]:
    """Both places, their parents' rows locked in order of id so that two renames cannot deadlock."""
    if target == "/":
        raise AlreadyExists("the root directory cannot be replaced", path=target)
    from_place = tree.resolve_place(tx, context, source)
    to_place = tree.resolve_place(tx, context, target)
    if mode is not _HDFS and from_place[0].id == to_place[0].id:
        return tree.slot_in(tx, context, *from_place, source), tree.slot_in(tx, context, *to_place, target)
    from_slot = tree.slot_in(tx, context, *from_place, source, writing=False)
    to_slot = tree.slot_in(tx, context, *to_place, target, writing=False)
    if mode is _HDFS:
        to_slot, target = _inside(tx, context, from_slot, to_slot, target)
    across = from_slot.parent.id != to_slot.parent.id
    moving = (from_slot.node, to_slot.node if mode is RenameMode.EXCHANGE else None)
    if across and any(node is not None and node.is_directory for node in moving):
        # Directories that change parents go one at a time: two of them could make a cycle.
        tx.get(COUNTER, RENAME_MUTEX, Lock.EXCLUSIVE)
    if from_slot.parent.id <= to_slot.parent.id:
        from_slot = tree.slot_in(tx, context, from_slot.parent, from_slot.name, source)
        to_slot = tree.slot_in(tx, context, to_slot.parent, to_slot.name, target)
    else:
        to_slot = tree.slot_in(tx, context, to_slot.parent, to_slot.name, target)
        from_slot = tree.slot_in(tx, context, from_slot.parent, from_slot.name, source)
    return from_slot, to_slot


def _inside(
    tx: Transaction, context: Context, from_slot: Slot, to_slot: Slot, target: str
) -> tuple[Slot, str]:
    """Where HDFS rename goes: into the target if that is a directory, and not the source itself."""
    node, there = from_slot.node, to_slot.node
    if node is None or there is None or not there.is_directory or there.inode.id == node.inode.id:
        return to_slot, target
    inside = join(target, node.name)
    return tree.slot_in(tx, context, there.inode, node.name, inside, writing=False), inside


def _require(
    context: Context, mode: RenameMode, from_slot: Slot, to_slot: Slot, source: str, target: str
) -> None:
    node = from_slot.node
    assert node is not None
    require_sticky(context, from_slot.parent, node.inode, source)
    if to_slot.node is not None:
        require_sticky(context, to_slot.parent, to_slot.node.inode, target)
    if mode in _POSIX_MODES and from_slot.parent.id != to_slot.parent.id:
        # A directory's '..' changes: POSIX wants write permission on it.
        if node.is_directory:
            require(context, node.inode, WRITE, source)
        if mode is RenameMode.EXCHANGE and to_slot.node is not None and to_slot.node.is_directory:
            require(context, to_slot.node.inode, WRITE, target)


def _refuse_cycle(tx: Transaction, node: Node, to_slot: Slot, target: str) -> None:
    """A directory may not move into itself or below."""
    if not node.is_directory:
        return
    above = to_slot.parent.id
    while above != ROOT_ID:
        if above == node.inode.id:
            raise InvalidArgument("a directory cannot move into itself", path=target)
        above = tree.parent_of(tx, above)


def _check_replaceable(tx: Transaction, node: Node, replaced: Node, target: str) -> None:
    if node.is_directory:
        if not replaced.is_directory:
            raise NotADirectory("a directory cannot replace a file", path=target)
        if not removal.is_empty(tx, replaced.inode.id):
            raise NotEmpty(path=target)
    elif replaced.is_directory:
        raise IsADirectory("a file cannot replace a directory", path=target)


def _move(tx: Transaction, context: Context, node: Node, parent_id: int, name: str) -> Node:
    inode = tree.with_attributes(node.inode, ctime_ns=context.now_ns)
    moved = tree.move(tx, context, Node(node.parent_id, node.name, inode), parent_id, name)
    _follow_links(tx, node, moved)
    return moved


def _follow_links(tx: Transaction, node: Node, moved: Node) -> None:
    """Keep the list of a linked inode's names, and its changed time, with its row."""
    if tree.is_linked(moved):
        tx.delete(LINK, (node.inode.id, node.parent_id, node.name))
        tx.put(LINK, (node.inode.id, moved.parent_id, moved.name), Link())
        tree.save(tx, moved, moved.inode)


def _exchange(
    tx: Transaction, context: Context, from_slot: Slot, to_slot: Slot, source: str, target: str
) -> Node:
    first, second = from_slot.node, to_slot.node
    if second is None:
        raise NotFound(path=target)
    assert first is not None
    if first.inode.id == second.inode.id:
        return first
    _refuse_cycle(tx, second, from_slot, source)
    moves = []
    for node, slot in ((first, to_slot), (second, from_slot)):
        inode = tree.with_attributes(node.inode, ctime_ns=context.now_ns)
        moves.append((Node(node.parent_id, node.name, inode), slot.parent.id, slot.name))
    moved = tree.move_together(tx, context, moves)
    for node, there in zip((first, second), moved, strict=True):
        _follow_links(tx, node, there)
    return moved[0]
