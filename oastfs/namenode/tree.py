"""The tree of inodes: from paths to rows and back, and the few ways in which entries change.

Everything about how an inode is laid out over ``inode``, ``linked_inode``, ``directory`` and ``place``
rows is here; operations compose these functions and do not touch those tables themselves.

Locks (for engines that run transactions at the same time): each sees a snapshot, and two that change the
same row do not overlap. So two that must not overlap change or lock a row in common. What stands for what:

* A directory's ``directory`` row: its entries. Whoever puts or takes one changes it, and whoever removes
  the directory because it is empty removes it. Not of the hidden directories, whose names are ids.
* An inode's own row (its entry, or ``linked_inode``): all of its attributes, and that it is there.
* A writer's ``open_file`` row: its claim on the file. A writer's calls lock it, the claim's end removes it.
* A ``block`` row: the block's state and its replicas.
* The counter ``rename_mutex``: where directories are. Who moves one to another parent locks it.

Ancestors are read without locks: a path that was there when the call came is good enough. Two parents are
locked in order of their ids.
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from oastfs.core.errors import InvalidArgument, InvalidPath, NotADirectory, NotFound, StaleHandle, SymlinkLoop
from oastfs.core.limits import SYMLINKS_MAX
from oastfs.core.path import split
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import quotas
from oastfs.namenode.acls import rows
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import EXECUTE, WRITE, allows, require
from oastfs.store.schema import (
    CONTENT,
    DIRECTORY,
    INODE,
    LINKED_INODE,
    ORPHANS_ID,
    PLACE,
    RECLAIM_ID,
    ROOT_ID,
    Directory,
    Inode,
    Place,
)
from oastfs.store.table import PARTITION_MASK, Lock
from oastfs.store.transaction import Transaction

ROOT_KEY: Final = (0, "")
_TYPE: Final = 0o170000
_DIRECTORY: Final = _stat.S_IFDIR
_SYMLINK: Final = _stat.S_IFLNK
_LINKED: Final = int(Flag.LINKED)
_BLOCKS: Final = int(Flag.BLOCKS)
_replace = msgspec.structs.replace


class Node(NamedTuple):
    """A resolved entry: its place and the attributes of its inode."""

    parent_id: int
    name: str
    inode: Inode

    @property
    def is_directory(self) -> bool:
        return self.inode.mode & _TYPE == _DIRECTORY

    @property
    def is_file(self) -> bool:
        return self.inode.mode & _TYPE == _stat.S_IFREG

    @property
    def is_symlink(self) -> bool:
        return self.inode.mode & _TYPE == _SYMLINK


class Slot(NamedTuple):
    """A place in a directory, with what is there now (``node`` None: nothing)."""

    parent: Inode
    name: str
    node: Node | None


# --- resolving ------------------------------------------------------------------------------------


def resolve(tx: Transaction, context: Context, path: str, follow: bool = True) -> Node:
    """The inode at ``path``. Raises NotFound, NotADirectory, PermissionDenied, SymlinkLoop.

    Every directory on the way needs execute permission. ``follow`` is about the last component.
    """
    return _walk(tx, context, path, split(path), follow)


def resolve_slot(tx: Transaction, context: Context, path: str, writing: bool = True) -> Slot:
    """The parent directory of ``path`` and what its last name refers to (a link is not followed).

    With ``writing`` the parent needs write and execute permission and its rows are locked.
    """
    parts = split(path)
    if not parts:
        raise InvalidArgument("not possible on the root directory", path=path)
    if context.environment.hints is not None:
        context.environment.hints.expect(tx, path)
    if parts[0] == ".reserved" and len(parts) < 4:
        return _slot_by_id(tx, context, path, parts, writing)
    parent = _walk(tx, context, path, parts[:-1], True).inode
    return slot_in(tx, context, parent, parts[-1], path, writing)


def slot_in(
    tx: Transaction, context: Context, parent: Inode, name: str, path: str, writing: bool = True
) -> Slot:
    """As ``resolve_slot``, from an inode of the directory."""
    if parent.mode & _TYPE != _DIRECTORY:
        raise NotADirectory(path=path)
    require(context, parent, WRITE | EXECUTE if writing else EXECUTE, path)
    if writing:
        tx.get(DIRECTORY, (parent.id,), Lock.EXCLUSIVE)
    entry = tx.get(INODE, (parent.id, name), Lock.EXCLUSIVE if writing else Lock.NONE)
    if entry is None:
        return Slot(parent, name, None)
    return Slot(parent, name, Node(parent.id, name, _attributes(tx, entry)))


def resolve_id(tx: Transaction, inode_id: int, path: str = "") -> Node:
    """The inode of an id, by its place. Raises StaleHandle if there is none any more."""
    if inode_id == ROOT_ID:
        return Node(0, "", root(tx))
    place = tx.get(PLACE, (inode_id,))
    entry = None if place is None else tx.get(INODE, (place.parent_id, place.name))
    if place is None or entry is None or entry.id != inode_id:
        raise StaleHandle(path=path or str(inode_id))
    return Node(place.parent_id, place.name, _attributes(tx, entry))


def root(tx: Transaction) -> Inode:
    """The root directory's inode."""
    inode = tx.get(INODE, ROOT_KEY)
    if inode is None:
        raise NotFound("the filesystem has no root: it is not formatted")
    return inode


