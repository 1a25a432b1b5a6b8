"""One open LMDB environment: shared by all stores of this process on the same directory.

LMDB wants an environment opened once in a process, and its map resized while no transaction of this process
is open. Both are arranged here. Readers mark their thread in ``active`` and then look at ``barrier``;
who must have them out raises the barrier first and then waits for the marks to go. Under the
interpreter's lock neither can miss the other, and it costs a reader two operations on a set.

Only ``Leadership`` (held by whoever commits, see ``committer.py``) may resize, reopen or close.
"""

from __future__ import annotations

import enum
import errno
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import lmdb

from oastfs.core.errors import StoreError, StoreFull
from oastfs.store.lmdb_driver.directory import Unprepared, check_directory, check_marker, mark, refused
from oastfs.store.lmdb_driver.journal import Journal
from oastfs.store.lmdb_driver.presence import Presence, used_by_others
from oastfs.store.lmdb_driver.recovery import recover
from oastfs.store.lmdb_driver.tables import OpenTables, make_tables, open_tables
from oastfs.store.run import Conflict
from oastfs.store.schema import TABLES

_log = logging.getLogger(__name__)

_SMALLEST_MAP_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 30.0
_DRAIN_POLL_SECONDS = 0.0005
_READER_CHECK_SECONDS = 30.0
_PAGE_BYTES = 4096
_FULL_BYTES = 4 << 20
CLAIM_ROOM_BYTES = 64 << 20
_READER_BYTES = 64
"""A slot of LMDB's reader table."""


@dataclass(frozen=True)
class Options:
    """How to open an environment. The map is address space, not disk: it may be far larger than either.

    ``map_bytes`` is only the start: the map grows. ``max_readers`` bounds threads that read at once, over
    all processes.
    """

    map_bytes: int = 1 << 40
    max_readers: int = 1024


class State(enum.Enum):
    """What a barrier means. OPEN: there is none, or it is about to go."""

    OPEN = "open"
    RESIZING = "resizing"
    INHERITED = "inherited"
    CLOSED = "closed"


