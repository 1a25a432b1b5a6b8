"""Attributes of inodes: reading them, and setting mode, owner, size and times."""

from __future__ import annotations

import stat as _stat
import time
from dataclasses import dataclass

from oastfs.core.types import SUPERUSER, Caller, FileStatus, StorageStatus
from oastfs.fuse.effects import Change, Operation, Wait
from oastfs.fuse.flushing import flushed, settled
from oastfs.fuse.handles import OpenInode
from oastfs.fuse.parents import Parents
from oastfs.fuse.shared import INODES, Shared

STATFS_VALID_SECONDS = 1.0
NOW = -2
"""In ``SetAttributes``: the present time."""


@dataclass(slots=True)
class SetAttributes:
    """What is to change; None leaves a field as it is. Times in ns, or ``NOW``.

    ``by_handle``: the size is set through an open file (ftruncate). ``kill_set_id``: set-id bits go as
    the size changes.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    by_handle: bool = False
    kill_set_id: bool = False


class Attributes:
    """Attributes by inode id."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._handles = shared.handles
        self._space: tuple[float, StorageStatus] | None = None

    def getattr(self, inode_id: int) -> FileStatus | Operation[FileStatus]:
        """stat(2). An operation if the file is being written here (see ``Names.lookup``)."""
        opened = self._handles.open.get(inode_id)
        if opened is not None and opened.dirty:
            return self._settled(opened)
        parents = self._shared.parents
        if parents is None:
            return self._shared.told(self._shared.stat(inode_id))
        if self._shared.asks_later:
            return self._getattr_later(parents, inode_id)
        asked = parents.ask(inode_id)
        status = self._shared.stat(inode_id)
        parents.answered(asked, status)
        return self._shared.told(status)

    def _getattr_later(self, parents: Parents, inode_id: int) -> Operation[FileStatus]:
        asked = parents.ask(inode_id)
        status = yield from self._shared.stat_later(inode_id)
        parents.answered(asked, status)
        return self._shared.told(status)

    def _settled(self, opened: OpenInode) -> Operation[FileStatus]:
        if opened.kept:
            # Nobody else can see it: what is here counts, and nothing needs to be sent.
            if self._shared.asks_later:
                return self._shared.with_unsent((yield from self._shared.stat_later(opened.inode_id)))
            return self._shared.with_unsent(self._shared.stat(opened.inode_id))
        return (yield from settled(self._shared, opened))

    def setattr(self, inode_id: int, wanted: SetAttributes, caller: Caller) -> Operation[FileStatus]:
        """chmod(2), chown(2), truncate(2), utimensat(2)."""
        status: FileStatus | None = None
        path = f"{INODES}{inode_id}"
        if wanted.size is not None:
            status = yield from self._truncate(inode_id, wanted, caller)
        opened = self._handles.open.get(inode_id)
        if opened is not None and opened.dirty and not wanted.by_handle:
            # Sent now, so that a later flush does not undo the times that are being set.
            yield from flushed(self._shared, opened)
        if wanted.mode is not None:
            status = yield Change("chmod", caller, path, wanted.mode & 0o7777, False)
        if wanted.uid is not None or wanted.gid is not None:
            uid = -1 if wanted.uid is None else wanted.uid
            gid = -1 if wanted.gid is None else wanted.gid
            status = yield Change("chown", caller, path, uid, gid, False)
        if wanted.atime_ns is not None or wanted.mtime_ns is not None:
            status = yield _utimes(path, wanted, caller)
        if status is None:
            status = self._shared.stat(inode_id)
        self._shared.forget_parent(inode_id)
        if opened is not None:
            opened.mode = status.mode
            if opened.dirty:
                return self._shared.with_unsent(status)
        return self._shared.told(status)

    def _truncate(self, inode_id: int, wanted: SetAttributes, caller: Caller) -> Operation[FileStatus]:
        """Through the open file, which may hold newer data, else by the verb."""
        size = wanted.size
        assert size is not None
        if wanted.kill_set_id:
            yield from self.drop_set_id(inode_id)
        opened = self._handles.open.get(inode_id)
        if opened is None or not opened.writable:
            status: FileStatus = yield Change("truncate", caller, f"{INODES}{inode_id}", size)
            if opened is not None:
                yield Wait(lambda: self._read_anew(opened, status))
            return status
        opened.resized(size, self._shared.info.inline_limit)
        yield Wait(lambda: opened.file.truncate(size))
        if not wanted.by_handle and not opened.kept:
            yield from flushed(self._shared, opened)
        return (yield Wait(lambda: self._shared.stat(inode_id)))  # type: ignore[no-any-return]

    def _read_anew(self, opened: OpenInode, status: FileStatus) -> None:
        """Have those who read a file see that it was cut."""
        if opened.content is None:
            opened.file.refresh(status)
            return
        file = self._shared.filesystem.open_file(status, caller=SUPERUSER)
        opened.small = opened.small and status.is_inline
        with self._handles.lock:
            spare = file if opened.writable else opened.become(file)
        if spare is not None:
            spare.close()

    def drop_set_id(self, inode_id: int, caller: Caller | None = None) -> Operation[None]:
        """Take set-user-id away, and set-group-id where it means execution, as writing does.

        From a caller who is not in the file's group set-group-id is taken in any case.
        """
        opened = self._handles.open.get(inode_id)
        if caller is not None:
            status = yield from self._shared.stat_as_asked(inode_id)
            mode, is_member = status.mode, status.gid in caller.gids
        else:
            mode = self._shared.stat(inode_id).mode if opened is None else opened.mode
            is_member = True
        kept = without_set_id(mode)
        if not is_member:
            kept &= ~_stat.S_ISGID
        if kept != mode:
            yield Change("chmod", SUPERUSER, f"{INODES}{inode_id}", kept & 0o7777, False)
            if opened is not None:
                opened.mode = kept
            # After a write past its cache the kernel asks for length and times again, but not for the mode.
            self._shared.changed_elsewhere(inode_id, False)

    def access(self, inode_id: int, mask: int, caller: Caller) -> None:
        """access(2), for kernels that ask instead of deciding themselves."""
        self._shared.metadata.access(caller, f"{INODES}{inode_id}", mask & 7)

    def statfs(self) -> StorageStatus:
        """statfs(2), at most a second old: programs that ask in a loop do not walk the store."""
        now = time.monotonic()
        if self._space is None or self._space[0] < now:
            self._space = (now + STATFS_VALID_SECONDS, self._shared.metadata.statfs(SUPERUSER))
        return self._space[1]


def without_set_id(mode: int) -> int:
    """A file's mode after it was written by someone without the privilege to keep set-id bits."""
    mode &= ~_stat.S_ISUID
    return mode & ~_stat.S_ISGID if mode & _stat.S_IXGRP else mode


def _utimes(path: str, wanted: SetAttributes, caller: Caller) -> Change:
    if wanted.atime_ns == NOW and wanted.mtime_ns == NOW:
        return Change("utimes", caller, path, -1, -1, False, True)
    now_ns = time.time_ns()
    atime_ns, mtime_ns = (
        -1 if value is None else now_ns if value == NOW else value
        for value in (wanted.atime_ns, wanted.mtime_ns)
    )
    return Change("utimes", caller, path, atime_ns, mtime_ns, False, False)
