"""Operations on names: looking up, making, linking, moving and removing entries."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from msgspec import structs

from oastfs.core.errors import EntryChanged, InvalidArgument, NotFound, OastError
from oastfs.core.types import SUPERUSER, Caller, FileStatus, RenameMode
from oastfs.fuse.effects import Change, Operation, Wait
from oastfs.fuse.flushing import flushed, settled
from oastfs.fuse.shared import INODES, Shared, entry_path, new_path

RENAME_MODES: Final = {0: RenameMode.POSIX, 1: RenameMode.NO_REPLACE, 2: RenameMode.EXCHANGE}
"""renameat2's flags. RENAME_WHITEOUT is for overlay filesystems and refused."""
ATTEMPTS_MAX: Final = 8
"""A name that is always something else than it was a moment ago is somebody else's to care for."""


class Names:
    """Entries of directories, by the inode id of the directory and the name."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._metadata = shared.metadata
        self._reads = shared.reads
        self._handles = shared.handles
        self._entries = shared.entries

    def lookup(self, parent_id: int, name: str) -> FileStatus | Operation[FileStatus | None] | None:
        """Attributes of an entry, None if there is none.

        An operation if they are asked for, or if it is being written here: see ``_settled``.
        """
        if self._shared.asks_later:
            return self._lookup_later(parent_id, name)
        status = self._reads.lookup(parent_id, name)
        self._entries.note(parent_id, name, status)
        if status is None:
            return None
        opened = self._handles.open.get(status.inode_id)
        if opened is not None and opened.dirty:
            return self._settled(status)
        return self._shared.told(status)

    def _lookup_later(self, parent_id: int, name: str) -> Operation[FileStatus | None]:
        status: FileStatus | None = yield Change("lookup", SUPERUSER, parent_id, name)
        self._entries.note(parent_id, name, status)
        if status is None:
            return None
        opened = self._handles.open.get(status.inode_id)
        if opened is not None and opened.dirty:
            return (yield from self._settled(status))
        return self._shared.told(status)

    def by_number(self, inode_id: int, name: str) -> Operation[FileStatus]:
        """The inode itself for ".", the directory that it is in for "..". Raises StaleHandle.

        So the kernel finds what an NFS server or open_by_handle_at(2) names by nothing but its number.
        """
        status = yield from self._shared.stat_as_asked(inode_id)
        if name == "..":
            status = yield from self._shared.stat_as_asked(status.parent_id or inode_id)
        return (yield from self._settled(status))

    def _settled(self, status: FileStatus) -> Operation[FileStatus]:
        """What is written is sent first, so that size and times are those that stay (as NFS does)."""
        opened = self._handles.open.get(status.inode_id)
        if opened is not None:
            return (yield from settled(self._shared, opened))
        return self._shared.told(status)

    def mkdir(
        self, parent_id: int, name: str, mode: int, umask: int, caller: Caller
    ) -> Operation[FileStatus]:
        """mkdir(2). ``mode`` is before umask, here and below."""
        path, mode = new_path(parent_id, name), mode & 0o7777
        status = yield Change("mkdirs", caller, path, mode & ~umask, False, False, mode)
        return self._made(parent_id, name, status)

    def mknod(
        self, parent_id: int, name: str, mode: int, umask: int, rdev: int, caller: Caller
    ) -> Operation[FileStatus]:
        """mknod(2)."""
        path = new_path(parent_id, name)
        status = yield Change("mknod", caller, path, mode & ~umask, rdev, mode & 0o7777)
        return self._made(parent_id, name, status)

    def symlink(self, parent_id: int, name: str, target: str, caller: Caller) -> Operation[FileStatus]:
        """symlink(2)."""
        status = yield Change("symlink", caller, new_path(parent_id, name), target, False)
        return self._made(parent_id, name, status)

    def _made(self, parent_id: int, name: str, status: FileStatus) -> FileStatus:
        self._entries.note(parent_id, name, status)
        self._shared.entry_changed(parent_id, status.ctime_ns, int(status.is_directory))
        return self._shared.told(status)

    def readlink(self, inode_id: int) -> str:
        """readlink(2)."""
        return self._metadata.readlink(SUPERUSER, f"{INODES}{inode_id}")

    def link(self, inode_id: int, parent_id: int, name: str, caller: Caller) -> Operation[FileStatus]:
        """link(2)."""
        opened = self._handles.open.get(inode_id)
        if opened is not None and opened.dirty:
            yield from flushed(self._shared, opened)
        self._entries.note_linked(inode_id)
        status = yield Change("link", caller, f"{INODES}{inode_id}", new_path(parent_id, name))
        return self._made(parent_id, name, status)

    def unlink(self, parent_id: int, name: str, caller: Caller) -> Operation[None]:
        """unlink(2). A file that is open here loses its name but stays until it is closed."""
        path = entry_path(parent_id, name)
        seen = self._entries.sole_name(parent_id, name)
        if seen is None:
            seen = yield from self._shared.ask("stat", path, False)
            assert seen is not None

        def change(seen: FileStatus | None, keep_for: str) -> Change:
            if seen is None:
                raise NotFound(path=path)
            return Change("unlink", caller, path, keep_for, seen.inode_id)

        _, status = yield from self._take_away(path, seen, change)
        self._entries.note(parent_id, name, None)
        self._shared.entry_changed(parent_id, status.ctime_ns)
        if status.nlink == 0:
            self._lost_last_name(status)

    def rmdir(self, parent_id: int, name: str, caller: Caller) -> Operation[None]:
        """rmdir(2)."""
        path = entry_path(parent_id, name)
        status = self._entries.directory(parent_id, name)
        if status is None:
            status = yield from self._shared.ask("stat", path, False)
            assert status is not None
        yield Change("rmdir", caller, path)
        self._entries.note(parent_id, name, None)
        self._shared.forget_parent(parent_id)
        self._handles.note_removed(_without_names(status))

    def rename(
        self, parent_id: int, name: str, new_parent_id: int, new_name: str, flags: int, caller: Caller
    ) -> Operation[None]:
        """renameat2(2)."""
        mode = RENAME_MODES.get(flags)
        if mode is None:
            raise InvalidArgument(f"rename flags {flags:#x} are not supported")
        source, target = entry_path(parent_id, name), new_path(new_parent_id, new_name)
        replaced: FileStatus | None = None
        if mode is RenameMode.POSIX and not self._entries.free(new_parent_id, new_name):
            replaced = self._entries.sole_name(new_parent_id, new_name)
            if replaced is None:
                replaced = yield from self._existing(target)

        def change(replaced: FileStatus | None, keep_for: str) -> Change:
            expected = -1 if mode is not RenameMode.POSIX else 0 if replaced is None else replaced.inode_id
            return Change("rename", caller, source, target, mode, keep_for, expected)

        replaced, moved = yield from self._take_away(target, replaced, change)
        self._note_moved((parent_id, name), (new_parent_id, new_name), mode, moved)
        if replaced is None or replaced.inode_id == moved.inode_id:
            return
        if replaced.is_directory or replaced.nlink == 1:
            self._lost_last_name(_without_names(replaced))

    def _note_moved(
        self, before: tuple[int, str], after: tuple[int, str], mode: RenameMode, moved: FileStatus
    ) -> None:
        """Of two names of one file nothing moves, and with an exchange something comes the other way."""
        if mode is RenameMode.EXCHANGE or (moved.parent_id, moved.name) != after or before == after:
            self._entries.drop(*before)
            self._entries.drop(*after)
        else:
            self._entries.note(*before, None)
            self._entries.note(*after, moved)
        if mode is RenameMode.EXCHANGE or moved.is_directory:
            for inode_id in (before[0], after[0], moved.inode_id):
                self._shared.forget_parent(inode_id)
        else:
            self._shared.entry_changed(before[0], moved.ctime_ns)
            self._shared.entry_changed(after[0], moved.ctime_ns)

    def _existing(self, path: str) -> Operation[FileStatus | None]:
        try:
            found: FileStatus = yield from self._shared.ask("stat", path, False)
            return found
        except OastError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def _existing_now(self, path: str) -> Operation[FileStatus | None]:
        """After a change, where nothing may be read."""
        try:
            waited: FileStatus = yield Wait(lambda: self._metadata.stat(SUPERUSER, path, False))
            return waited
        except OastError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def _take_away(
        self,
        path: str,
        seen: FileStatus | None,
        change: Callable[[FileStatus | None, str], Change],
    ) -> Operation[tuple[FileStatus | None, FileStatus]]:
        """Make a change that may take a name away; what had the name, and the change's answer.

        ``seen`` is taken for what is there. Is it something else by then, it is looked at, and tried again.
        ``change`` is given that, and the holder to keep it for.
        """
        attempts = 0
        while True:
            removing, keep_for = self._keep(seen)
            try:
                status: FileStatus = yield change(seen, keep_for)
                return seen, status
            except EntryChanged:
                attempts += 1
                if attempts == ATTEMPTS_MAX:
                    raise
            finally:
                self._handles.removing.discard(removing)
            seen = yield from self._existing_now(path)

    def _keep(self, status: FileStatus | None) -> tuple[int, str]:
        """Prepare for an inode to lose a name: (inode not to be opened meanwhile, holder to keep it for)."""
        if status is None or not status.is_file:
            return 0, ""
        with self._handles.lock:
            if status.inode_id in self._handles.open:
                return 0, self._shared.holder
            if status.nlink != 1:
                return 0, ""
            self._handles.removing.add(status.inode_id)
            return status.inode_id, ""

    def _lost_last_name(self, status: FileStatus) -> None:
        opened = self._handles.open.get(status.inode_id)
        if opened is not None:
            opened.kept = True
        else:
            self._handles.note_removed(status)


def _without_names(status: FileStatus) -> FileStatus:
    return structs.replace(status, nlink=0)
