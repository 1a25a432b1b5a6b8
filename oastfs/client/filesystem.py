"""The filesystem as Python programs see it: paths in, values and file objects out.

Synchronous and safe to use from many threads. Paths are absolute; ``//``, ``.`` and trailing slashes are
taken out. Nothing here talks to sockets: verbs go to the session's ``Metadata``, contents to ``OpenFile``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any

from oastfs.client import batch, copying, listing
from oastfs.client.blocks.layout import LOOK_AHEAD_BLOCKS
from oastfs.client.copying import Progress
from oastfs.client.extents import Buffer
from oastfs.client.file import READ_ALL, OpenFile
from oastfs.client.session import Session
from oastfs.client.source import find_source
from oastfs.client.stream import OpenMode, open_stream, parse_mode
from oastfs.core.errors import AlreadyExists, InvalidArgument, IsADirectory, NotADirectory, NotFound
from oastfs.core.metadata import Metadata
from oastfs.core.path import normalize
from oastfs.core.types import (
    AclEntry,
    AclStatus,
    Caller,
    ContentSummary,
    FileStatus,
    FilesystemInfo,
    Opened,
    RenameMode,
    StorageStatus,
)

_READ_MASK, _WRITE_MASK = 4, 2


def clean(path: str | os.PathLike[str]) -> str:
    """The path as verbs take it. Raises InvalidPath, NameTooLong or NotUtf8."""
    text = path if type(path) is str else os.fspath(path)
    if text[:1] == "/" and "//" not in text and "/." not in text and text[-1] != "/":
        return text
    return normalize(text)


def connect(
    url: str | None = None,
    *,
    metadata: str | list[str] | None = None,
    caller: Caller | None = None,
    timeout_seconds: float = 60.0,
    verify_local_reads: bool = True,
) -> Filesystem:
    """Open a filesystem, by namenodes or directly on its metadata store.

    ``url``: ``oastfs://HOST:PORT[,HOST:PORT]`` for namenodes, or a metadata URL such as ``lmdb:///srv/oast``.
    ``metadata``: one or several metadata URLs (direct mode). Without either, ``OASTFS_URL`` says which.
    ``caller``: who asks; the user of this process if None. ``timeout_seconds`` bounds each call, retries
    included. ``verify_local_reads``: compare checksums also of what is read without a datanode's help.
    Raises InvalidArgument for a bad URL, Unreachable, WrongStore.
    """
    source = find_source(url, metadata, timeout_seconds)
    if caller is None:
        from oastfs.client.identity import current_caller

        caller = current_caller()
    session = Session(source, caller, timeout_seconds, verify_local_reads=verify_local_reads)
    session.info  # noqa: B018 - whoever cannot be reached is told here, not at the first use
    return Filesystem(session)


class Filesystem:
    """One filesystem and one caller. Can be pickled, and used on in forked children.

    All methods raise errors of ``core.errors``, which are ``OSError`` as well.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def __reduce__(self) -> tuple[Any, ...]:
        return (Filesystem, (self.session,))

    def __repr__(self) -> str:
        return f"Filesystem({self.session.source!r})"

    @property
    def metadata(self) -> Metadata:
        """The verbs underneath, for those who need one that has no method here."""
        return self.session.metadata

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.session.caller

    @property
    def info(self) -> FilesystemInfo:
        """Constants of the filesystem (cached)."""
        return self.session.info

    def close(self) -> None:
        """Flush and close what is open, and give back all resources."""
        self.session.close()

    def __enter__(self) -> Filesystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the tree -------------------------------------------------------------------------------

    def stat(self, path: str, follow: bool = True) -> FileStatus:
        """Attributes. Raises NotFound."""
        return self.metadata.stat(self.caller, clean(path), follow)

    def stat_many(self, paths: Sequence[str], follow: bool = True) -> list[FileStatus | OSError]:
        """``stat`` of many paths in few trips; an error in the place of a path that fails."""
        return batch.stat_many(self.session, [clean(path) for path in paths], follow)

    def exists(self, path: str) -> bool:
        """Whether ``path`` leads to something. Permission errors are raised."""
        try:
            self.stat(path)
        except (NotFound, NotADirectory):
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether ``path`` is a directory."""
        try:
            return self.stat(path).is_directory
        except (NotFound, NotADirectory):
            return False

    def isfile(self, path: str) -> bool:
        """Whether ``path`` is a regular file."""
        try:
            return self.stat(path).is_file
        except (NotFound, NotADirectory):
            return False

    def listdir(self, path: str, after: str = "") -> Iterator[FileStatus]:
        """Entries in name order, streamed: the first comes at once however many there are."""
        return listing.entries(self.session, clean(path), after)

    def walk(self, path: str) -> Iterator[tuple[str, list[FileStatus], list[FileStatus]]]:
        """(directory, its directories, its other entries), top down, as ``os.walk``; links are not followed.

        Directories that the caller takes out of the list are not walked.
        """
        return listing.walk(self.session, clean(path))

    def mkdir(self, path: str, mode: int = 0o755) -> FileStatus:
        """Make one directory. Raises AlreadyExists, NotFound."""
        return self.metadata.mkdirs(self.caller, clean(path), mode, parents=False, exist_ok=False)

    def makedirs(self, path: str, mode: int = 0o755, exist_ok: bool = True) -> FileStatus:
        """Make a directory and those above it."""
        return self.metadata.mkdirs(self.caller, clean(path), mode, True, exist_ok)

    def remove(self, path: str) -> None:
        """Remove anything but a directory."""
        self.metadata.unlink(self.caller, clean(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.metadata.rmdir(self.caller, clean(path))

    def rmtree(self, path: str) -> None:
        """Remove whatever ``path`` is, with all below it, at once."""
        self.metadata.delete(self.caller, clean(path), recursive=True)

    def rename(self, source: str, target: str, mode: RenameMode = RenameMode.POSIX) -> FileStatus:
        """Move (see RenameMode)."""
        return self.metadata.rename(self.caller, clean(source), clean(target), mode)

    def link(self, path: str, new_path: str) -> FileStatus:
        """A further hard link."""
        return self.metadata.link(self.caller, clean(path), clean(new_path))

    def symlink(self, path: str, target: str) -> FileStatus:
        """Make ``path`` a symbolic link to ``target``."""
        return self.metadata.symlink(self.caller, clean(path), target)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""
        return self.metadata.readlink(self.caller, clean(path))

    def chmod(self, path: str, mode: int, follow: bool = True) -> FileStatus:
        """Set permission bits."""
        return self.metadata.chmod(self.caller, clean(path), mode, follow)

    def chown(self, path: str, uid: int = -1, gid: int = -1, follow: bool = True) -> FileStatus:
        """Set owner and group by id; -1 leaves one as it is."""
        return self.metadata.chown(self.caller, clean(path), uid, gid, follow)

    def get_acl(self, path: str) -> AclStatus:
        """Owner, group, mode and the whole ACL."""
        return self.metadata.get_acl(self.caller, clean(path))

    def set_acl(self, path: str, entries: Iterable[AclEntry]) -> FileStatus:
        """Replace the ACL, or its access or default entries if only such are given. Raises BadAcl."""
        return self.metadata.set_acl(self.caller, clean(path), list(entries))

    def modify_acl(self, path: str, entries: Iterable[AclEntry]) -> FileStatus:
        """Add entries to the ACL, and change those that are there. Raises BadAcl."""
        return self.metadata.modify_acl(self.caller, clean(path), list(entries))

    def remove_acl(self, path: str, entries: Iterable[AclEntry] | None = None) -> FileStatus:
        """Take entries out of the ACL, all but what a mode can hold unless told which."""
        if entries is None:
            return self.metadata.remove_acl(self.caller, clean(path))
        return self.metadata.remove_acl_entries(self.caller, clean(path), list(entries))

    def utime(self, path: str, times_ns: tuple[int, int] | None = None, follow: bool = True) -> FileStatus:
        """Set (atime, mtime) in ns; None sets both to now."""
        atime_ns, mtime_ns = times_ns or (-1, -1)
        return self.metadata.utimes(
            self.caller, clean(path), atime_ns, mtime_ns, follow, now=times_ns is None
        )

    def set_replication(self, path: str, replication: int) -> FileStatus:
        """Set how many replicas a file's blocks have."""
        return self.metadata.set_replication(self.caller, clean(path), replication)

    def get_xattrs(self, path: str, follow: bool = True) -> dict[str, bytes]:
        """All extended attributes that the caller may see."""
        return self.metadata.get_xattrs(self.caller, clean(path), None, follow)

    def get_xattr(self, path: str, name: str, follow: bool = True) -> bytes:
        """One extended attribute. Raises XattrNotFound."""
        return self.metadata.get_xattrs(self.caller, clean(path), [name], follow)[name]

    def set_xattr(self, path: str, name: str, value: bytes, follow: bool = True) -> None:
        """Set one extended attribute."""
        self.metadata.set_xattr(self.caller, clean(path), name, value, follow=follow)

    def remove_xattr(self, path: str, name: str, follow: bool = True) -> None:
        """Remove one extended attribute."""
        self.metadata.remove_xattr(self.caller, clean(path), name, follow)

    def statfs(self) -> StorageStatus:
        """Space and counts of the whole filesystem."""
        return self.metadata.statfs(self.caller)

    def content_summary(self, path: str) -> ContentSummary:
        """Totals of a tree."""
        return self.metadata.content_summary(self.caller, clean(path))

    # --- contents -------------------------------------------------------------------------------

    def read_bytes(self, path: str) -> bytes:
        """The whole content; of a small file in one trip."""
        opened = self.metadata.open(self.caller, clean(path), 0, READ_ALL)
        if opened.data is not None and len(opened.data) == opened.status.length:
            return opened.data
        return batch.read_opened(self.session, opened, 0, opened.status.length)

    def write_bytes(
        self, path: str, data: Buffer, *, mode: int = 0o644, overwrite: bool = True, parents: bool = False
    ) -> FileStatus:
        """Write a whole file; a small one in one trip, seen complete or not at all."""
        if len(data) <= self.info.inline_limit:
            content = data if type(data) is bytes else bytes(data)
            return self.metadata.write_file(self.caller, clean(path), content, mode, overwrite, parents)
        status = self.metadata.create(self.caller, clean(path), mode, overwrite, parents)
        file = self.open_file(status, writable=True)
        try:
            file.truncate(0)
            file.pwrite(0, data)
        finally:
            file.close()
        return file.status

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | OSError]:
        """Contents in the order of ``paths``, small files in batches; an error where one fails."""
        return batch.read_many(self.session, (clean(path) for path in paths))

    def write_many(
        self, items: Iterable[tuple[str, Buffer]], *, mode: int = 0o644, parents: bool = False
    ) -> list[FileStatus | OSError]:
        """``write_bytes`` of each (path, content), small files in batches, each batch one transaction."""
        cleaned = ((clean(path), data) for path, data in items)
        return batch.write_many(self, cleaned, mode, parents)

    def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes | OSError]:
        """The bytes of each (path, offset, length), cut at the file's end; each path is opened once."""
        wanted = [(clean(path), offset, length) for path, offset, length in ranges]
        return batch.read_ranges(self.session, wanted)

    def open_file(
        self, opened: FileStatus | Opened, *, writable: bool = False, caller: Caller | None = None
    ) -> OpenFile:
        """Random access by inode. All who open an inode that is being written in this process share one."""
        return self.session.open_file(opened, writable, caller or self.caller)

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
        how = parse_mode(mode)
        where = clean(path)
        if not how.write:
            file = self.open_file(self._open_to_read(where))
        elif how.letter in "wx":
            create = self.metadata.create
            overwrite = how.letter == "w"
            status = create(self.caller, where, permissions, overwrite, False, "", replication, block_size)
            file = self.open_file(status, writable=True)
            if overwrite:
                file.reset(status)
        else:
            file = self.open_file(
                self._open_to_change(where, how, permissions, replication, block_size), writable=True
            )
        return open_stream(file, where, how, buffering, encoding, errors, newline)

    def _open_to_read(self, path: str) -> Opened:
        return self.metadata.open(self.caller, path, 0, LOOK_AHEAD_BLOCKS * self.info.block_size)

    def _open_to_change(
        self, path: str, how: OpenMode, permissions: int, replication: int, block_size: int
    ) -> FileStatus:
        """For ``r+`` and ``a``, which makes the file if it is not there."""
        while True:
            try:
                status = self.metadata.stat(self.caller, path)
            except NotFound:
                if how.letter != "a":
                    raise
                try:
                    return self.metadata.create(
                        self.caller, path, permissions, False, False, "", replication, block_size
                    )
                except AlreadyExists:
                    continue  # another made it meanwhile
            if status.is_directory:
                raise IsADirectory(path=path)
            if not status.is_file:
                raise InvalidArgument("not a regular file", path=path)
            self.metadata.access(self.caller, path, _READ_MASK | _WRITE_MASK if how.read else _WRITE_MASK)
            return status

    # --- copying --------------------------------------------------------------------------------

    def copy(self, source: str, target: str, progress: Progress | None = None) -> FileStatus:
        """Copy a file's content and permission bits within the filesystem."""
        return copying.copy(self, clean(source), clean(target), progress)

    def get(self, path: str, local: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy a file to the local disk."""
        copying.get(self, clean(path), os.fspath(local), progress)

    def put(self, local: str | os.PathLike[str], path: str, progress: Progress | None = None) -> FileStatus:
        """Copy a local file here, with its permission bits."""
        return copying.put(self, os.fspath(local), clean(path), progress)
