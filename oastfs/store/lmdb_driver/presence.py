"""Which processes have a store open: who comes first repairs, who leaves last tidies up.

Locks of files, which the system drops when a process dies. Three with ``flock``:

* on ``data.mdb``, exclusive, while a process opens or closes the store;
* on ``wal/lock``, shared, as long as the store is open: who gets it exclusively is alone;
* on ``wal``, exclusive, while a checkpoint is written.

And one of ``wal/lock``'s first byte (an open file description lock of fcntl(2), since exchanging a shared one
for an exclusive one is a single step): shared as long as the store is open, exclusive while there are changes
that only the log and one process's transaction have (``kept.py``). Who comes meanwhile waits for that.

LMDB's own lock of ``lock.mdb`` shows programs that do not know the log: an older version, or a tool that
copies the data file. A lock of that kind belongs to the process, not to the descriptor, and goes with the
first descriptor of the file that is closed; so it is only looked at while this process has not opened the
environment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from oastfs.core.errors import StoreError
from oastfs.core.local_files import is_there

WAL = "wal"
_LOCK = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_ID_BYTES = 64
_SHARED = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0)
_CLAIMED = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
_JOIN_SECONDS = 30.0
_JOIN_POLL_SECONDS = 0.0005


@contextmanager
def exclusively(descriptor: int) -> Iterator[None]:
    """Hold the lock on an open file or directory; waits for whoever holds it, in this process or another."""
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(own, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(own, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor, too
        os.close(own)


def used_by_others(path: Path) -> bool:
    """Whether a process has the LMDB environment open, with or without the log."""
    try:
        file = os.open(path / "lock.mdb", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


class Presence:
    """This process among those that have the store open."""

    def __init__(self, path: Path) -> None:
        """Make the data file, as yet empty, if there is none."""
        self._path = path
        self._data_file = os.open(path / "data.mdb", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = self.directory = -1

    def opening(self) -> AbstractContextManager[None]:
        """Keep other processes from opening and closing the store. All other methods are called within."""
        return exclusively(self._data_file)

    def alone(self) -> bool:
        """Whether no other process has the store open with its log; if so, keep it thus."""
        if self._lock < 0 and not is_there(self._path / WAL):
            return True
        self._enter()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def stay(self) -> None:
        """Be seen by others, who may join from now on."""
        self._enter()
        boot = _boot_id()
        if os.pread(self._lock, _BOOT_ID_BYTES, 0) != boot:
            os.pwrite(self._lock, boot, 0)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.join()

    def join(self) -> None:
        """Wait until the one that is in shows its changes, so that its LMDB transaction holds up nobody."""
        deadline = time.monotonic() + _JOIN_SECONDS
        while not _exchange(self._lock, _SHARED):
            if time.monotonic() > deadline:
                raise StoreError(
                    f"another process did not show its changes for {_JOIN_SECONDS:g} s", path=str(self._path)
                )
            time.sleep(_JOIN_POLL_SECONDS)

    def claim(self) -> bool:
        """Whether no other process has the store open; if so, none has it until ``share`` is called."""
        return _exchange(self._lock, _CLAIMED)

    def share(self) -> None:
        """Let others in again."""
        _exchange(self._lock, _SHARED)

    def machine_ran_on(self) -> bool:
        """Whether the machine has not been started anew since the store was last open."""
        return os.pread(self._lock, _BOOT_ID_BYTES, 0) == _boot_id()

    def leave(self) -> None:
        """Let go. In a forked child, which has the descriptors too, the parent's locks stay."""
        for descriptor in (self._lock, self.directory, self._data_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self.directory = self._data_file = -1

    def _enter(self) -> None:
        """Open the log's directory; make it if there is none."""
        if self._lock >= 0:
            return
        path = self._path / WAL
        path.mkdir(mode=0o700, exist_ok=True)
        self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock = os.open(_LOCK, flags, 0o600, dir_fd=self.directory)


def _exchange(file: int, lock: bytes) -> bool:
    """Have another lock than before; if that cannot be at once, nothing changes.

    Where a filesystem has no such locks nothing can be claimed.
    """
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        return lock is _SHARED and error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _boot_id() -> bytes:
    return _BOOT_ID.read_bytes()[:_BOOT_ID_BYTES]
