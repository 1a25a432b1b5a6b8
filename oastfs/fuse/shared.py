"""What all parts of one mount's logic share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import NotPermitted, StaleHandle
from oastfs.core.path import by_id
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.fuse.effects import Change, Operation
from oastfs.fuse.entries import REMEMBERED_BRIEFLY_MAX, REMEMBERED_MAX, Entries
from oastfs.fuse.handles import UNSURE, Handles, version_of
from oastfs.fuse.options import MountConfig
from oastfs.fuse.parents import Parents
from oastfs.fuse.passthrough import Passthrough
from oastfs.fuse.reads import Reads, VerbReads
from oastfs.namenode.by_id import InodeReads
from oastfs.namenode.namespace import Namespace

INODES = "/.reserved/.inodes/"
ROOT_ID = 1
RESERVED_NAME = ".reserved"


class Shared:
    """The filesystem under a mount, and the mount's state.

    ``reads_inline``: direct mode on a store whose reads take microseconds and never wait.

    ``changed_elsewhere(inode id, content)`` is set by a binding that can tell the kernel to drop what it has
    cached of an inode: its attributes, and with ``content`` its pages too. ``hand_over(inode id, content)``
    is set by one that can put a whole content into the kernel's cache; it says whether it did.
    ``asks_later``: the binding's thread does not wait for answers of namenodes or of a database, so reads are
    operations, too.
    ``passthrough`` is set by a binding whose kernel reads files of its own.
    ``writes_uncached``: the kernel may be told to pass on what is written to a new file without keeping it.
    """

    def __init__(self, filesystem: Filesystem, config: MountConfig) -> None:
        self.filesystem = filesystem
        self.metadata = filesystem.metadata
        self.info = filesystem.info
        self.config = config
        self.handles = Handles()
        self.parents: Parents | None = None
        self.holder = filesystem.session.take_holder()
        self.reads: Reads = VerbReads(self.metadata)
        self.reads_inline = False
        if isinstance(self.metadata, Namespace):
            self.reads_inline = self.metadata.store.reads_inline
            if self.reads_inline:
                self.reads = InodeReads(self.metadata)
        self.entries = Entries(REMEMBERED_BRIEFLY_MAX if self.reads_inline else REMEMBERED_MAX)
        if not self.reads_inline:
            self.parents = Parents(config.attribute_seconds)
        self.changed_elsewhere: Callable[[int, bool], None] = lambda inode_id, content: None
        self.writes_uncached = False
        self.asks_later = False
        self.passthrough: Passthrough | None = None
        self.hand_over: Callable[[int, bytes], bool] = lambda inode_id, content: False

    def stat(self, inode_id: int) -> FileStatus:
        """Attributes by id; those of something removed, too, while the kernel still knows it.

        The kernel has checked permissions on the way, so the superuser asks.
        """
        try:
            return self.reads.stat(inode_id)
        except StaleHandle:
            removed = self.handles.removed.get(inode_id)
            if removed is None:
                raise
            return removed

    def ask(self, verb: str, path: str, *arguments: Any) -> Operation[Any]:
        """A verb that only reads, as the superuser, waiting as the binding waits."""
        if self.asks_later:
            return (yield Change(verb, SUPERUSER, path, *arguments))
        return self.metadata.call(verb, SUPERUSER, path, *arguments)

    def stat_later(self, inode_id: int) -> Operation[FileStatus]:
        """``stat``, not waiting for the answer."""
        try:
            status: FileStatus = yield Change("stat", SUPERUSER, by_id(inode_id), False)
            return status
        except StaleHandle:
            removed = self.handles.removed.get(inode_id)
            if removed is None:
                raise
            return removed

    def stat_as_asked(self, inode_id: int) -> Operation[FileStatus]:
        """``stat``, waiting as the binding waits."""
        return (yield from self.stat_later(inode_id)) if self.asks_later else self.stat(inode_id)

    def entry_changed(self, parent_id: int, changed_ns: int, subdirectories: int = 0) -> None:
        """An entry of a directory came or went (see ``Parents.changed``)."""
        if self.parents is not None:
            self.parents.changed(parent_id, changed_ns, subdirectories)

    def forget_parent(self, inode_id: int) -> None:
        """A directory changed in another way, or nobody knows how."""
        if self.parents is not None:
            self.parents.drop(inode_id)

    def with_unsent(self, status: FileStatus) -> FileStatus:
        """Attributes with the length and time of what is written here and not sent yet."""
        opened = self.handles.open.get(status.inode_id)
        if opened is None or not opened.dirty:
            return status
        file = opened.file
        return structs.replace(status, length=file.length, mtime_ns=file.mtime_ns or status.mtime_ns)

    def told(self, status: FileStatus) -> FileStatus:
        """Note that the kernel is given these attributes.

        Of two answers to questions that were under way at the same time the kernel believes the one that it
        comes to first, and passes over the other. So after two that differ nobody knows what it believes.
        """
        told, version = self.handles.told, version_of(status)
        before = told.get(status.inode_id)
        if before != version:
            told.put(status.inode_id, version if before is None else UNSURE)
        return status


def entry_path(parent_id: int, name: str) -> str:
    """The path of an existing entry."""
    return f"{INODES}{parent_id}/{name}"


def new_path(parent_id: int, name: str) -> str:
    """The path of an entry to be made. Raises NotPermitted for the one name that is taken."""
    if parent_id == ROOT_ID and name == RESERVED_NAME:
        raise NotPermitted(f"the name {RESERVED_NAME} in the root directory is reserved")
    return f"{INODES}{parent_id}/{name}"
