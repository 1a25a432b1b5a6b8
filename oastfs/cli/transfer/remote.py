"""An OastFS filesystem as a source and a sink."""

from __future__ import annotations

import stat as _stat
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

from oastfs.cli.transfer.ends import Item, Sink, SmallFile, Source
from oastfs.cli.transfer.local import TRAVELLING_XATTRS
from oastfs.core.errors import NotADirectory, NotFound, OastError, all_errors
from oastfs.core.types import Fault, FileStatus, Flag, WriteRequest

if TYPE_CHECKING:
    from oastfs.client import Filesystem

_PAGE = 5_000


def _item(path: str, name: str, status: FileStatus) -> Item:
    several = status.nlink > 1 and not status.is_directory
    return Item(
        path,
        name,
        status.mode,
        status.uid,
        status.gid,
        status.length,
        status.atime_ns,
        status.mtime_ns,
        status.rdev,
        status.inode_id if several else None,
    )


def _error(fault: Fault, path: str) -> OastError:
    return all_errors().get(fault.error, OastError)(fault.message, path=path)


class RemoteSource(Source):
    """Files of a filesystem."""

    def __init__(self, fs: Filesystem) -> None:
        self._fs = fs
        self._metadata = fs.metadata
        self._caller = fs.caller
        self._with_xattrs: set[str] = set()

    def item(self, path: str, follow: bool) -> Item:
        return self._take(path, self._metadata.stat(self._caller, path, follow))

    def children(self, path: str) -> Iterator[Item]:
        directory = path.rstrip("/")
        after, more = "", True
        while more:
            listing = self._metadata.listdir(self._caller, path, after, _PAGE)
            for status in listing.entries:
                yield self._take(f"{directory}/{status.name}", status)
            after = listing.entries[-1].name if listing.entries else after
            more = listing.more

    def _take(self, path: str, status: FileStatus) -> Item:
        if status.flags & (Flag.XATTRS | Flag.ACL):
            self._with_xattrs.add(path)
        return _item(path, path.rpartition("/")[2], status)

    def read_small(self, items: Sequence[Item], limit_bytes: int) -> list[bytes | OSError | None]:
        paths = [item.path for item in items]
        contents: list[bytes | OSError | None] = []
        while len(contents) < len(paths):
            # An answer is cut short when it is large: ask for the rest.
            for answer in self._metadata.read_many(self._caller, paths[len(contents) :]):
                if isinstance(answer, Fault):
                    contents.append(_error(answer, paths[len(contents)]))
                elif answer.data is None or len(answer.data) > limit_bytes:
                    contents.append(None)
                else:
                    contents.append(answer.data)
        return contents

    def open(self, path: str) -> IO[bytes]:
        stream: IO[bytes] = self._fs.open(path, "rb")
        return stream

    def readlink(self, path: str) -> str:
        return self._metadata.readlink(self._caller, path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        # The status said whether there are any: most files cost no call.
        if path not in self._with_xattrs:
            return {}
        found = self._metadata.get_xattrs(self._caller, path, None, False)
        return {name: value for name, value in found.items() if name.startswith(TRAVELLING_XATTRS)}


class RemoteSink(Sink):
    """A place in a filesystem."""

    def __init__(self, fs: Filesystem, clobber: bool = True, *, settles: bool = False) -> None:
        """``settles``: attributes of what is written will be set."""
        self._fs = fs
        self._metadata = fs.metadata
        self._caller = fs.caller
        self.clobber = clobber
        self.small_limit_bytes = fs.info.inline_limit
        self._settles = settles
        self._fresh: dict[str, FileStatus] = {}
        """Attributes of files written just now, so that settling them need not ask again."""

    def is_directory(self, path: str) -> bool:
        try:
            return self._metadata.stat(self._caller, path).is_directory
        except (NotFound, NotADirectory):
            return False

    def make_directory(self, path: str, mode: int) -> None:
        self._metadata.mkdirs(self._caller, path, mode, False, True)

    def write_small(self, files: Sequence[SmallFile]) -> list[OSError | None]:
        requests = [WriteRequest(file.path, file.data, file.mode, self.clobber) for file in files]
        errors: list[OSError | None] = []
        answers = self._metadata.write_many(self._caller, requests)
        for file, answer in zip(files, answers, strict=True):
            if isinstance(answer, Fault):
                errors.append(_error(answer, file.path))
            else:
                errors.append(None)
                if self._settles:
                    self._fresh[file.path] = answer
        return errors

    def create(self, path: str, mode: int) -> IO[bytes]:
        stream: IO[bytes] = self._fs.open(path, "wb" if self.clobber else "xb", permissions=mode)
        return stream

    def symlink(self, path: str, target: str) -> None:
        self._make_way(path)
        self._metadata.symlink(self._caller, path, target)

    def link(self, existing: str, path: str) -> None:
        self._make_way(path)
        self._metadata.link(self._caller, existing, path)

    def special(self, path: str, mode: int, rdev: int) -> None:
        self._make_way(path)
        self._metadata.mknod(self._caller, path, mode, rdev)

    def _make_way(self, path: str) -> None:
        if self.clobber:
            try:
                self._metadata.unlink(self._caller, path)
            except NotFound:
                pass  # nothing in the way

    def set_permissions(self, path: str, bits: int) -> None:
        self._metadata.chmod(self._caller, path, bits)

    def set_attributes(self, path: str, item: Item, xattrs: dict[str, bytes]) -> None:
        metadata, caller = self._metadata, self._caller
        now = self._fresh.pop(path, None) or metadata.stat(caller, path, False)
        if (now.uid, now.gid) != (item.uid, item.gid):
            now = self._give(path, item)
        for name, value in xattrs.items():
            metadata.set_xattr(caller, path, name, value, follow=False)
        bits = _stat.S_IMODE(item.mode)
        if not item.is_symlink and _stat.S_IMODE(now.mode) != bits:
            metadata.chmod(caller, path, bits)
        metadata.utimes(caller, path, item.atime_ns, item.mtime_ns, False)

    def _give(self, path: str, item: Item) -> FileStatus:
        try:
            return self._metadata.chown(self._caller, path, item.uid, item.gid, False)
        except PermissionError:
            # As cp -p: only the superuser can give files away.
            return self._metadata.stat(self._caller, path, False)
