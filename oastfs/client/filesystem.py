"""The filesystem as Python programs see it: paths in, values and file objects out.

Synchronous and safe to use from many threads. Paths are absolute; ``//``, ``.`` and trailing slashes are
taken out. Nothing here talks to sockets: metadata verbs go to the session's ``Metadata``, contents to ``OpenFile``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any

from oastfs.client.file import OpenFile
from oastfs.client.session import Session
from oastfs.core.metadata import Metadata
from oastfs.core.types import (
    Caller,
    ContentSummary,
    FileStatus,
    FilesystemInfo,
    Opened,
    RenameMode,
    StorageStatus,
)

URL_VARIABLE = "OASTFS_URL"
Buffer = bytes | bytearray | memoryview
Progress = Callable[[int], None]
"""Called with the number of bytes that were moved since the last call."""


def connect(
    url: str | None = None,
    *,
    metadata: str | list[str] | None = None,
    caller: Caller | None = None,
    timeout_seconds: float = 60.0,
) -> Filesystem:
    """Open a filesystem, by namenodes or directly on its metadata store.

    ``url``: ``oastfs://HOST:PORT[,HOST:PORT]`` for namenodes, or a metadata URL such as ``lmdb:///srv/oast``.
    ``metadata``: one or several metadata URLs (direct mode). Without either, ``OASTFS_URL`` says which.
    ``caller``: who asks; the user of this process if None. ``timeout_seconds`` bounds each call, retries
    included. Raises InvalidArgument for a bad URL, Unreachable, WrongStore.
    """
    raise NotImplementedError


class Filesystem:
    """One filesystem and one caller. Can be pickled, and used on in forked children.

    All methods raise errors of ``core.errors``, which are ``OSError`` as well.
    """

    @property
    def metadata(self) -> Metadata:
        """The verbs underneath, for those who need one that has no method here."""
        raise NotImplementedError

    @property
    def caller(self) -> Caller:
        """Who asks."""
        raise NotImplementedError

    @property
    def info(self) -> FilesystemInfo:
        """Constants of the filesystem (cached)."""
        raise NotImplementedError

    @property
    def session(self) -> Session:
        """What files share."""
        raise NotImplementedError

    def close(self) -> None:
        """Flush and close what is open, and give back all resources."""
        raise NotImplementedError

    def __enter__(self) -> Filesystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the tree -------------------------------------------------------------------------------

    def stat(self, path: str, follow: bool = True) -> FileStatus:
        """Attributes. Raises NotFound."""
        raise NotImplementedError

    def stat_many(self, paths: Sequence[str], follow: bool = True) -> list[FileStatus | OSError]:
        """``stat`` of many paths in few trips; an error in the place of a path that fails."""
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        """Whether ``path`` leads to something. Permission errors are raised."""
        raise NotImplementedError

    def isdir(self, path: str) -> bool:
        """Whether ``path`` is a directory."""
        raise NotImplementedError

    def isfile(self, path: str) -> bool:
        """Whether ``path`` is a regular file."""
        raise NotImplementedError

    def listdir(self, path: str, after: str = "") -> Iterator[FileStatus]:
        """Entries in name order, streamed: the first comes at once however many there are."""
        raise NotImplementedError

    def walk(self, path: str) -> Iterator[tuple[str, list[FileStatus], list[FileStatus]]]:
        """(directory, its directories, its other entries), top down, as ``os.walk``; links are not followed.

        Directories that the caller takes out of the list are not walked.
        """
        raise NotImplementedError

    def mkdir(self, path: str, mode: int = 0o755) -> FileStatus:
        """Make one directory. Raises AlreadyExists, NotFound."""
        raise NotImplementedError

    def makedirs(self, path: str, mode: int = 0o755, exist_ok: bool = True) -> FileStatus:
        """Make a directory and those above it."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Remove anything but a directory."""
        raise NotImplementedError

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        raise NotImplementedError

    def rmtree(self, path: str) -> None:
        """Remove whatever ``path`` is, with all below it, at once."""
        raise NotImplementedError

    def rename(self, source: str, target: str, mode: RenameMode = RenameMode.POSIX) -> FileStatus:
        """Move (see RenameMode)."""
        raise NotImplementedError

    def link(self, path: str, new_path: str) -> FileStatus:
        """A further hard link."""
        raise NotImplementedError

    def symlink(self, path: str, target: str) -> FileStatus:
        """Make ``path`` a symbolic link to ``target``."""
        raise NotImplementedError

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""
        raise NotImplementedError

    def chmod(self, path: str, mode: int, follow: bool = True) -> FileStatus:
        """Set permission bits."""
        raise NotImplementedError

    def chown(self, path: str, uid: int = -1, gid: int = -1, follow: bool = True) -> FileStatus:
        """Set owner and group by id; -1 leaves one as it is."""
        raise NotImplementedError

    def utime(self, path: str, times_ns: tuple[int, int] | None = None, follow: bool = True) -> FileStatus:
        """Set (atime, mtime) in ns; None sets both to now."""
        raise NotImplementedError

    def set_replication(self, path: str, replication: int) -> FileStatus:
        """Set how many replicas a file's blocks have."""
        raise NotImplementedError

    def get_xattrs(self, path: str, follow: bool = True) -> dict[str, bytes]:
        """All extended attributes that the caller may see."""
        raise NotImplementedError

    def get_xattr(self, path: str, name: str, follow: bool = True) -> bytes:
        """One extended attribute. Raises XattrNotFound."""
        raise NotImplementedError

    def set_xattr(self, path: str, name: str, value: bytes, follow: bool = True) -> None:
        """Set one extended attribute."""
        raise NotImplementedError

    def remove_xattr(self, path: str, name: str, follow: bool = True) -> None:
        """Remove one extended attribute."""
        raise NotImplementedError

    def statfs(self) -> StorageStatus:
        """Space and counts of the whole filesystem."""
        raise NotImplementedError

    def content_summary(self, path: str) -> ContentSummary:
        """Totals of a tree."""
        raise NotImplementedError

    # --- contents -------------------------------------------------------------------------------

    def read_bytes(self, path: str) -> bytes:
        """The whole content; of a small file in one trip."""
        raise NotImplementedError

    def write_bytes(
        self, path: str, data: Buffer, *, mode: int = 0o644, overwrite: bool = True, parents: bool = False
    ) -> FileStatus:
        """Write a whole file; a small one in one trip, seen complete or not at all."""
        raise NotImplementedError

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | OSError]:
        """The content of each path in order, small files in batches; an error in the place of one that fails."""
        raise NotImplementedError

    def write_many(
        self, items: Iterable[tuple[str, Buffer]], *, mode: int = 0o644, parents: bool = False
    ) -> list[FileStatus | OSError]:
        """``write_bytes`` of each (path, content), small files in batches, each batch one transaction."""
        raise NotImplementedError

    def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes | OSError]:
        """The bytes of each (path, offset, length), cut at the file's end; each path is opened once."""
        raise NotImplementedError

    def open_file(
        self, opened: FileStatus | Opened, *, writable: bool = False, caller: Caller | None = None
    ) -> OpenFile:
        """Random access by inode. All who open an inode that is being written in this process share one."""
        raise NotImplementedError

    def open(
        self,
        path: str,
        mode: str = "rb",
        *,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        permissions: int = 0o644,
        replication: int = 0,
        block_size: int = 0,
    ) -> IO[Any]:
        """As the built-in ``open``: r, w, x or a, with + and b or t. Zeros mean the filesystem's default."""
        raise NotImplementedError

    # --- copying --------------------------------------------------------------------------------

    def copy(self, source: str, target: str, progress: Progress | None = None) -> FileStatus:
        """Copy a file's content and permission bits within the filesystem."""
        raise NotImplementedError

    def get(self, path: str, local: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy a file to the local disk."""
        raise NotImplementedError

    def put(self, local: str | os.PathLike[str], path: str, progress: Progress | None = None) -> FileStatus:
        """Copy a local file here, with its permission bits."""
        raise NotImplementedError
