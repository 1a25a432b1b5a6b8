"""From paths and ids to rows: walking the tree, with permissions and symbolic links.

How inodes are laid out over tables, and how they change, is in ``tree``, which has these functions as well.

Ancestors are read without locks: a path that was there when the call came is good enough.
"""

from __future__ import annotations

import stat as _stat
from typing import Final

import msgspec

from oastfs.core.errors import (
    InvalidArgument,
    InvalidPath,
    NotADirectory,
    NotFound,
    OastError,
    StaleHandle,
    SymlinkLoop,
)
from oastfs.core.limits import NAME_BYTES_MAX, SYMLINKS_MAX
from oastfs.core.path import split
from oastfs.core.types import Flag
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
    Inode,
)
from oastfs.store.table import Key, Lock
from oastfs.store.transaction import Transaction

ROOT_KEY: Final = (0, "")
_TYPE: Final = 0o170000
_DIRECTORY: Final = _stat.S_IFDIR
_SYMLINK: Final = _stat.S_IFLNK
_LINKED: Final = int(Flag.LINKED)
_NO_NAMES: Final = ("", ".", "..")
_REMEMBERED_MAX: Final = 16384
"""Directories of a snapshot; some 700 bytes each."""
_STEPS_MAX: Final = 32
# Looking up a member of an enumeration takes as long as a call.
_EXCLUSIVE: Final = Lock.EXCLUSIVE
_NO_LOCK: Final = Lock.NONE


class Node(msgspec.Struct, frozen=True, gc=False):
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


class Slot(msgspec.Struct, frozen=True, gc=False):
    """A place in a directory, with what is there now (``node`` None: nothing)."""

    parent: Inode
    name: str
    node: Node | None


def resolve(tx: Transaction, context: Context, path: str, follow: bool = True) -> Node:
    """The inode at ``path``. Raises NotFound, NotADirectory, PermissionDenied, SymlinkLoop.

    Every directory on the way needs execute permission. ``follow`` is about the last component.
    """
    node = find(tx, context, path, follow)
    if node is None:
        raise NotFound(path=path)
    return node


def find(tx: Transaction, context: Context, path: str, follow: bool = True) -> Node | None:
    """As ``resolve``, but None if its last name is not there."""
    if context.environment.hints is not None or type(path) is not str or not path:
        return _walk(tx, context, path, split(path), follow)
    memo, caller = tx.memo, context.caller
    known = memo.get(f"{path}/")
    if known is not None and known[0] is caller:
        return known[1]  # type: ignore[no-any-return]
    links: list[str] = []
    directory, name = _above(tx, context, path, links)
    if not name:
        return directory
    if directory.inode.mode & _TYPE != _DIRECTORY:
        raise NotADirectory(path=path)
    require(context, directory.inode, EXECUTE, path)
    directory_id = directory.inode.id
    entry = tx.get(INODE, (directory_id, name))
    if entry is None:
        return None
    if entry.mode & _TYPE == _SYMLINK and follow:
        return _walk_link(tx, context, path, (directory_id, attributes_of(tx, entry)), [], follow, links)
    node = Node(directory_id, name, attributes_of(tx, entry) if entry.flags & _LINKED else entry)
    if entry.mode & _TYPE == _DIRECTORY and not links:
        _remember(tx, context, f"{path}/", node)
    return node


def _above(tx: Transaction, context: Context, path: str, links: list[str]) -> tuple[Node, str]:
    """What holds the last name of a path, and that name; the root or an inode by its id has no name.

    Operations are made of others, each of which is given the whole path; so a transaction remembers the
    directories that it has found, by their paths and a slash, until it changes something; not what is
    reached by links.
    """
    above = ""
    if type(path) is str:
        name = path.rpartition("/")[2]
        above = path[: len(path) - len(name)]
        known = tx.memo.get(above)
        if known is not None and known[0] is context.caller and _is_plain(path, name):
            return known[1], name
    parts = split(path)
    if not parts or (parts[0] == ".reserved" and len(parts) < 4):
        return _found(_walk(tx, context, path, parts, True, links), path), ""
    if tx.memo and 2 < len(parts) < _STEPS_MAX and parts[0] != ".reserved":
        stepped = _step_to(tx, context, above)
        if stepped is not None:
            return stepped, parts[-1]
    directory = _found(_walk(tx, context, path, parts[:-1], True, links), path)
    if not links and directory.is_directory:
        _remember(tx, context, above, directory)
    return directory, parts[-1]


def _step_to(tx: Transaction, context: Context, above: str) -> Node | None:
    """A directory by its path and a slash, from the nearest one above it that is remembered; all on the way
    are remembered. None if it is reached by a link, or not at all: walking the whole path says why.

    In a large namespace each look for a row waits for memory, and many directories have few above them. A
    transaction that has only begun remembers none: one that changes something walks its one path faster.
    """
    if context.environment.hints is not None:
        return None
    try:
        node = find(tx, context, above[:-1])
    except OastError:
        return None
    return node if above in tx.memo else None


def _is_plain(path: str, name: str) -> bool:
    """Whether a path is a proper one if what is above its last name is. Long ones are looked at closely."""
    return (
        len(path) < 1000
        and len(name) <= NAME_BYTES_MAX // 4
        and name.isascii()
        and name not in _NO_NAMES
        and "\0" not in name
    )


def _remember(tx: Transaction, context: Context, path: str, directory: Node) -> None:
    remember(tx, path, (context.caller, directory))


