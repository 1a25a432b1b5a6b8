"""What a mount in this process asks most, by inode id: half as long as the same by a path of ids.

The superuser asks, since the kernel has checked permissions on the way.
"""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.errors import NotADirectory, StaleHandle
from oastfs.core.limits import NAME_BYTES_MAX
from oastfs.core.path import by_id, check_name
from oastfs.core.types import SUPERUSER, FileStatus, Flag, Opened
from oastfs.namenode import tree
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops.open import content_of
from oastfs.namenode.tree import Node
from oastfs.store.schema import DIRECTORY, INODE, RECLAIM_ID
from oastfs.store.transaction import Transaction

_TYPE: Final = 0o170000
_DIRECTORY: Final = _stat.S_IFDIR
_BLOCKS: Final = int(Flag.BLOCKS)
_LINKED: Final = int(Flag.LINKED)
_SURELY_SHORT: Final = NAME_BYTES_MAX // 4
"""Of so many characters a name is not too long, whatever they are."""


class InodeReads:
    """Reads of one namespace. For stores whose reads take microseconds."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._read = namespace.store.read
        self._context = namespace.context(SUPERUSER)

    def lookup(self, parent_id: int, name: str) -> FileStatus | None:
        """Attributes of an entry of a directory; None if there is none.

        Raises StaleHandle, NotADirectory, NameTooLong.
        """
        if len(name) > _SURELY_SHORT:
            check_name(name)

        def find(tx: Transaction) -> FileStatus | None:
            if _known(tx, parent_id).inode.mode & _TYPE != _DIRECTORY:
                raise NotADirectory(path=name)
            entry = tx.get(INODE, (parent_id, name))
            if entry is None:
                return None
            if entry.mode & _TYPE == _DIRECTORY:
                return tree.directory_status(Node(parent_id, name, entry), tx.get(DIRECTORY, (entry.id,)))
            inode = tree.attributes_of(tx, entry) if entry.flags & _LINKED else entry
            return tree.file_status(self._context, parent_id, name, inode)

        return self._read(find)

    def stat(self, inode_id: int) -> FileStatus:
        """Attributes of an inode. Raises StaleHandle."""
        return self._read(lambda tx: tree.status_of(tx, self._context, _known(tx, inode_id)))

    def open(self, inode_id: int) -> Opened:
        """The verb ``open`` of an inode. Raises StaleHandle, IsADirectory, InvalidArgument."""
        found = self._read(lambda tx: self._small(tx, inode_id))
        return self._namespace.open(SUPERUSER, by_id(inode_id)) if found is None else found

    def _small(self, tx: Transaction, inode_id: int) -> Opened | None:
        """A file whose content is inline; None if it is anything else."""
        node = _known(tx, inode_id)
        inode = node.inode
        if inode.flags & _BLOCKS or not node.is_file:
            return None
        status = tree.file_status(self._context, node.parent_id, node.name, inode)
        return Opened(status, content_of(tx, inode_id, inode.length))


def _known(tx: Transaction, inode_id: int) -> Node:
    """What waits to be reclaimed counts as gone.

    Directories are remembered as long as walks of paths remember them: what their entries say changes with
    these only.
    """
    known = tx.memo.get(inode_id)
    if known is not None:
        return known  # type: ignore[no-any-return]  # a memo holds what each of its users puts there
    node = tree.resolve_id(tx, inode_id)
    if node.parent_id == RECLAIM_ID:
        raise StaleHandle(path=str(inode_id))
    if node.is_directory:
        tree.remember(tx, inode_id, node)
    return node
