"""Contents of files: open, read, write, flush, fsync, release, fallocate.

A handle is the inode id: all who have an inode open in this mount share one ``OpenFile``. The kernel has
checked permissions at open, and POSIX lets an open file be written whatever becomes of its mode, so the
content is read and written as the superuser.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from oastfs.client.file import OpenFile
from oastfs.core.errors import AlreadyExists, FileTooLarge, InvalidArgument, StaleHandle, Unsupported
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.path import by_id
from oastfs.core.types import SUPERUSER, Caller, FileStatus, Opened
from oastfs.fuse.attributes import Attributes
from oastfs.fuse.effects import Change, Operation, Wait
from oastfs.fuse.flushing import flushed
from oastfs.fuse.handles import OpenInode, version_of
from oastfs.fuse.passthrough import Passthrough
from oastfs.fuse.shared import INODES, Shared, new_path

ACCESS_MODE: Final = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
KEEP_SIZE: Final = 1
PUNCH_HOLE: Final = 2
ZERO_RANGE: Final = 16
_WHOLE: Final = 1 << 30
_ZEROS: Final = bytes(1 << 20)


@dataclass(slots=True)
class Opening:
    """An opened file. ``keep_cache``: what the kernel has cached of its content is still right.

    ``uncached``: what is written through this handle is not to be kept in the kernel's cache. ``backing``:
    the number of the file that the kernel reads by itself.
    """

    status: FileStatus
    keep_cache: bool
    writable: bool
    uncached: bool = False
    backing: int = 0


class Files:
    """Open files by inode id."""

    def __init__(self, shared: Shared, attributes: Attributes) -> None:
        self._shared = shared
        self._attributes = attributes
        self._metadata = shared.metadata
        self._reads = shared.reads
        self._handles = shared.handles
        self._open = shared.handles.open
        self._inline_limit = shared.info.inline_limit

    # --- opening ----------------------------------------------------------------------------------

    def open(self, inode_id: int, flags: int, kill_set_id: bool) -> Opening | Operation[Opening]:
        """open(2) of an existing file. An operation if it has to wait."""
        if inode_id in self._handles.removing:
            raise StaleHandle(path=str(inode_id))
        closing = self._handles.closing.get(inode_id)
        if closing is not None:
            return self._open_when_closed(closing, inode_id, flags, kill_set_id)
        if self._shared.asks_later:
            return self._open_later(inode_id, flags, kill_set_id)
        return self._opened(self._reads.open(inode_id), flags, kill_set_id)

    def _open_later(self, inode_id: int, flags: int, kill_set_id: bool) -> Operation[Opening]:
        opened = yield Change("open", SUPERUSER, by_id(inode_id), 0, _WHOLE)
        opening = self._opened(opened, flags, kill_set_id)
        return opening if isinstance(opening, Opening) else (yield from opening)

    def _opened(self, opened: Opened, flags: int, kill_set_id: bool) -> Opening | Operation[Opening]:
        """This is what is to be opened."""
        writable = flags & ACCESS_MODE != os.O_RDONLY
        entry, is_busy = self._acquire(opened, writable)
        if is_busy:
            return self._opened_when_free(entry, opened, flags, kill_set_id)
        return self._opening(entry, opened, flags, kill_set_id)

    def _opened_when_free(
        self, entry: OpenInode, opened: Opened, flags: int, kill_set_id: bool
    ) -> Operation[Opening]:
        yield Wait(lambda: entry.file.refresh(opened))
        opening = self._opening(entry, opened, flags, kill_set_id)
        return opening if isinstance(opening, Opening) else (yield from opening)

    def _opening(
        self, entry: OpenInode, opened: Opened, flags: int, kill_set_id: bool
    ) -> Opening | Operation[Opening]:
        """Of an inode with one more handle."""
        inode_id = entry.inode_id
        closing = self._handles.closing.get(inode_id)
        if closing is not None:  # that has begun just now, on another thread
            return self._open_when_closed(closing, inode_id, flags, kill_set_id, entry)
        keep_cache = self._still_cached(opened.status, entry)
        if keep_cache is None:
            return self._opened_anew(entry, opened, flags, kill_set_id)
        return self._as_asked(entry, opened, flags, kill_set_id, keep_cache)

    def _opened_anew(
        self, entry: OpenInode, opened: Opened, flags: int, kill_set_id: bool
    ) -> Operation[Opening]:
        """Others have it open, and may be reading pages that have to be dropped, which waits for that."""
        try:
            yield Wait(lambda: self._begin_cache(opened.status))
        except BaseException:
            yield from self._release(entry, entry.inode_id)
            raise
        opening = self._as_asked(entry, opened, flags, kill_set_id, False)
        return opening if isinstance(opening, Opening) else (yield from opening)

    def _as_asked(
        self, entry: OpenInode, opened: Opened, flags: int, kill_set_id: bool, keep_cache: bool
    ) -> Opening | Operation[Opening]:
        writable = flags & ACCESS_MODE != os.O_RDONLY
        if not keep_cache:
            entry.undisturbed = True  # the kernel begins anew
        opening = Opening(opened.status, keep_cache, writable)
        if flags & os.O_TRUNC and writable:
            return self._truncated(entry, opening, kill_set_id)
        passthrough = self._shared.passthrough
        if passthrough is None:
            return opening
        if entry.content is not None:
            passthrough.ask(entry)
            return opening
        return self._chosen(entry, opened, opening, passthrough)

    def _chosen(
        self, entry: OpenInode, opened: Opened, opening: Opening, passthrough: Passthrough
    ) -> Operation[Opening]:
        """Let the kernel read the file by itself, if it can."""
        try:
            opening.backing = yield Wait(lambda: passthrough.choose(entry, opened))
        except BaseException:
            yield from self._release(entry, entry.inode_id)
            raise
        return opening

    def _open_when_closed(
        self,
        closing: threading.Event,
        inode_id: int,
        flags: int,
        kill_set_id: bool,
        too_early: OpenInode | None = None,
    ) -> Operation[Opening]:
        """Two writers of one mount would take a file's blocks from each other, over and over."""
        if too_early is not None:
            yield from self._release(too_early, inode_id)
        yield Wait(closing.wait)
        opening = self.open(inode_id, flags, kill_set_id)
        return opening if isinstance(opening, Opening) else (yield from opening)

    def create(
        self, parent_id: int, name: str, mode: int, umask: int, flags: int, caller: Caller
    ) -> Operation[tuple[FileStatus, Opening]]:
        """open(2) with O_CREAT of a name that the kernel found free (another mount may be faster)."""
        path, mode = new_path(parent_id, name), mode & 0o7777
        try:
            status = yield Change("create", caller, path, mode & ~umask, False, False, "", 0, 0, mode)
        except AlreadyExists:
            if flags & os.O_EXCL:
                raise
            # Not in a callback of the store, where nothing may be read.
            opening = yield Wait(lambda: self._open_existing(path, flags, caller))
            if type(opening) is not Opening:
                opening = yield from opening
            return opening.status, opening
        writable = flags & ACCESS_MODE != os.O_RDONLY
        entry, is_busy = self._acquire(status, writable)
        if is_busy:
            yield Wait(lambda: entry.file.refresh(status))
        self._shared.entries.note(parent_id, name, status)
        self._shared.entry_changed(parent_id, status.ctime_ns)
        self._shared.told(status)
        if flags & ACCESS_MODE == os.O_WRONLY and self._shared.writes_uncached:
            entry.uncached = True
        else:
            self._handles.cached.put(status.inode_id, version_of(status))
        return status, Opening(status, False, writable, entry.uncached)

    def _open_existing(self, path: str, flags: int, caller: Caller) -> Opening | Operation[Opening]:
        """As the kernel does it for a name that it knows: check, then open."""
        existing = self._metadata.stat(SUPERUSER, path, False)
        if not existing.is_file:
            raise AlreadyExists(path=path)
        self._metadata.access(caller, f"{INODES}{existing.inode_id}", _mask(flags))
        return self.open(existing.inode_id, flags, caller.uid != 0)

    def _acquire(self, opened: FileStatus | Opened, writable: bool) -> tuple[OpenInode, bool]:
        """One more handle on an inode, and whether its file is still to be told how it looks now, since
        another thread is at work on it."""
        status = opened.status if type(opened) is Opened else opened
        assert type(status) is FileStatus
        with self._handles.lock:
            entry = self._open.get(status.inode_id)
            if entry is not None:
                entry.handles += 1
        if entry is None:
            return self._acquire_first(opened, status, writable), False
        is_busy = False
        if writable and not entry.writable:
            self._make_writable(entry, opened)
        elif entry.content is not None:
            self._renew(entry, opened, status)
        elif not entry.file.dirty:
            is_busy = not _at_once(entry.file, lambda file: file.refresh(opened))
        entry.small = entry.small and status.is_inline
        return entry, is_busy

    def _acquire_first(self, opened: FileStatus | Opened, status: FileStatus, writable: bool) -> OpenInode:
        small = status.is_inline and status.length <= self._inline_limit
        data = None if writable else _whole_content(opened, status)
        fresh = OpenInode(
            self._open_file(opened, writable) if data is None else data, status, writable, small
        )
        with self._handles.lock:
            entry = self._open.setdefault(status.inode_id, fresh)
            if entry is not fresh:
                entry.handles += 1
        if entry is not fresh:  # another thread was faster
            if fresh.content is None:
                fresh.file.close()
            if writable and not entry.writable:
                self._make_writable(entry, opened)
        return entry

    def _make_writable(self, entry: OpenInode, opened: FileStatus | Opened) -> None:
        """From now on all read and write through a file that may be written."""
        file = self._open_file(opened, True)
        with self._handles.lock:
            spare = file if entry.writable else entry.become(file)
            entry.writable = True
        if spare is not None:
            spare.close()

    def _renew(self, entry: OpenInode, opened: FileStatus | Opened, status: FileStatus) -> None:
        """A file that is only read was opened once more: all its readers see it as it is now."""
        data = _whole_content(opened, status)
        file = self._open_file(opened, False) if data is None else None
        spare = file
        with self._handles.lock:
            if entry.content is not None and status.ctime_ns >= entry.changed_ns:
                if file is not None:
                    spare = entry.become(file)
                else:
                    entry.content, entry.changed_ns = data, status.ctime_ns
        if spare is not None:
            spare.close()

    def renew(self, entry: OpenInode) -> FileStatus:
        """Have all who have a file open see it as it is now, and what was written here sent; its attributes.

        May wait. For who has just locked it: others who did so before have sent what they wrote.
        """
        if entry.content is None:
            status = entry.file.renew()
            entry.small = entry.small and status.is_inline
            return status
        opened = self._reads.open(entry.inode_id)
        entry.changed_ns = 0  # whatever another machine's clock said
        entry.small = entry.small and opened.status.is_inline
        self._renew(entry, opened, opened.status)
        return opened.status

    def _open_file(self, opened: FileStatus | Opened, writable: bool) -> OpenFile:
        return self._shared.filesystem.open_file(opened, writable=writable, caller=SUPERUSER)

    def _still_cached(self, status: FileStatus, entry: OpenInode) -> bool | None:
        """Whether the kernel's pages are of this version; tells the kernel if its attributes may not be.

        If they are not, they are dropped before anybody believes them to be: the answer to an open has the
        kernel drop them too, but when it comes to that, while others go on. When somebody opens a small file
        to read it, the kernel is handed the content and need not ask for it.

        None: others have it open, so ``_begin_cache`` may have to wait. The kernel may be waiting for an
        answer about the very pages, and lets nobody touch them. While the lock is held, nobody gets to
        have it open.
        """
        inode_id, version = status.inode_id, version_of(status)
        told = self._handles.told.get(inode_id)
        if told != version:
            self._shared.changed_elsewhere(inode_id, False)
            # What it asks for from now on is as new as this; answers under way are passed over.
            self._handles.told.put(inode_id, version)
        if self._handles.cached.get(inode_id) == version:
            return True
        with self._handles.lock:
            if entry.handles > 1:
                return None
            if told == version and entry.content and self._shared.hand_over(inode_id, entry.content):
                self._handles.cached.put(inode_id, version)
                return True
            self._begin_cache(status)
            return False

    def _begin_cache(self, status: FileStatus) -> None:
        """What the kernel reads of a file from now on is of this version, or of a later one."""
        self._shared.changed_elsewhere(status.inode_id, True)
        self._handles.cached.put(status.inode_id, version_of(status))

    def _truncated(self, entry: OpenInode, opening: Opening, kill_set_id: bool) -> Operation[Opening]:
        """O_TRUNC is sent with the content that follows, in one change."""
        try:
            if kill_set_id and entry.mode & 0o6000:
                yield from self._attributes.drop_set_id(entry.inode_id)
                yield Wait(lambda: entry.file.truncate(0))
            elif not entry.small or not _at_once(entry.file, lambda file: file.truncate(0)):
                yield Wait(lambda: entry.file.truncate(0))
        except BaseException:
            yield from self._release(entry, entry.inode_id)
            raise
        opening.keep_cache = False
        return opening

    # --- reading and writing ------------------------------------------------------------------------

    def read(self, inode_id: int, offset: int, size: int, to_cache: bool = True) -> bytes | Operation[bytes]:
        """pread(2). An operation if the content may be in blocks. ``to_cache``: the kernel will keep it."""
        entry = self._open.get(inode_id)
        if entry is None:
            raise StaleHandle(path=str(inode_id))
        if to_cache:
            entry.may_be_cached = True
        if entry.small and (entry.content is not None or not self._shared.asks_later):
            return entry.read(offset, size)
        return _read_blocks(entry, offset, size)

    def may_be_cached(self, inode_id: int) -> bool:
        """Whether the kernel was given content to keep since the file is open here."""
        entry = self._open.get(inode_id)
        return entry is not None and entry.may_be_cached

    def write(self, inode_id: int, offset: int, data: bytes, kill_set_id: bool) -> int | Operation[int]:
        """pwrite(2). An operation if it may have to wait."""
        entry = self._writer(inode_id)
        end = offset + len(data)
        if entry.small and end <= self._inline_limit and not (kill_set_id and entry.mode & 0o6000):
            file = entry.file
            if file.try_hold():
                try:
                    return file.pwrite(offset, data)
                finally:
                    file.let_go()
        return self._write(entry, offset, data, kill_set_id)

    def _write(self, entry: OpenInode, offset: int, data: bytes, kill_set_id: bool) -> Operation[int]:
        end = offset + len(data)
        if end > FILE_BYTES_MAX:
            raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes")
        entry.resized(end, self._inline_limit)
        entry.unsynced = True
        if kill_set_id and entry.mode & 0o6000:
            yield from self._attributes.drop_set_id(entry.inode_id)
        return (yield Wait(lambda: entry.file.pwrite(offset, data)))  # type: ignore[no-any-return]

    def flush(self, inode_id: int) -> Operation[Any] | None:
        """One handle is being closed: what was written becomes durable and visible to all."""
        entry = self._open.get(inode_id)
        if entry is None or not entry.writable or entry.kept:
            return None
        if not entry.small and entry.unsynced:
            return flushed(self._shared, entry, sync=True)
        return flushed(self._shared, entry) if entry.dirty else None

    def fsync(self, inode_id: int) -> Operation[Any] | None:
        """fsync(2)."""
        return self.flush(inode_id)

    def release(self, inode_id: int) -> Operation[None] | None:
        """The end of one handle; of the last one, of the open file. An operation if it may have to wait."""
        entry = self._open.get(inode_id)
        if entry is None:
            return None
        with self._handles.lock:
            if entry.content is not None and not entry.kept:
                entry.handles -= 1
                if not entry.handles:
                    del self._open[inode_id]
                return None
        return self._release(entry, inode_id)

    def _release(self, entry: OpenInode, inode_id: int) -> Operation[None]:
        dirty = entry.dirty and not entry.kept
        if entry.handles == 1 and dirty:
            # Pages of a mapping come after flush. Others may open it meanwhile: it stays known until sent.
            try:
                yield from flushed(self._shared, entry)
            except OSError:
                pass  # closing tries again, and the handle ends whatever comes of that
        with self._handles.lock:
            entry.handles -= 1
            if entry.handles:
                return
            del self._open[inode_id]
            waits = dirty or (entry.writable and not entry.small)
            if waits:
                closed = self._handles.closing[inode_id] = threading.Event()
        try:
            if waits:
                yield from self._close(entry, closed)
            elif entry.content is None and not _at_once(entry.file, lambda file: entry.end()):
                yield Wait(entry.end)
        finally:
            if entry.kept:
                yield Change("forget", SUPERUSER, [inode_id], self._shared.holder)

    def _close(self, entry: OpenInode, closed: threading.Event) -> Operation[None]:
        try:
            yield Wait(entry.file.close)
        finally:
            closed.set()
            # Who opened it just before may be closing it, too.
            if self._handles.closing.get(entry.inode_id) is closed:
                del self._handles.closing[entry.inode_id]

    # --- space ----------------------------------------------------------------------------------

    def fallocate(
        self, inode_id: int, offset: int, length: int, mode: int, caller: Caller
    ) -> Operation[None]:
        """fallocate(2). Space is not reserved; holes are punched by writing zeros.

        The kernel leaves it to us who may keep set-id bits: here only root.
        """
        entry = self._writer(inode_id)
        end = offset + length
        if end > FILE_BYTES_MAX:
            raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes")
        if mode not in (0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE):
            raise Unsupported(f"fallocate mode {mode:#x} is not supported")
        if caller.uid and entry.mode & 0o6000:
            yield from self._attributes.drop_set_id(inode_id, caller)
        before = entry.file.length
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            yield from self._write_zeros(entry, offset, min(end, before))
        if not mode & KEEP_SIZE and end > before:
            entry.resized(end, self._inline_limit)
            yield Wait(lambda: entry.file.truncate(end))

    def _write_zeros(self, entry: OpenInode, offset: int, end: int) -> Operation[None]:
        while offset < end:
            data = _ZEROS[: min(len(_ZEROS), end - offset)]
            yield from self._write(entry, offset, data, False)
            offset += len(data)

    def _writer(self, inode_id: int) -> OpenInode:
        entry = self._open.get(inode_id)
        if entry is None:
            raise StaleHandle(path=str(inode_id))
        if not entry.writable:
            raise InvalidArgument("the file is not open for writing")
        return entry

    def flush_all(self) -> list[OSError]:
        """Send whatever is written, before the mount ends; the errors that came up."""
        errors = []
        for entry in list(self._open.values()):
            try:
                if entry.dirty and not entry.kept:
                    entry.file.fsync()
            except OSError as error:
                errors.append(error)
        return errors


def _at_once(file: OpenFile, function: Callable[[OpenFile], None]) -> bool:
    """Call it with the file, unless another thread is at work there; whether that was done."""
    if not file.try_hold():
        return False
    try:
        function(file)
    finally:
        file.let_go()
    return True


def _read_blocks(entry: OpenInode, offset: int, size: int) -> Operation[bytes]:
    return (yield Wait(lambda: entry.read(offset, size)))  # type: ignore[no-any-return]


def _whole_content(opened: FileStatus | Opened, status: FileStatus) -> bytes | None:
    """All of a file's content, if that is here."""
    data = opened.data if type(opened) is Opened else None
    return data if data is not None and len(data) == status.length else None


def _mask(flags: int) -> int:
    """The access that open flags ask for, as access(2) spells it."""
    return {os.O_RDONLY: 4, os.O_WRONLY: 2}.get(flags & ACCESS_MODE, 6)
