"""What all files and calls of one client share: the metadata, who asks, and resources of this process.

A session survives fork and pickling by being opened anew: connections, threads and caches are
never inherited, they are made at first use in the process that uses them.
"""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oastfs.core.errors import OastError
from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller, FilesystemInfo

WORKERS = 8

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
_left_behind: list[Any] = []
"""What a forked child inherited: it belongs to the parent, and must be neither used nor closed."""


class Session:
    """``open_metadata`` connects; it is called once in each process that uses the session."""

    def __init__(
        self,
        open_metadata: Callable[[], Metadata],
        caller: Caller,
        timeout_seconds: float,
    ) -> None:
        self.caller = caller
        self.timeout_seconds = timeout_seconds
        self.closed = False
        self._open_metadata = open_metadata
        self._info: FilesystemInfo | None = None
        self._start()
        _sessions.add(self)

    def _start(self) -> None:
        """As new, in this process."""
        self._lock = threading.RLock()
        self._metadata: Metadata | None = None
        self._workers: ThreadPoolExecutor | None = None
        self.holder = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:12]}"

    @property
    def metadata(self) -> Metadata:
        """The verbs; connected at first use."""
        return self._metadata or self._connect()

    def _connect(self) -> Metadata:
        with self._lock:
            if self.closed:
                raise OastError("the filesystem is closed")
            if self._metadata is None:
                self._metadata = self._open_metadata()
            return self._metadata

    @property
    def info(self) -> FilesystemInfo:
        """Constants of the filesystem, asked for once."""
        if self._info is None:
            self._info = self.metadata.filesystem_info(self.caller)
        return self._info

    @property
    def workers(self) -> ThreadPoolExecutor:
        """A few threads for reading ahead and for many files at once."""
        with self._lock:
            if self.closed:
                raise OastError("the filesystem is closed")
            if self._workers is None:
                self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="oastfs-client")
            return self._workers

    def close(self) -> None:
        """Give back connections and threads. Closing twice is harmless."""
        with self._lock:
            self.closed = True
            metadata, self._metadata = self._metadata, None
            workers, self._workers = self._workers, None
        if workers is not None:
            workers.shutdown(wait=True, cancel_futures=True)
        if metadata is not None:
            metadata.close()

    def abandon(self) -> None:
        """In a forked child: leave the parent's resources alone and begin as new."""
        _left_behind.append((self._metadata, self._workers))
        self._start()


def _after_fork() -> None:
    for session in list(_sessions):
        session.abandon()


os.register_at_fork(after_in_child=_after_fork)
