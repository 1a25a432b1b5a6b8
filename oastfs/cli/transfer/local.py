"""This machine's files as a source and a sink."""

from __future__ import annotations

import errno
import os
import stat as _stat
from collections.abc import Iterator, Sequence
from typing import IO

from oastfs.cli.transfer.ends import Item, Sink, SmallFile, Source

_ACLS = "system.posix_acl_"
TRAVELLING_XATTRS = ("user.", "trusted.", _ACLS)


def _item(path: str, name: str, status: os.stat_result) -> Item:
    several = status.st_nlink > 1 and not _stat.S_ISDIR(status.st_mode)
    return Item(
        path,
        name,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_atime_ns,
        status.st_mtime_ns,
        status.st_rdev,
        (status.st_dev, status.st_ino) if several else None,
    )


class LocalSource(Source):
    """Files of this machine."""

    def item(self, path: str, follow: bool) -> Item:
        return _item(path, os.path.basename(os.path.abspath(path)), os.stat(path, follow_symlinks=follow))

    def children(self, path: str) -> Iterator[Item]:
        with os.scandir(path) as found:
            for entry in found:
                try:
                    yield _item(entry.path, entry.name, entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    pass  # removed since it was listed: as if listed a moment later

    def read_small(self, items: Sequence[Item], limit_bytes: int) -> list[bytes | OSError | None]:
        return [self._read(item.path, limit_bytes) for item in items]

    def _read(self, path: str, limit_bytes: int) -> bytes | OSError | None:
        try:
            with open(path, "rb", buffering=0) as stream:
                data = stream.read(limit_bytes + 1)
        except OSError as error:
            return error
        return data if len(data) <= limit_bytes else None

    def open(self, path: str) -> IO[bytes]:
        return open(path, "rb")

    def readlink(self, path: str) -> str:
        return os.readlink(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        try:
            names = os.listxattr(path, follow_symlinks=False)
        except OSError:
            return {}  # this machine's filesystem has none
        return {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in names
            if name.startswith(TRAVELLING_XATTRS)
        }


class LocalSink(Sink):
    """A place on this machine."""

    small_limit_bytes = 1 << 20

    def __init__(self, clobber: bool = True) -> None:
        self.clobber = clobber

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def make_directory(self, path: str, mode: int) -> None:
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def write_small(self, files: Sequence[SmallFile]) -> list[OSError | None]:
        return [self._write(file) for file in files]

    def _write(self, file: SmallFile) -> OSError | None:
        try:
            with self.create(file.path, file.mode) as stream:
                stream.write(file.data)
        except OSError as error:
            return error
        return None

    def create(self, path: str, mode: int) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags | (0 if self.clobber else os.O_EXCL), mode), "wb")

    def symlink(self, path: str, target: str) -> None:
        self._make_way(path)
        os.symlink(target, path)

    def link(self, existing: str, path: str) -> None:
        self._make_way(path)
        os.link(existing, path, follow_symlinks=False)

    def special(self, path: str, mode: int, rdev: int) -> None:
        self._make_way(path)
        os.mknod(path, mode, rdev)

    def _make_way(self, path: str) -> None:
        if self.clobber and os.path.lexists(path):
            os.unlink(path)

    def set_permissions(self, path: str, bits: int) -> None:
        os.chmod(path, bits)

    def set_attributes(self, path: str, item: Item, xattrs: dict[str, bytes]) -> None:
        now = os.lstat(path)
        if (now.st_uid, now.st_gid) != (item.uid, item.gid):
            try:
                os.chown(path, item.uid, item.gid, follow_symlinks=False)
            except PermissionError:
                pass  # as cp -p: only the superuser can give files away
        for name, value in xattrs.items():
            _set_xattr(path, name, value)
        if not item.is_symlink:
            os.chmod(path, _stat.S_IMODE(item.mode))
        os.utime(path, ns=(item.atime_ns, item.mtime_ns), follow_symlinks=False)


def _set_xattr(path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        # As cp -p: not every filesystem has ACLs.
        if error.errno != errno.EOPNOTSUPP or not name.startswith(_ACLS):
            raise