def _attributes(tx: Transaction, entry: Inode) -> Inode:
    if not entry.flags & _LINKED:
        return entry
    inode = tx.get(LINKED_INODE, (entry.id,))
    if inode is None:
        raise NotFound(f"inode {entry.id} of a linked entry is missing: run fsck")
    return inode


def _walk(
    tx: Transaction,
    context: Context,
    path: str,
    parts: list[str],
    follow: bool,
    links: list[str] | None = None,
) -> Node:
    """The hot loop: one row a component. ``links`` are the targets that were followed so far."""
    get = tx.get
    hints = context.environment.hints
    if hints is not None:
        hints.expect(tx, "/" + "/".join(parts))
    if parts and parts[0] == ".reserved":
        node, parts = _start_by_id(tx, context, path, parts)
        parent_id, name, inode = node
    else:
        parent_id, name = 0, ""
        inode = root(tx)
    checked = not context.superuser
    last = len(parts) - 1
    for position, name in enumerate(parts):
        if inode.mode & _TYPE != _DIRECTORY:
            raise NotADirectory(path=path)
        if checked and not allows(context.caller, inode, EXECUTE):
            require(context, inode, EXECUTE, path)
        parent_id = inode.id
        entry = get(INODE, (parent_id, name))
        if entry is None:
            raise NotFound(path=path)
        if hints is not None:
            hints.note(parent_id, name, entry.id)
        if entry.mode & _TYPE == _SYMLINK and (follow or position != last):
            link = (parent_id, _attributes(tx, entry))
            return _walk_link(tx, context, path, link, parts[position + 1 :], follow, links or [])
        inode = entry
    if inode.flags & _LINKED:
        inode = _attributes(tx, inode)
    return Node(parent_id, name, inode)


def _walk_link(
    tx: Transaction,
    context: Context,
    path: str,
    link: tuple[int, Inode],
    rest: list[str],
    follow: bool,
    links: list[str],
) -> Node:
    """Go on at a symbolic link's target."""
    if len(links) >= SYMLINKS_MAX:
        raise SymlinkLoop(path=path)
    directory_id, inode = link
    target = link_target(tx, inode)
    # All links of a resolution count, or a few of them with '..' would lead to endless work.
    links.append(target)
    if target.startswith("/"):
        directory_id = ROOT_ID
    parts = [part for part in target.split("/") if part not in ("", ".")] + rest
    while ".." in parts:
        # Not textual: what precedes a '..' may be a link itself, so walk there, then up.
        cut = parts.index("..")
        before = _walk(tx, context, path, _from_id(directory_id, parts[:cut]), True, links)
        if not before.is_directory:
            raise NotADirectory(path=path)
        require(context, before.inode, EXECUTE, path)
        directory_id = parent_of(tx, before.inode.id)
        parts = parts[cut + 1 :]
    return _walk(tx, context, path, _from_id(directory_id, parts), follow, links)


def _from_id(directory_id: int, parts: list[str]) -> list[str]:
    return [".reserved", ".inodes", str(directory_id), *parts]


def _start_by_id(tx: Transaction, context: Context, path: str, parts: list[str]) -> tuple[Node, list[str]]:
    if len(parts) < 3 or parts[1] != ".inodes":
        raise NotFound("only /.reserved/.inodes/ID is known under /.reserved", path=path)
    node = resolve_id(tx, _inode_number(parts[2], path), path)
    if context.environment.hints is not None:
        context.environment.hints.note_place(node.inode.id, Place(node.parent_id, node.name))
    if node.parent_id == RECLAIM_ID:
        # Who changed it, or made something in it, would be told that it is kept, and then it would be gone.
        raise StaleHandle(path=path)
    return node, parts[3:]


