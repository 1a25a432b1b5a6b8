"""What all files and calls of one client share: the metadata, who asks, and resources of this process.

A session survives fork and pickling by being opened anew: connections, threads and caches are
never inherited, they are made at first use in the process that uses them.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from oastfs.client.source import Source
from oastfs.core.errors import OastError
from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller, FileStatus, FilesystemInfo, Opened

if TYPE_CHECKING:
    from oastfs.client.blocks.pool import Datanodes
    from oastfs.client.file import OpenFile
    from oastfs.client.housekeeping import Housekeeper

WORKERS = 8

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
_left_behind: list[Any] = []
"""What a forked child inherited: it belongs to the parent, and must be neither used nor closed."""


class Session:
    """Connects to ``source`` at first use, once in each process that uses the session."""

    def __init__(
        self, source: Source, caller: Caller, timeout_seconds: float, *, verify_local_reads: bool = True
    ) -> None:
        self.source = source
        self.caller = caller
        self.timeout_seconds = timeout_seconds
        self.verify_local_reads = verify_local_reads
        self.closed = False
        self._info: FilesystemInfo | None = None
        self._start()
        _sessions.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopen, (self.source, self.caller, self.timeout_seconds, self.verify_local_reads))

    def _start(self) -> None:
        """As new, in this process."""
        self._lock = threading.RLock()
        self._metadata: Metadata | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._datanodes: Datanodes | None = None
        self._housekeeper: Housekeeper | None = None
        self._files: weakref.WeakSet[OpenFile] = weakref.WeakSet()
        self._writers: dict[int, OpenFile] = {}
        self._name = f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._holders_free: list[str] = []
        self._holders: set[str] = set()

    # --- resources ------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.closed:
            raise OastError("the filesystem is closed")

    @property
    def metadata(self) -> Metadata:
        """The verbs; connected at first use."""
        return self._metadata or self._connect()

    def _connect(self) -> Metadata:
        with self._lock:
            self._check_open()
            if self._metadata is None:
                self._metadata = self.source.open()
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
            self._check_open()
            if self._workers is None:
                self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="oastfs-client")
            return self._workers

    @property
    def datanodes(self) -> Datanodes:
        """Connections to datanodes and descriptors of local replicas."""
        if self._datanodes is None:
            from oastfs.client.blocks.pool import Datanodes

            with self._lock:
                self._check_open()
                if self._datanodes is None:
                    # Shorter, so that there is time for another datanode when one does not answer.
                    self._datanodes = Datanodes(self.timeout_seconds / 2)
        return self._datanodes

    # --- files ----------------------------------------------------------------------------------

    def open_file(self, opened: FileStatus | Opened, writable: bool, caller: Caller) -> OpenFile:
        """See ``Filesystem.open_file``."""
        from oastfs.client.file import OpenFile

        inode_id = (opened.status if isinstance(opened, Opened) else opened).inode_id
        with self._lock:
            self._check_open()
            shared = self._writers.get(inode_id)
            if shared is None:
                file = OpenFile(self, opened, writable=writable, caller=caller)
                self._files.add(file)
                if writable:
                    self._writers[inode_id] = file
                return file
            shared.users += 1
        try:
            shared.refresh(opened)
        except BaseException:
            self.release_file(shared)
            raise
        return shared

    def release_file(self, file: OpenFile) -> bool:
        """One user less; whether it was the last. Nobody gets to share the file from then on."""
        with self._lock:
            file.users -= 1
            if file.users > 0:
                return False
            if self._writers.get(file.inode_id) is file:
                del self._writers[file.inode_id]
            self._files.discard(file)
            return True

    def shared_file(self, inode_id: int) -> OpenFile | None:
        """The file that is open for writing in this process, if it is."""
        return self._writers.get(inode_id)

    def in_care(self, housekeeper: Housekeeper) -> tuple[list[OpenFile], list[str]]:
        """Files that are open for writing, and names of writers in use. Without any it is dismissed."""
        with self._lock:
            files, holders = list(self._writers.values()), list(self._holders)
            if not files and not holders and self._housekeeper is housekeeper:
                self._housekeeper = None
            return files, holders

    def watch(self) -> None:
        """Have the housekeeper look after the files that are open for writing."""
        with self._lock:
            if self._housekeeper is None and not self.closed:
                from oastfs.client.housekeeping import Housekeeper

                self._housekeeper = Housekeeper(self)

    # --- names of writers -----------------------------------------------------------------------

    def take_holder(self) -> str:
        """A name for a writer; its lease is renewed until ``give_holder``.

        Names are used again, so that leases stay few.
        """
        with self._lock:
            if self._holders_free:
                holder = self._holders_free.pop()
            else:
                holder = f"{self._name}-{len(self._holders) + 1}"
            self._holders.add(holder)
        self.watch()
        return holder

    def give_holder(self, holder: str) -> None:
        """Nothing is being written under that name any more."""
        with self._lock:
            if holder in self._holders:
                self._holders.remove(holder)
                self._holders_free.append(holder)

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush files that are open for writing, then give back everything. Closing twice is harmless.

        Raises the first error of those flushes, after all else is done.
        """
        if self.closed:
            return
        failure = self._close_files()
        with self._lock:
            self.closed = True
            metadata, self._metadata = self._metadata, None
            workers, self._workers = self._workers, None
            datanodes, self._datanodes = self._datanodes, None
            housekeeper, self._housekeeper = self._housekeeper, None
        if housekeeper is not None:
            housekeeper.stop()
        if workers is not None:
            workers.shutdown(wait=True, cancel_futures=True)
        if datanodes is not None:
            datanodes.close()
        if metadata is not None:
            metadata.close()
        if failure is not None:
            raise failure

    def _close_files(self) -> OSError | None:
        failure: OSError | None = None
        with self._lock:
            files = list(self._files)
        for file in files:
            try:
                file.end()
            except OSError as error:
                failure = failure or error
        return failure

    def abandon(self) -> None:
        """In a forked child: leave the parent's resources alone and begin as new."""
        files = list(self._files)
        _left_behind.append((self._metadata, self._workers, self._datanodes, self._housekeeper, files))
        self._start()
        for file in files:
            file.abandon()
            if not file.lost:
                self._files.add(file)


def _reopen(source: Source, caller: Caller, timeout_seconds: float, verify_local_reads: bool) -> Session:
    return Session(source, caller, timeout_seconds, verify_local_reads=verify_local_reads)


def _after_fork() -> None:
    for session in list(_sessions):
        session.abandon()


os.register_at_fork(after_in_child=_after_fork)
