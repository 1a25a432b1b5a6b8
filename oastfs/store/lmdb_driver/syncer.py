"""Syncing a file while others go on: who asked for it is told by a descriptor that an event loop watches.

If there was a C compiler when OastFS was installed, ``_syncer`` does it without the interpreter's lock: a
thread that takes it twice for each sync holds up the event loop for longer than it helps.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from typing import Protocol


class Syncer(Protocol):
    """Syncs files, here or on a thread of its own.

    After a sync that failed the next one may claim success, for what is not on the disk: so the first that
    fails has all others fail, whoever asks for them.
    """

    def request(self, file: int, number: int) -> None:
        """Have a file synced soon; ``reached`` is ``number``, or more, then. Numbers grow, and the file is
        another only if no request is under way. Raises OSError."""

    def reached(self) -> int:
        """The number up to which requests were carried out. Raises OSError if one failed."""
        ...

    def sync(self, file: int) -> None:
        """Sync a file on this thread. Raises OSError, and from then on always."""

    def wait(self) -> None:
        """Return when no request is under way."""

    def seconds(self) -> float:
        """What a sync takes at present: an average in which each counts for an eighth."""
        ...

    def fileno(self) -> int:
        """A descriptor that is readable once there may be more that ``reached`` tells."""
        ...

    def close(self) -> None:
        """End the thread, after what was requested. In a forked child, close the descriptor only."""


class ThreadSyncer:
    """A ``Syncer`` in Python."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._syncing = threading.Lock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._file = -1
        self._wanted = self._reached = 0
        self._error = 0
        self._seconds = 0.0
        self._owner = os.getpid()

    def request(self, file: int, number: int) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="oastfs-sync", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise OSError(errno.EAGAIN, "a thread for syncs cannot be started") from error
                self._thread = thread
            self._file, self._wanted = file, max(self._wanted, number)
            self._changed.notify_all()

    def reached(self) -> int:
        if self._descriptor >= 0:
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)
        number = self._reached  # after that: what is added to it now is told anew
        self._check()
        return number

    def sync(self, file: int) -> None:
        with self._syncing:
            self._check()
            started = time.perf_counter()
            try:
                os.fdatasync(file)
            except OSError as error:
                self._error = error.errno or 1
                raise
            self._seconds += (time.perf_counter() - started - self._seconds) / 8

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._reached == self._wanted)

    def seconds(self) -> float:
        return self._seconds

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._owner == os.getpid() and self._thread is not None:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            self._thread.join()
            self._thread = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _check(self) -> None:
        if self._error:
            raise OSError(self._error, os.strerror(self._error))

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._reached != self._wanted or self._stopping)
                file, number = self._file, self._wanted
                if number == self._reached:
                    return
            with suppress(OSError):  # ``reached`` raises it
                self.sync(file)
            with self._changed:
                self._reached = number
                self._changed.notify_all()
                os.eventfd_write(self._descriptor, 1)


try:
    from oastfs.store.lmdb_driver import _syncer
except ImportError:
    make_syncer: type[Syncer] = ThreadSyncer
else:
    make_syncer = _syncer.Syncer
