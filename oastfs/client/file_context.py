"""How an open file reaches its inode: which one, as whom, by which session."""

from __future__ import annotations

import threading

from oastfs.client.session import Session
from oastfs.core.metadata import Metadata
from oastfs.core.path import by_id
from oastfs.core.types import Caller, FileStatus, FilesystemInfo, Opened


class FileContext:
    """One inode as one caller sees it. Calls go by inode id, so renames do not matter."""

    def __init__(self, session: Session, caller: Caller, status: FileStatus, holder: str = "") -> None:
        """``holder``: the writer that has the file open already, a name that the session gave out."""
        self.session = session
        self.caller = caller
        self.inode_id = status.inode_id
        self.path = by_id(status.inode_id)
        self.block_size = status.block_size or session.info.block_size
        self._holder = holder
        self._lock = threading.Lock()

    @property
    def metadata(self) -> Metadata:
        return self.session.metadata

    @property
    def info(self) -> FilesystemInfo:
        return self.session.info

    @property
    def is_leased(self) -> bool:
        """Whether the filesystem may know of a writer here."""
        return bool(self._holder)

    @property
    def holder(self) -> str:
        """Name of this writer, for blocks; taken at first use."""
        with self._lock:
            if not self._holder:
                self._holder = self.session.take_holder()
            return self._holder

    def release_holder(self) -> None:
        """The filesystem was told that this writer is done."""
        with self._lock:
            if self._holder:
                self.session.give_holder(self._holder)
                self._holder = ""

    def open(self, offset: int, length: int) -> Opened:
        """``open`` of a range, for reading."""
        return self.metadata.open(self.caller, self.path, offset, length)
