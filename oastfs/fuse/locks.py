"""Locks that hold between mounts: flock(2) and record locks of fcntl(2).

The namespace keeps them (``namenode/file_locks.py``); the mount remembers which files have any here, so that
no other file costs a call when it is closed.

As on NFS a lock is also a moment at which mounts agree on the file: before one is given back what was written
here is sent, and once one is had the file is seen as it is then. So what is read and written under a lock is
never out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

from oastfs.core.errors import (
    InvalidArgument,
    LockHeld,
    LocksLost,
    OastError,
    StaleHandle,
    TooManyLocks,
)
from oastfs.core.types import LOCK_END, SUPERUSER, FileLock, FileStatus, LockKind, LockType
from oastfs.fuse.effects import Change, Operation, Wait, run
from oastfs.fuse.files import Files
from oastfs.fuse.flushing import flushed
from oastfs.fuse.handles import OpenInode, Remembered, version_of
from oastfs.fuse.lock_circles import RecordWait
from oastfs.fuse.lock_session import LockSession, Owner, unlocking
from oastfs.fuse.lock_waits import Answer, LockWaits
from oastfs.fuse.shared import Shared

_REFUSALS: Final = (LockHeld, StaleHandle, TooManyLocks, InvalidArgument)
"""Answers that leave no doubt that nothing was locked."""
_UNTOLD: Final = 1 << 63
"""Handles from here on are those that are closed without a FLUSH."""


class Locks:
    """What the kernel asks about locks. An owner is its number for a process (POSIX) or open file (flock)."""

    def __init__(self, shared: Shared, files: Files) -> None:
        self._shared = shared
        self._files = files
        self._open = shared.handles.open
        self._cached = shared.handles.cached
        self._told = shared.handles.told
        name, numbers = shared.holder, count(1)
        self._session = LockSession(shared.metadata, lambda: f"{name}-locks-{next(numbers)}")
        self._waits = LockWaits()
        self._untold = count(_UNTOLD)
        self._by_handle: dict[int, set[Owner]] = {}
        """POSIX locks that were taken by handles which are closed without a FLUSH."""
        self._ranged = Remembered()
        """Files that had POSIX locks here."""
        self.held = self._session.held
        """Inodes with locks; ``close`` and ``release`` have nothing to do for others."""

    # --- asking -------------------------------------------------------------------------------------

    def query(self, inode_id: int, lock: FileLock) -> Operation[FileLock | None]:
        """F_GETLK: a lock that stands against this one."""
        found: FileLock | None
        if self._shared.asks_later:
            found = yield Change("get_lock", SUPERUSER, inode_id, self._session.holder, lock)
        else:
            found = self._shared.metadata.get_lock(SUPERUSER, inode_id, self._session.holder, lock)
        return found

    # --- locking ------------------------------------------------------------------------------------

    def set(self, inode_id: int, handle: int, lock: FileLock) -> Operation[None]:
        """F_SETLK, and flock(2) with LOCK_NB. Raises LockHeld, LocksLost."""
        if lock.type is LockType.UNLOCK:
            yield from self._unlock(inode_id, lock)
            return
        yield from self._lock(inode_id, lock)
        self._note_handle(inode_id, handle, lock)

    def has_waiters(self, inode_id: int) -> bool:
        """Whether others came before who wait for the file's locks: whoever comes now waits behind them."""
        return self._waits.has(inode_id)

    def wait(self, inode_id: int, handle: int, lock: FileLock, unique: int, answer: Answer) -> None:
        """F_SETLKW, and flock(2) without LOCK_NB, where it could not be had at once."""
        metadata = self._shared.metadata
        attempt = partial(self._attempt, metadata, inode_id, handle, lock)
        record = None
        if lock.kind is LockKind.POSIX:
            record = RecordWait(lock.owner, partial(self._find_blocker, metadata, inode_id, lock))
        self._waits.add(unique, inode_id, attempt, answer, record)

    def _attempt(self, metadata: Any, inode_id: int, handle: int, lock: FileLock) -> None:
        run(metadata, self.set(inode_id, handle, lock))

    def _find_blocker(self, metadata: Any, inode_id: int, lock: FileLock) -> int:
        """The owner in this mount of a lock that stands against this one, or 0."""
        found = run(metadata, self.query(inode_id, lock))
        return 0 if found is None else found.owner

    def interrupt(self, unique: int) -> None:
        """A signal came for whoever made that request."""
        self._waits.interrupt(unique)

    def _lock(self, inode_id: int, lock: FileLock) -> Operation[None]:
        owner = (inode_id, lock.kind, lock.owner)
        entry = self._open.get(inode_id)
        if entry is not None and entry.dirty and not entry.kept:
            yield from flushed(self._shared, entry)  # a lock for reading may replace one for writing
        while True:
            if self._session.has_lost(owner):
                raise LocksLost(path=str(inode_id))
            holder, begin = self._session.begin()
            try:
                status: FileStatus = yield Change("set_lock", SUPERUSER, inode_id, holder, lock, begin)
                break
            except LocksLost:
                self._session.lose(holder)
                if begin:
                    raise
            except LockHeld:
                if lock.kind is LockKind.FLOCK and self._session.has(owner):
                    # As on Linux, who exchanges a lock for another gives it up first: two who both want
                    # more than they have would wait for each other for ever.
                    yield from self._unlock(inode_id, unlocking(owner))
                raise
            except _REFUSALS:
                raise
            except OastError:
                self._session.gained(owner, holder)  # perhaps: closing the file gives it back
                raise
        self._session.gained(owner, holder)
        if entry is not None and not entry.kept:
            yield from self._agree(entry, status)

    def _agree(self, entry: OpenInode, status: FileStatus) -> Operation[None]:
        """See the file as it was when it was locked, or later."""
        if self._cached.get(entry.inode_id) != version_of(status):
            yield Wait(partial(self._begin_anew, entry))
        # Others may change other parts of it while this one is locked.
        entry.undisturbed = False

    def _begin_anew(self, entry: OpenInode) -> None:
        status = self._files.renew(entry)
        inode_id, version = entry.inode_id, version_of(status)
        self._told.put(inode_id, version)
        self._shared.changed_elsewhere(inode_id, True)
        self._cached.put(inode_id, version)

    def _note_handle(self, inode_id: int, handle: int, lock: FileLock) -> None:
        if lock.kind is LockKind.POSIX:
            self._ranged.put(inode_id, True)
            if handle >= _UNTOLD:
                self._by_handle.setdefault(handle, set()).add((inode_id, lock.kind, lock.owner))

    # --- unlocking ----------------------------------------------------------------------------------

    def _unlock(self, inode_id: int, lock: FileLock) -> Operation[None]:
        owner = (inode_id, lock.kind, lock.owner)
        whole = lock.start == 0 and lock.end == LOCK_END
        if not self._session.has(owner):
            if whole:
                self._session.gone(owner)
            return
        failure = yield from self._send(inode_id)
        holder = self._session.holder
        try:
            yield Change("set_lock", SUPERUSER, inode_id, holder, lock, False)
        except TooManyLocks:
            raise
        except OastError:
            # It may be locked for ever, unless all that this mount has locked ends.
            self._session.lose(holder)
            raise
        finally:
            if whole:
                self._session.gone(owner)
                self._forget_handles(owner)
            self._waits.unlocked(inode_id)
        if failure is not None:
            raise failure

    def _forget_handles(self, owner: Owner) -> None:
        for handle, owners in list(self._by_handle.items()):
            owners.discard(owner)
            if not owners:
                self._by_handle.pop(handle, None)

    def _send(self, inode_id: int) -> Operation[OastError | None]:
        """Let others see what was written under a lock. If that cannot be, its writer is told."""
        entry = self._open.get(inode_id)
        if entry is not None and entry.dirty and not entry.kept:
            try:
                yield from flushed(self._shared, entry)
            except OastError as error:
                return error
        return None

    # --- closing ------------------------------------------------------------------------------------

    def handle_of(self, inode_id: int) -> int:
        """The number of a handle that is open for reading only; 0 if its closing is to be told by a FLUSH.

        Only that tells which process closes it, whose POSIX locks end then. It is done without for what has
        had none.
        """
        return 0 if self._ranged.get(inode_id) else next(self._untold)

    def close(self, inode_id: int, owner: int, flush: Operation[Any] | None) -> Operation[None]:
        """A process closes a descriptor of the file: all of its POSIX locks there end, after ``flush``."""
        try:
            if flush is not None:
                yield from flush
        finally:
            yield from self._unlock(inode_id, unlocking((inode_id, LockKind.POSIX, owner)))

    def release(
        self, inode_id: int, handle: int, owner: int | None, release: Callable[[], Operation[None] | None]
    ) -> Operation[None]:
        """An open file ends, and with it its flock, if it has an ``owner``; then ``release``."""
        owners = self._by_handle.pop(handle, set())
        if owner is not None:
            owners.add((inode_id, LockKind.FLOCK, owner))
        try:
            for one in owners:
                yield from self._unlock(inode_id, unlocking(one))
        finally:
            ending = release()
            if ending is not None:
                yield from ending

    def end_waits(self) -> None:
        """The mount is about to end: nobody waits any more."""
        self._waits.end()

    def end(self) -> None:
        """The mount has ended: all of its locks do."""
        self._waits.end()
        self._session.close()