def remember(tx: Transaction, key: str | int, found: object) -> None:
    """Put what rests upon rows of directories only into the transaction's memo: of a path or an inode id."""
    memo = tx.memo
    if len(memo) >= _REMEMBERED_MAX:
        memo.clear()
    memo[key] = found


def _found(node: Node | None, path: str) -> Node:
    if node is None:
        raise NotFound(path=path)
    return node


def resolve_slot(tx: Transaction, context: Context, path: str, writing: bool = True) -> Slot:
    """The parent directory of ``path`` and what its last name refers to (a link is not followed).

    With ``writing`` the parent needs write and execute permission and its rows are locked.
    """
    parent, name = resolve_place(tx, context, path)
    return slot_in(tx, context, parent, name, path, writing)


def resolve_place(tx: Transaction, context: Context, path: str) -> tuple[Inode, str]:
    """The parent directory of ``path`` and its last name, for ``slot_in`` to look at."""
    hints = context.environment.hints
    if hints is not None and path != "/":
        hints.expect(tx, path)
    node, name = _above(tx, context, path, [])
    if name:
        if hints is not None:
            hints.expect(tx, path)  # more of it may be known by now
        return node.inode, name
    if path == "/":
        raise InvalidArgument("not possible on the root directory", path=path)
    if node.inode.id == ROOT_ID or node.parent_id in (RECLAIM_ID, ORPHANS_ID):
        raise InvalidArgument("not possible on this inode", path=path)
    # An inode named by its id alone: where its entry is now.
    return resolve_id(tx, node.parent_id).inode, node.name


def slot_in(
    tx: Transaction, context: Context, parent: Inode, name: str, path: str, writing: bool = True
) -> Slot:
    """As ``resolve_slot``, from an inode of the directory."""
    if parent.mode & _TYPE != _DIRECTORY:
        raise NotADirectory(path=path)
    require(context, parent, WRITE | EXECUTE if writing else EXECUTE, path)
    if writing:
        tx.get(DIRECTORY, (parent.id,), _EXCLUSIVE)
    entry = tx.get(INODE, (parent.id, name), _EXCLUSIVE if writing else _NO_LOCK)
    if entry is None:
        return Slot(parent, name, None)
    return Slot(parent, name, Node(parent.id, name, attributes_of(tx, entry)))


def resolve_id(tx: Transaction, inode_id: int, path: str = "") -> Node:
    """The inode of an id, by its place. Raises StaleHandle if there is none any more."""
    if inode_id == ROOT_ID:
        return Node(0, "", root(tx))
    place = tx.get(PLACE, (inode_id,))
    entry = None if place is None else tx.get(INODE, (place.parent_id, place.name))
    if place is None or entry is None or entry.id != inode_id:
        raise StaleHandle(path=path or str(inode_id))
    return Node(place.parent_id, place.name, attributes_of(tx, entry))


def _where_it_was(tx: Transaction, inode_id: int, place: Key | None) -> Node | None:
    """As ``resolve_id``, if the inode has an entry there: which entries an inode has only they tell."""
    entry = None if place is None else tx.get(INODE, place)
    if place is None or entry is None or entry.id != inode_id:
        return None
    parent_id, name = place
    return Node(int(parent_id), str(name), attributes_of(tx, entry))


def root(tx: Transaction) -> Inode:
    """The root directory's inode."""
    inode = tx.get(INODE, ROOT_KEY)
    if inode is None:
        raise NotFound("the filesystem has no root: it is not formatted")
    return inode


def attributes_of(tx: Transaction, entry: Inode) -> Inode:
    """The attributes of an entry: of a file with several names they are elsewhere."""
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
) -> Node | None:
    """The hot loop: one row a component. ``links`` are the targets that were followed so far.

    None if the last component is not there.
    """
    get = tx.get
    hints = context.environment.hints
    if hints is not None:
        hints.expect(tx, "/" + "/".join(parts))
    if parts and parts[0] == ".reserved":
        node, parts = _start_by_id(tx, context, path, parts)
        parent_id, name, inode = node.parent_id, node.name, node.inode
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
            if position == last:
                return None
            raise NotFound(path=path)
        if hints is not None:
            hints.note(parent_id, name, entry)
        if entry.mode & _TYPE == _SYMLINK and (follow or position != last):
            link = (parent_id, attributes_of(tx, entry))
            return _walk_link(
                tx, context, path, link, parts[position + 1 :], follow, [] if links is None else links
            )
        inode = entry
    if inode.flags & _LINKED:
        inode = attributes_of(tx, inode)
    return Node(parent_id, name, inode)


def _walk_link(
    tx: Transaction,
    context: Context,
    path: str,
    link: tuple[int, Inode],
    rest: list[str],
    follow: bool,
    links: list[str],
) -> Node | None:
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
        before = _found(_walk(tx, context, path, _from_id(directory_id, parts[:cut]), True, links), path)
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
    inode_id, hints = _inode_number(parts[2], path), context.environment.hints
    node = None if hints is None else _where_it_was(tx, inode_id, hints.place_of(inode_id))
    if node is None:
        node = resolve_id(tx, inode_id, path)
    if hints is not None:
        hints.note(node.parent_id, node.name, node.inode)
    if node.parent_id == RECLAIM_ID:
        # Who changed it, or made something in it, would be told that it is kept, and then it would be gone.
        raise StaleHandle(path=path)
    return node, parts[3:]


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
