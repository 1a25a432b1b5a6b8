"""The tree of inodes: from paths to rows and back, and the few ways in which entries change.

Everything about how an inode is laid out over ``inode``, ``linked_inode``, ``directory`` and ``place``
rows is here; operations compose these functions and do not touch those tables themselves.

Locks (for engines that run transactions at the same time): each sees a snapshot, and two that change the
same row do not overlap. So two that must not overlap change or lock a row in common. What stands for what:

* A directory's ``directory`` row: its entries. Whoever puts or takes one changes it, and whoever removes
  the directory because it is empty removes it. Not of the hidden directories, whose names are ids.
* An inode's own row (its entry, or ``linked_inode``): all of its attributes, and that it is there.
* A writer's ``open_file`` row: its claim on the file. A writer's calls lock it, the claim's end removes it.
* An inode's ``place`` row: where its entry is, and what is locked of the file (``file_locks``).
* A ``block`` row: the block's state and its replicas.
* The counter ``rename_mutex``: where directories are. Who moves one to another parent locks it.

Ancestors are read without locks: a path that was there when the call came is good enough. Two parents are
locked in order of their ids. Finding rows by paths is in ``resolving``.
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Sequence
from typing import Final

import msgspec

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import quotas
from oastfs.namenode.acls import rows
from oastfs.namenode.context import Context
from oastfs.namenode.resolving import (
    ROOT_KEY,
    Node,
    Slot,
    attributes_of,
    find,
    link_target,
    parent_of,
    path_of,
    remember,
    resolve,
    resolve_id,
    resolve_place,
    resolve_slot,
    root,
    slot_in,
)
from oastfs.store.schema import (
    DIRECTORY,
    INODE,
    LINKED_INODE,
    ORPHANS_ID,
    PLACE,
    RECLAIM_ID,
    Directory,
    Inode,
    Place,
)
from oastfs.store.table import PARTITION_MASK, Lock
from oastfs.store.transaction import Transaction

__all__ = [
    "ROOT_KEY", "Node", "Slot", "attributes_of", "find", "link_target", "parent_of", "path_of", "remember",
    "resolve", "resolve_id", "resolve_place", "resolve_slot", "root", "slot_in",
]  # fmt: skip

_TYPE: Final = 0o170000
_DIRECTORY: Final = _stat.S_IFDIR
_SYMLINK: Final = _stat.S_IFLNK
_LINKED: Final = int(Flag.LINKED)
_BLOCKS: Final = int(Flag.BLOCKS)
_EXCLUSIVE: Final = Lock.EXCLUSIVE
"""Looking up a member of an enumeration takes as long as a call."""
_replace = msgspec.structs.replace


# --- describing ------------------------------------------------------------------------------------


def status_of(tx: Transaction, context: Context, node: Node) -> FileStatus:
    """The public attributes of a node."""
    inode = node.inode
    if inode.mode & _TYPE == _DIRECTORY:
        return directory_status(node, tx.get(DIRECTORY, (inode.id,)))
    return file_status(context, node.parent_id, node.name, inode)


def file_status(context: Context, parent_id: int, name: str, inode: Inode) -> FileStatus:
    """Attributes of anything but a directory."""
    if inode.mode & _TYPE == _stat.S_IFREG:
        block_size = inode.block_size or context.info.block_size
        replication = inode.replication or context.info.replication
    else:
        block_size = replication = 0
    return FileStatus(
        inode.id,
        inode.mode,
        inode.uid,
        inode.gid,
        inode.length,
        inode.nlink,
        inode.atime_ns,
        inode.mtime_ns,
        inode.ctime_ns,
        block_size,
        replication,
        inode.flags,
        parent_id,
        name,
        inode.rdev,
    )


def directory_status(node: Node, directory: Directory | None) -> FileStatus:
    """Attributes of a directory, from its entry row and its own row."""
    inode = node.inode
    mtime_ns, ctime_ns, nlink = inode.mtime_ns, inode.ctime_ns, 2
    if directory is not None:
        mtime_ns = directory.mtime_ns
        ctime_ns = max(ctime_ns, directory.ctime_ns)
        nlink = 2 + directory.subdirectories
    return FileStatus(
        inode.id,
        inode.mode,
        inode.uid,
        inode.gid,
        0,
        nlink,
        inode.atime_ns,
        mtime_ns,
        ctime_ns,
        0,
        0,
        inode.flags,
        node.parent_id,
        node.name,
    )


# --- changing ------------------------------------------------------------------------------------


def check_modes(mode: int, unmasked_mode: int, path: str) -> None:
    """Raise InvalidArgument unless these are permission bits, the latter perhaps -1."""
    if mode & ~0o7777 or (unmasked_mode != -1 and unmasked_mode & ~0o7777):
        raise InvalidArgument(f"permission bits are 0 to 07777, not {mode:o}, {unmasked_mode:o}", path=path)


def new_inode(
    tx: Transaction,
    context: Context,
    parent: Inode,
    mode: int,
    *,
    unmasked_mode: int = -1,
    length: int = 0,
    rdev: int = 0,
    block_size: int = 0,
    replication: int = 0,
) -> Inode:
    """A fresh inode to be put into ``parent``: owner, group, ACL and partition by the rules.

    The group is the caller's, or the parent's if that is set-group-id (and then subdirectories are so, too)
    or the caller's protocol has it so. A default ACL of the parent bounds ``unmasked_mode`` (-1: ``mode``),
    else ``mode`` counts.
    """
    gid = parent.gid if context.group_of_parent else context.caller.gid
    is_directory = mode & _TYPE == _DIRECTORY
    if parent.mode & _stat.S_ISGID:
        gid = parent.gid
        if is_directory:
            mode |= _stat.S_ISGID
    acl: bytes | None = None
    if parent.acl is not None and mode & _TYPE != _SYMLINK:
        asked = mode if unmasked_mode == -1 else mode & ~0o777 | unmasked_mode & 0o777
        inherited = rows.inherited(parent.acl, asked, is_directory)
        if inherited is not None:
            mode, acl = inherited
    partition = context.random_partition() if is_directory else parent.id & PARTITION_MASK
    now_ns = context.now_ns
    return Inode(
        context.take_inode_id(tx, partition),
        mode,
        context.caller.uid,
        gid,
        length,
        now_ns,
        now_ns,
        now_ns,
        flags=0 if acl is None else int(Flag.ACL),
        block_size=block_size,
        replication=replication,
        rdev=rdev,
        acl=acl,
    )


def insert(tx: Transaction, context: Context, parent: Inode, name: str, inode: Inode) -> Node:
    """Put a new inode under a free name. Raises QuotaExceeded."""
    quotas.entered(tx, parent.id, inode)
    tx.put(INODE, (parent.id, name), inode)
    tx.put(PLACE, (inode.id,), Place(parent.id, name))
    if context.environment.hints is not None:
        context.environment.hints.note(parent.id, name, inode)
    is_directory = inode.mode & _TYPE == _DIRECTORY
    if is_directory:
        tx.put(DIRECTORY, (inode.id,), Directory(inode.mtime_ns, inode.ctime_ns))
    touch(tx, context, parent.id, int(is_directory))
    return Node(parent.id, name, inode)


def touch(tx: Transaction, context: Context, directory_id: int, subdirectories: int = 0) -> None:
    """Note that a directory's entries changed: its times, and its count of subdirectories."""
    if directory_id in (RECLAIM_ID, ORPHANS_ID):
        return
    row = tx.get(DIRECTORY, (directory_id,), _EXCLUSIVE)
    count = subdirectories if row is None else row.subdirectories + subdirectories
    tx.put(DIRECTORY, (directory_id,), Directory(context.now_ns, context.now_ns, count))