class Environment:
    """An open environment and its tables."""

    def __init__(self, path: Path, options: Options, create: bool) -> None:
        self.path = path
        self.options = options
        self.state = State.OPEN
        self.barrier: threading.Event | None = None
        self.active: set[int] = set()
        self.references = 0
        self._settled = (0, -1)
        """The first and the last of the newest snapshots that came of groups of ours, in a row, none of which
        changed what memos may rest upon: what is true of it in one of them is true in all."""
        self._due: str = ""
        self._next_reader_check = time.monotonic() + _READER_CHECK_SECONDS
        check_directory(path, create)
        self.map_bytes = options.map_bytes
        try:
            self._join(create)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            if error.errno == errno.ENOSPC:
                raise StoreFull(path=str(path)) from error
            raise StoreError(f"the store cannot be opened: {error.strerror}", path=str(path)) from error

    def _join(self, create: bool) -> None:
        """Open as one of the processes that use the store."""
        self._presence = Presence(self.path)
        try:
            with self._presence.opening():
                self._open_first(create)
                self._presence.stay()
            self.journal = Journal(self.path, self._presence.directory, self.begin_write)
            self.journal.attach(self.handle)
        except BaseException:
            self._presence.leave()
            raise

    def _open_first(self, create: bool) -> None:
        """Repair the store, make it, or bring it to our format, if need be. No other process opens it
        meanwhile."""
        alone = self._presence.alone()
        if alone:
            recover(self.path, self._presence, self._open_for_recovery)
        else:
            self._presence.join()
        try:
            self._open(create)
        except Unprepared as error:
            if not alone or used_by_others(self.path):
                raise StoreError(
                    "the store is of an older version, and in use: stop what uses it, then open it again",
                    path=str(self.path),
                ) from error
            self._prepare()
            self._open()

    def _open_for_recovery(self, factor: int) -> Any:
        self.map_bytes *= factor
        return self._open_lmdb()

    def _prepare(self) -> None:
        """Make what an empty or older store lacks. LMDB itself syncs, since there is no log yet."""
        handle = self._open_lmdb(sync=True)
        try:
            make_tables(handle, TABLES)
            mark(handle)
        except lmdb.Error as error:
            raise translate(error, self.path) from error
        finally:
            handle.close()

    def _open(self, create: bool = False) -> None:
        self._settled = (0, -1)
        self.handle: Any = self._open_lmdb(create)
        try:
            check_marker(self.handle, self.path, create)
            self.tables: OpenTables = open_tables(self.handle, TABLES)
            self.handle.reader_check()
        except lmdb.Error as error:
            self.handle.close()
            raise translate(error, self.path) from error
        except BaseException:
            self.handle.close()
            raise
        self.begin = self.handle.begin
        self.identity = data_file_identity(self.path)

    def _open_lmdb(self, create: bool = False, sync: bool = False) -> Any:
        """Open with as large a map as the address space allows. Without ``sync`` the log makes commits
        durable."""
        self._reserve_lock_file()
        while True:
            try:
                opened = lmdb.open(
                    str(self.path),
                    sync=sync,
                    map_size=self.map_bytes,
                    max_dbs=64,
                    max_readers=self.options.max_readers,
                    readahead=False,  # Rows are read at random; neighbours would push useful pages out.
                    create=create,
                    mode=0o600,
                )
            except lmdb.MemoryError as error:
                self.map_bytes //= 2
                if self.map_bytes < _SMALLEST_MAP_BYTES:
                    raise StoreError(f"no address space to map the store {self.path}") from error
            except lmdb.Error as error:
                raise refused(error, self.path) from error
            else:
                self.map_bytes = opened.info()["map_size"]
                return opened

    def _reserve_lock_file(self) -> None:
        """Give the lock file its blocks: it is written through a map, and a full disk would kill us.

        Only before LMDB has it open: closing any descriptor of a file drops all locks that the process
        holds on it (fcntl(2)), and the next process to come would think that it is alone. A lock file that is
        there keeps its length, which others may have mapped.
        """
        descriptor = os.open(self.path / "lock.mdb", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            length = os.fstat(descriptor).st_size or _PAGE_BYTES + _READER_BYTES * self.options.max_readers
            os.posix_fallocate(descriptor, 0, length)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreFull(path=str(self.path)) from error
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        finally:
            os.close(descriptor)

    # --- snapshots ------------------------------------------------------------------------------------

    def committed(self, snapshot: int, unsettles: bool) -> None:
        """Note what a group of ours did to memos of the snapshot before. Called by the leader."""
        first, last = self._settled
        if unsettles:
            self._settled = (snapshot + 1, snapshot)
        else:
            self._settled = (first if snapshot == last + 1 else snapshot, snapshot)

    def holds(self, before: int, now: int) -> bool:
        """Whether a memo of a snapshot is true of a later one. What other processes change is not known."""
        first, last = self._settled
        return first - 1 <= before < now <= last

    # --- transactions that could not begin or commit ------------------------------------------------

    def begin_write(self) -> Any:
        """A write transaction, bound to this thread. Waits for other processes."""
        try:
            return self.begin(None, None, True)
        except lmdb.Error as error:
            raise self.write_failed(error) from error

    def read_failed(self, error: lmdb.Error) -> StoreError:
        """What to raise when a snapshot could not be taken; ``settle`` puts the cause right."""
        if isinstance(error, lmdb.MapResizedError):
            self.need("adopt")
        elif isinstance(error, lmdb.PanicError):
            self.need("reopen")
        elif isinstance(error, lmdb.ReadersFullError):
            if self.handle.reader_check() == 0:
                return StoreError(f"more than {self.options.max_readers} readers of {self.path} at once")
        else:
            return translate(error, self.path)
        return Conflict(str(error), at_once=True)

    def write_failed(self, error: lmdb.Error) -> StoreError:
        """What to raise when a write transaction failed and is aborted; grows or reopens first.

        Called by the leader.
        """
        if isinstance(error, lmdb.MapFullError):
            self._grow()
        elif isinstance(error, lmdb.MapResizedError):
            self._resize(0)
        elif isinstance(error, lmdb.PanicError):
            self._reopen()
        else:
            return translate(error, self.path)
        return Conflict(str(error), at_once=True)

    def need(self, what: Literal["adopt", "reopen"]) -> None:
        """Ask the leader to adopt the map's new size, or to open the environment again."""
        self._due = what

    def settle(self) -> None:
        """Do what a failed reader left to do. Called by the leader."""
        due, self._due = self._due, ""
        if due == "adopt":
            self._resize(0)
        elif due == "reopen":
            self._reopen()

    @property
    def needs_settling(self) -> bool:
        """Whether a reader failed for a cause that the leader can put right."""
        return bool(self._due)

    def maintain(self) -> None:
        """Take back the reader slots of processes that were killed, now and then. Called by the leader."""
        now = time.monotonic()
        if now > self._next_reader_check:
            self._next_reader_check = now + _READER_CHECK_SECONDS
            self.handle.reader_check()

    # --- resizing, reopening, closing ---------------------------------------------------------------

    def _grow(self) -> None:
        """Double the map, or add what the address space still gives."""
        step = self.map_bytes
        while step >= _PAGE_BYTES * 16:
            try:
                self._resize(self.map_bytes + step)
                return
            except lmdb.MemoryError:
                step //= 2
        raise StoreFull("no address space to grow the store's map", path=str(self.path))

    def _resize(self, map_bytes: int) -> None:
        """Set the map's size; 0 adopts the size that another process gave it."""
        self._raise_barrier(State.RESIZING)
        self.journal.lose_pins()
        try:
            self.handle.set_mapsize(map_bytes)
            self.map_bytes = self.handle.info()["map_size"]
        except lmdb.Error as error:
            # The map is gone: open it again as it was.
            self._open_again()
            if isinstance(error, lmdb.MemoryError):
                raise
            raise translate(error, self.path) from error
        finally:
            self._lower_barrier()

    def _reopen(self) -> None:
        """Close and open again: the way out of the state in which LMDB refuses to write."""
        self._raise_barrier(State.RESIZING)
        try:
            self._open_again()
        finally:
            self._lower_barrier()

    def _open_again(self) -> None:
        self.journal.lose_pins()
        self.handle.close()
        self._open()
        self.journal.attach(self.handle)

    def claim(self) -> bool:
        """Whether this process has the store alone, and may commit later: then it has it until ``share`` is
        called. What a full disk would have refused is better refused before it is answered."""
        disk = os.fstatvfs(self._presence.directory)
        return disk.f_bavail * disk.f_frsize >= CLAIM_ROOM_BYTES and self._presence.claim()

    def share(self) -> None:
        """Let other processes in again."""
        self._presence.share()

    def close(self, whole: bool = True) -> None:
        """Close for good, once the readers are out. Unless it is ``whole`` without the log, that is left."""
        self._raise_barrier(State.CLOSED)
        with self._presence.opening():
            try:
                self.journal.close(self._presence.alone() and whole)
            except (StoreError, OSError, lmdb.Error) as error:
                _log.warning("%s: the log is left for the next opening: %s", self.path, error)
            self.handle.close()
            self._presence.leave()
        if self.barrier is not None:
            self.barrier.set()

    def become_inherited(self) -> None:
        """In a forked child: nobody may use this any more, nor close it, for the parent does."""
        self.state = State.INHERITED
        self.barrier = threading.Event()
        self.barrier.set()
        self.active = set()
        self.journal.abandon()
        self._presence.leave()

    def _raise_barrier(self, state: State) -> None:
        self.state = state
        self.barrier = threading.Event()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self.active - {threading.get_ident()}:
            if time.monotonic() > deadline:
                self._lower_barrier()
                raise StoreError(f"a read has been running for {_DRAIN_SECONDS:g} s in {self.path}")
            time.sleep(_DRAIN_POLL_SECONDS)

    def _lower_barrier(self) -> None:
        barrier, self.barrier = self.barrier, None
        self.state = State.OPEN
        if barrier is not None:
            barrier.set()

    # --- figures ------------------------------------------------------------------------------------

    def usage(self) -> tuple[int, int]:
        """Bytes on disk, and bytes free on that disk."""
        used = sum((self.path / name).stat().st_blocks * 512 for name in ("data.mdb", "lock.mdb"))
        used += self.journal.disk_bytes()
        disk = os.statvfs(self.path)
        return used, disk.f_bavail * disk.f_frsize


def data_file_identity(path: Path) -> tuple[int, int]:
    """Which file the data of a store is; (0, 0) for none."""
    try:
        status = (path / "data.mdb").stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _closed() -> Environment:
    environment = Environment.__new__(Environment)
    environment.state = State.CLOSED
    environment.barrier = threading.Event()
    environment.barrier.set()
    environment.active = set()
    return environment


CLOSED: Final = _closed()
"""What a store has for an environment once it is closed: nothing gets past its barrier."""


def translate(error: lmdb.Error, path: Path) -> StoreError:
    """LMDB's errors as ours."""
    if isinstance(error, lmdb.DiskError) or (getattr(error, "code", 0) == errno.EIO and _is_full(path)):
        return StoreFull(path=str(path))
    return StoreError(f"the store failed: {error}", path=str(path))


def _is_full(path: Path) -> bool:
    """LMDB calls it an input/output error if the disk took only part of a write."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < _FULL_BYTES
