"""Random access to one file: the engine under ``Filesystem.open`` and under the mount.

An ``OpenFile`` speaks of its inode by id, so renames and unlinks of its path do not matter to it. It
keeps written data back until it pays to send it, and reads its own writes. It knows no paths, no
permissions beyond those of its caller, and no kernel.
"""

from __future__ import annotations

from oastfs.client.session import Session
from oastfs.core.types import Caller, FileStatus, Opened


class OpenFile:
    """One inode, open for reading or also for writing; shared by all who opened it in this process.

    Get one from ``Filesystem.open_file``; each of those calls needs one ``close``. Safe to use from
    many threads. Offsets and lengths are in bytes.

    Data written goes to the filesystem when enough has come together, after a few seconds, and at
    ``flush``, ``fsync`` and ``close``; other clients see it after one of the last three. An error that comes up
    while nobody waits is raised by the next of these three.
    """

    inode_id: int

    def __init__(
        self,
        session: Session,
        opened: FileStatus | Opened,
        *,
        writable: bool = False,
        caller: Caller | None = None,
    ) -> None:
        """``caller`` does the metadata calls of this file (the session's own caller if None)."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Length in bytes, with what is written here and not sent yet."""
        raise NotImplementedError

    @property
    def mtime_ns(self) -> int:
        """Time of the last write here that is not sent yet; 0 if there is none."""
        raise NotImplementedError

    @property
    def status(self) -> FileStatus:
        """Attributes as the filesystem last told, with ``length`` and ``mtime_ns`` as they are here."""
        raise NotImplementedError

    @property
    def dirty(self) -> bool:
        """Whether there is anything that ``flush`` would send."""
        raise NotImplementedError

    def pread(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the file."""
        raise NotImplementedError

    def preadinto(self, offset: int, target: memoryview) -> int:
        """As ``pread``, into ``target``; how many bytes it was."""
        raise NotImplementedError

    def pwrite(self, offset: int, data: bytes | bytearray | memoryview) -> int:
        """Write all of ``data`` at ``offset``; a gap before it reads as zeros. Answers len(data).

        ``bytes`` are kept as they are, other buffers are copied.
        """
        raise NotImplementedError

    def truncate(self, length: int) -> None:
        """Cut off, or extend by zeros."""
        raise NotImplementedError

    def flush(self) -> FileStatus:
        """Send what is dirty and make it visible to all. Call it before changing times by path.

        Raises errors of earlier background work, too.
        """
        raise NotImplementedError

    def fsync(self) -> FileStatus:
        """``flush``, and the data is on the disks of all replicas before this returns."""
        raise NotImplementedError

    def refresh(self, opened: FileStatus | Opened) -> None:
        """The filesystem says that the file looks like this now: forget what was read of an older one.

        For a shared reader (close-to-open consistency): call it with a fresh status when it is opened again.
        """
        raise NotImplementedError

    def close(self) -> None:
        """``flush``, and the last of those who opened it ends the write. Closing twice is an error."""
        raise NotImplementedError