def save(tx: Transaction, node: Node, inode: Inode, enforce_quota: bool = True) -> Node:
    """Write changed attributes of a node to wherever they live. Raises QuotaExceeded."""
    before = node.inode
    if (
        inode.length != before.length
        or inode.replication != before.replication
        or (inode.flags ^ before.flags) & _BLOCKS
    ):
        quotas.resized(tx, node.parent_id, before, inode, enforce_quota)
    if inode.flags & _LINKED:
        tx.put(LINKED_INODE, (inode.id,), inode)
    else:
        tx.put(INODE, (node.parent_id, node.name), inode)
    return Node(node.parent_id, node.name, inode)


def take_entry(tx: Transaction, context: Context, node: Node, touching: bool = True) -> None:
    """Remove the entry of a node from its directory; its inode's other rows stay.

    Quotas are the caller's: whether it moves (``move``), or goes for good (``removal``).
    """
    tx.delete(INODE, (node.parent_id, node.name))
    if touching:
        touch(tx, context, node.parent_id, -1 if node.is_directory else 0)


def move(tx: Transaction, context: Context, node: Node, parent_id: int, name: str) -> Node:
    """Move an entry to a free place. Raises QuotaExceeded."""
    inside = node.parent_id == parent_id
    if not inside:
        quotas.moved(tx, [(node.parent_id, node.inode, parent_id)], context.begin_walk)
    take_entry(tx, context, node, touching=not inside)
    return _put_entry(tx, context, node, parent_id, name, inside)


def move_together(tx: Transaction, context: Context, moves: Sequence[tuple[Node, int, str]]) -> list[Node]:
    """Move entries at once: (node, new parent's id, new name) of each. Raises QuotaExceeded."""
    places = [(node.parent_id, node.inode, parent_id) for node, parent_id, _ in moves]
    quotas.moved(tx, places, context.begin_walk)
    inside = all(node.parent_id == parent_id for node, parent_id, _ in moves)
    for node, _, _ in moves:
        take_entry(tx, context, node, touching=not inside)
    return [_put_entry(tx, context, node, parent_id, name, inside) for node, parent_id, name in moves]


def _put_entry(
    tx: Transaction, context: Context, node: Node, parent_id: int, name: str, inside: bool
) -> Node:
    """Put the entry of a node, taken from elsewhere, at a new place; ``inside``: of the same directory."""
    inode = node.inode
    entry = link_entry(inode) if inode.flags & _LINKED else inode
    tx.put(INODE, (parent_id, name), entry)
    tx.put(PLACE, (inode.id,), Place(parent_id, name))
    if context.environment.hints is not None:
        context.environment.hints.note(parent_id, name, inode)
    touch(tx, context, parent_id, int(node.is_directory and not inside))
    return Node(parent_id, name, inode)


def link_entry(inode: Inode) -> Inode:
    """The entry row that points to a linked inode."""
    return Inode(inode.id, inode.mode & _TYPE, 0, 0, 0, 0, 0, 0, int(Flag.LINKED))


def with_attributes(inode: Inode, **changes: int | bytes | None) -> Inode:
    """A changed copy of an inode."""
    return _replace(inode, **changes)


def is_linked(node: Node) -> bool:
    """Whether the attributes live in a row of their own."""
    return bool(node.inode.flags & _LINKED)