def _slot_by_id(tx: Transaction, context: Context, path: str, parts: list[str], writing: bool) -> Slot:
    """The slot of an inode named by id alone: where its entry is now."""
    node, _ = _start_by_id(tx, context, path, parts)
    if node.inode.id == ROOT_ID or node.parent_id in (RECLAIM_ID, ORPHANS_ID):
        raise InvalidArgument("not possible on this inode", path=path)
    return slot_in(tx, context, resolve_id(tx, node.parent_id).inode, node.name, path, writing)


def _inode_number(text: str, path: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise InvalidPath("an inode id is a decimal number", path=path)
    return int(text)


def parent_of(tx: Transaction, inode_id: int) -> int:
    """Id of the directory that holds the inode's entry; the root's is the root."""
    if inode_id == ROOT_ID:
        return ROOT_ID
    place = tx.get(PLACE, (inode_id,))
    if place is None:
        raise StaleHandle(path=str(inode_id))
    return place.parent_id


def link_target(tx: Transaction, inode: Inode) -> str:
    """What a symbolic link says."""
    content = tx.get(CONTENT, (inode.id,))
    return "" if content is None else content.data.decode()


def path_of(tx: Transaction, inode_id: int) -> str:
    """The path of an inode. Raises StaleHandle if it is not (any more) in the visible tree."""
    names: list[str] = []
    while inode_id != ROOT_ID:
        place = tx.get(PLACE, (inode_id,))
        if place is None or place.parent_id in (RECLAIM_ID, ORPHANS_ID) or len(names) > 100_000:
            raise StaleHandle(path=str(inode_id))
        names.append(place.name)
        inode_id = place.parent_id
    return "/" + "/".join(reversed(names))


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
        rdev=rdev,
        acl=acl,
    )


def insert(tx: Transaction, context: Context, parent: Inode, name: str, inode: Inode) -> Node:
    """Put a new inode under a free name. Raises QuotaExceeded."""
    quotas.entered(tx, parent.id, inode)
    tx.put(INODE, (parent.id, name), inode)
    tx.put(PLACE, (inode.id,), Place(parent.id, name))
    if context.environment.hints is not None:
        context.environment.hints.note(parent.id, name, inode.id)
    is_directory = inode.mode & _TYPE == _DIRECTORY
    if is_directory:
        tx.put(DIRECTORY, (inode.id,), Directory(inode.mtime_ns, inode.ctime_ns))
    touch(tx, context, parent.id, int(is_directory))
    return Node(parent.id, name, inode)


def touch(tx: Transaction, context: Context, directory_id: int, subdirectories: int = 0) -> None:
    """Note that a directory's entries changed: its times, and its count of subdirectories."""
    if directory_id in (RECLAIM_ID, ORPHANS_ID):
        return
    row = tx.get(DIRECTORY, (directory_id,), Lock.EXCLUSIVE)
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


def take_entry(tx: Transaction, context: Context, node: Node) -> None:
    """Remove the entry of a node from its directory; its inode's other rows stay.

    Quotas are the caller's: whether it moves (``move``), or goes for good (``removal``).
    """
    tx.delete(INODE, (node.parent_id, node.name))
    touch(tx, context, node.parent_id, -1 if node.is_directory else 0)


def move(tx: Transaction, context: Context, moves: Sequence[tuple[Node, int, str]]) -> list[Node]:
    """Move entries at once: (node, new parent's id, new name) of each. Raises QuotaExceeded."""
    quotas.moved(tx, [(node.parent_id, node.inode, parent_id) for node, parent_id, _ in moves])
    for node, _, _ in moves:
        take_entry(tx, context, node)
    return [_put_entry(tx, context, node, parent_id, name) for node, parent_id, name in moves]


def _put_entry(tx: Transaction, context: Context, node: Node, parent_id: int, name: str) -> Node:
    """Put the entry of a node, taken from elsewhere, at a new place."""
    inode = node.inode
    entry = link_entry(inode) if inode.flags & _LINKED else inode
    tx.put(INODE, (parent_id, name), entry)
    tx.put(PLACE, (inode.id,), Place(parent_id, name))
    touch(tx, context, parent_id, 1 if node.is_directory else 0)
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
