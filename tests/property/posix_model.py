"""A plain in-memory filesystem that says what every operation ought to do.

Written from POSIX.1-2017, Linux's manual pages and the HDFS documentation where ``core/metadata.py`` names
HDFS, not from the code under test. It shares the public types of ``oastfs.core`` and nothing else.

Where several rules are broken at once POSIX does not say which error comes: an operation gives a ``Plan``
with all of them, and the filesystem may answer any. A plan changes nothing until it is applied.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from oastfs.core.errors import (
    InvalidArgument,
    NotADirectory,
    NotFound,
    OastError,
    PermissionDenied,
    StaleHandle,
    SymlinkLoop,
)
from oastfs.core.types import Caller
from tests.property.posix_acls import Acl, of_mode

READ, WRITE, EXECUTE = 4, 2, 1
SYMLINKS_MAX = 40
SUPERGROUP = 3000
INLINE_LIMIT = 1024
LEASE_SOFT_LIMIT_NS = 60 * 10**9
LEASE_HARD_LIMIT_NS = 20 * 60 * 10**9

Errors = set[type[OastError]]


@dataclass(eq=False)
class Node:
    """One inode. ``names`` are the directory entries that refer to it; a directory has one (root: none)."""

    kind: int
    permissions: int
    uid: int
    gid: int
    now_ns: int
    rdev: int = 0
    data: bytes = b""
    target: str = ""
    in_blocks: bool = False
    block_size: int = 0
    replication: int = 0
    inode_id: int = 0
    gone: bool = False
    """Without a name, and kept by nobody."""
    in_limbo: bool = False
    """Gone, but its rows may live on until a background job has been: its id may still lead somewhere."""
    limbo_names: int = 0
    """Names that it had in trees that were removed, and that may count until a background job has been."""

    def __post_init__(self) -> None:
        self.atime_ns = self.mtime_ns = self.ctime_ns = self.now_ns
        self.children: dict[str, Node] = {}
        self.names: set[tuple[Node, str]] = set()
        self.xattrs: dict[str, bytes] = {}
        self.named: Acl | None = None
        """The access ACL, if it is more than the mode; what the mode holds of it is there."""
        self.default: Acl | None = None
        self.kept_by: set[str] = set()
        self.writers: dict[str, bool] = {}

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR

    @property
    def is_file(self) -> bool:
        return self.kind == stat.S_IFREG

    @property
    def is_symlink(self) -> bool:
        return self.kind == stat.S_IFLNK

    @property
    def acl(self) -> Acl:
        """The access ACL."""
        return of_mode(self.permissions) if self.named is None else self.named.with_mode(self.permissions)

    @property
    def acl_attributes(self) -> dict[str, bytes]:
        """ACLs as extended attributes."""
        found = {"access": self.named and self.acl, "default": self.default}
        return {f"system.posix_acl_{name}": acl.attribute() for name, acl in found.items() if acl}

    @property
    def length(self) -> int:
        return len(self.target.encode()) if self.is_symlink else len(self.data)

    @property
    def nlink(self) -> int:
        if self.is_directory:
            return 2 + sum(child.is_directory for child in self.children.values())
        return len(self.names)

    @property
    def parent(self) -> Node:
        """The directory above a directory."""
        return next(iter(self.names))[0] if self.names else self

    def touch(self, now_ns: int) -> None:
        self.mtime_ns = self.ctime_ns = now_ns


@dataclass
class Entry:
    """Where a path leads: a node, and the name by which it was reached there (None: any of its names)."""

    node: Node
    parent: Node | None = None
    name: str | None = None


@dataclass
class Slot:
    """A name in a directory, and what it refers to."""

    parent: Node
    name: str
    node: Node | None


class Refusal(Exception):
    """The operation cannot go on; it gives one of these errors."""

    def __init__(self, *errors: type[OastError]) -> None:
        super().__init__(*errors)
        self.errors: Errors = set(errors)


@dataclass
class Plan:
    """What an operation ought to do: one of ``errors``, or else ``apply`` and answer its result.

    ``tolerated`` errors may be answered instead of success.
    """

    errors: Errors = field(default_factory=set)
    apply: Callable[[], Any] = lambda: None
    tolerated: Errors = field(default_factory=set)


@dataclass(frozen=True)
class Where:
    """A path: names from the root, or from the node that is addressed by its id."""

    names: tuple[str, ...]
    start: Node | None = None

    def text(self) -> str:
        """As it is given to the filesystem."""
        if self.start is None:
            return "/" + "/".join(self.names)
        return "/".join(("/.reserved/.inodes", str(self.start.inode_id), *self.names))

    @property
    def is_root(self) -> bool:
        return self.start is None and not self.names

    @property
    def above(self) -> Where:
        return Where(self.names[:-1], self.start)


class Tree:
    """The nodes, and how paths lead to them."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.root = Node(stat.S_IFDIR, 0o755, 0, 0, now_ns)
        self.nodes = [self.root]
        self.leases: dict[str, int] = {}

    # --- permissions ------------------------------------------------------------------------------

    @staticmethod
    def is_superuser(caller: Caller) -> bool:
        return caller.uid == 0 or SUPERGROUP in caller.gids

    def may(self, caller: Caller, node: Node, mask: int) -> bool:
        """POSIX.1 4.7: one class of bits decides."""
        return self.is_superuser(caller) or self.bits_allow(caller, node, mask)

    @staticmethod
    def bits_allow(caller: Caller, node: Node, mask: int) -> bool:
        """The mode bits, or the ACL, alone."""
        if node.named is not None:
            return node.acl.check(node.uid, node.gid, caller, mask)
        shift = 6 if caller.uid == node.uid else 3 if node.gid in caller.gids else 0
        return not mask & ~(node.permissions >> shift)

    def owns(self, caller: Caller, node: Node) -> bool:
        return self.is_superuser(caller) or caller.uid == node.uid

    def sticky_allows(self, caller: Caller, directory: Node, node: Node) -> bool:
        """Restricted deletion (POSIX S_ISVTX)."""
        if not directory.permissions & stat.S_ISVTX or self.is_superuser(caller):
            return True
        return caller.uid in (node.uid, directory.uid)

    # --- resolving ----------------------------------------------------------------------------------

    def resolve(self, caller: Caller, where: Where, follow: bool = True) -> Entry:
        """POSIX.1 4.13, pathname resolution."""
        entry = self._start(where)
        pending = list(reversed(where.names))
        links = 0
        while pending:
            name = pending.pop()
            directory = entry.node
            if not directory.is_directory:
                raise Refusal(NotADirectory)
            if not self.may(caller, directory, EXECUTE):
                raise Refusal(PermissionDenied)
            if name in ("", "."):
                continue
            if name == "..":
                entry = self._entry_of(directory.parent)
                continue
            child = directory.children.get(name)
            if child is None:
                raise Refusal(NotFound)
            if child.is_symlink and (pending or follow):
                links += 1
                if links > SYMLINKS_MAX:
                    raise Refusal(SymlinkLoop)
                pending.extend(reversed([part for part in child.target.split("/") if part]))
                if child.target.startswith("/"):
                    entry = Entry(self.root, None, "")
                continue
            entry = Entry(child, directory, name)
        return entry

    def slot(self, caller: Caller, where: Where) -> Slot:
        """The last name of a path, in its directory."""
        if where.is_root:
            raise Refusal(InvalidArgument)
        if not where.names:
            return self._slot_by_id(caller, where)
        parent = self.resolve(caller, where.above).node
        if not parent.is_directory:
            raise Refusal(NotADirectory)
        if not self.may(caller, parent, EXECUTE):
            raise Refusal(PermissionDenied)
        return Slot(parent, where.names[-1], parent.children.get(where.names[-1]))

    def _slot_by_id(self, caller: Caller, where: Where) -> Slot:
        node = self._start(where).node
        if node is self.root or not node.names:
            raise Refusal(InvalidArgument)
        ((parent, name),) = node.names
        if not self.may(caller, parent, EXECUTE):
            raise Refusal(PermissionDenied)
        return Slot(parent, name, node)

    def _start(self, where: Where) -> Entry:
        if where.start is None:
            return Entry(self.root, None, "")
        if where.start.gone:
            raise Refusal(StaleHandle)
        return self._entry_of(where.start)

    @staticmethod
    def _entry_of(node: Node) -> Entry:
        if node.is_directory and node.names:
            ((parent, name),) = node.names
            return Entry(node, parent, name)
        return Entry(node, None, None if node.names or node.kept_by else "")

    def write_errors(self, caller: Caller, directory: Node) -> Errors:
        """What stands against changing a directory's entries."""
        return set() if self.may(caller, directory, WRITE | EXECUTE) else {PermissionDenied}

    # --- changing -----------------------------------------------------------------------------------

    def new_node(
        self, caller: Caller, parent: Node, kind: int, permissions: int, unmasked: int = -1, **more: Any
    ) -> Node:
        """With owner and group as POSIX and BSD's set-group-id directories have it, and the ACL of acl(5).

        ``unmasked``: what was asked for before umask, if that is not ``permissions``.
        """
        gid = caller.gids[0]
        if parent.permissions & stat.S_ISGID:
            gid = parent.gid
            if kind == stat.S_IFDIR:
                permissions |= stat.S_ISGID
        node = Node(kind, permissions, caller.uid, gid, self.now_ns, **more)
        if parent.default is not None and kind != stat.S_IFLNK:
            made = parent.default.inherited(permissions if unmasked == -1 else unmasked)
            node.permissions = permissions & ~0o777 | made.permissions
            node.named = made if made.is_extended else None
            node.default = parent.default if node.is_directory else None
        self.nodes.append(node)
        return node

    def put(self, parent: Node, name: str, node: Node) -> Entry:
        """Enter a name."""
        parent.children[name] = node
        node.names.add((parent, name))
        parent.touch(self.now_ns)
        return Entry(node, parent, name)

    def take(self, parent: Node, name: str) -> Node:
        """Take a name away."""
        node = parent.children.pop(name)
        node.names.remove((parent, name))
        parent.touch(self.now_ns)
        return node

    def drop(self, parent: Node, name: str, keep_for: str = "") -> Node:
        """Take a name away, and the node if that was its last."""
        node = self.take(parent, name)
        node.ctime_ns = self.now_ns
        if not node.names or node.is_directory:
            # While names in removed trees still count, nobody is asked to keep the file: a weakness.
            if keep_for and not node.is_directory and not node.limbo_names:
                node.kept_by.add(keep_for)
                node.writers.setdefault(keep_for, False)
                self.leases[keep_for] = self.now_ns
            else:
                node.gone = True
                node.in_limbo = bool(node.writers or node.limbo_names)
        return node

    def remove_tree(self, slot: Slot) -> None:
        """Take away a whole tree. Its rows may go later, but nothing of it is seen from now on."""
        top = slot.node
        assert top is not None
        had_children = bool(top.children)
        self.drop(slot.parent, slot.name)
        for node in list(self.below(top)):
            for name, child in list(node.children.items()):
                del node.children[name]
                child.names.remove((node, name))
                child.limbo_names += 1
                child.gone = child.in_limbo = child.is_directory or not child.names
        top.in_limbo = top.in_limbo or had_children

    def below(self, node: Node) -> Iterator[Node]:
        """The node and everything under it."""
        yield node
        for child in node.children.values():
            yield from self.below(child)

    # --- writers ------------------------------------------------------------------------------------

    def lease_is_live(self, holder: str) -> bool:
        renewed_ns = self.leases.get(holder)
        return renewed_ns is not None and self.now_ns - renewed_ns <= LEASE_SOFT_LIMIT_NS

    def other_writers(self, node: Node, holder: str, exclusive: bool) -> bool:
        """Whether a live writer stands against the holder: an exclusive one, or any if ``exclusive``."""
        return any(
            self.lease_is_live(other)
            for other, other_exclusive in node.writers.items()
            if other != holder and (exclusive or other_exclusive)
        )
