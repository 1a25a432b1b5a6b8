"""The binding on libfuse 3, through mfusepy: portable, and for whoever may not open ``/dev/fuse``.

libfuse's high-level interface speaks paths; they are translated to the inodes of the mount's logic. A file's
handle is its inode id. Attributes are not cached by the kernel here, for libfuse has no way to take them
back when a file that another mount changed is opened. A file that is removed while open is renamed to
``.fuse_hidden...`` until it is closed: libfuse cannot answer fstat(2) for a file without a name.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from oastfs.core.errors import NotFound, NotUtf8
from oastfs.core.types import SUPERUSER, Caller, FileStatus
from oastfs.fuse.attributes import NOW, SetAttributes, without_set_id
from oastfs.fuse.directories import DOTS
from oastfs.fuse.effects import Operation, T, run
from oastfs.fuse.files import Opening
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel.device import CannotMount
from oastfs.fuse.libfuse import mfusepy
from oastfs.fuse.options import MountConfig
from oastfs.fuse.shared import ROOT_ID
from oastfs.fuse.status import BLOCK_BYTES, IO_SIZE_BYTES, NAME_BYTES_MAX, free_inodes

PARENT_SECONDS: Final = 1.0
"""How long the inode of a directory's path is believed."""
_PARENTS_MAX: Final = 4096
_CAN_DONT_MASK: Final = 1 << 6
_CAN_POSIX_ACL: Final = 1 << 19
"""What libfuse offers in ``fuse_conn_info``: to leave umask to us, and to check ACLs as well as modes."""
_UTIME_NOW: Final = (1 << 30) - 1
_UTIME_OMIT: Final = (1 << 30) - 2

_ENDED_BY_SIGNAL: Final = 8
"""What libfuse's main function returns after SIGINT or SIGTERM; smaller numbers mean that it never began."""

_log = logging.getLogger(__name__)


def serve(filesystem: InodeFilesystem, config: MountConfig) -> int:
    """Mount and serve until it ends; 0 if it ended cleanly."""
    options: dict[str, Any] = {
        "fsname": config.source.replace("\\", "\\\\").replace(",", "\\,"),
        "subtype": "oastfs",
        "default_permissions": True,
        "allow_other": config.shared,
        "ro": config.read_only,
        "noatime": True,
    }
    # One thread: with Python's lock between them, several are slower even when each waits for the store.
    operations = PathOperations(filesystem, config)
    try:
        _Library(operations, config.mountpoint, raw_fi=True, foreground=True, nothreads=True, **options)
    except RuntimeError as error:
        code = error.args[0]
        if code != _ENDED_BY_SIGNAL:
            raise CannotMount(f"libfuse cannot mount (its code is {code})", path=config.mountpoint) from None
    errors = filesystem.files.flush_all()
    for failure in errors:
        _log.error("lost what was written last: %s", failure)
    return 1 if errors else 0


class _Library(mfusepy.FUSE):  # type: ignore[misc]
    """mfusepy's callbacks, where it leaves out what libfuse 3 tells: handles and rename's flags."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        self.operations.rename(_text(old), _text(new), flags)
        return 0

    def chmod_fuse_3(self, path: bytes | None, mode: int, fip: Any) -> int:
        return self._set(path, fip, SetAttributes(mode=mode))

    def chown_fuse_3(self, path: bytes | None, uid: int, gid: int, fip: Any) -> int:
        return self._set(path, fip, SetAttributes(uid=_id(uid), gid=_id(gid)))

    def truncate_fuse_3(self, path: bytes | None, length: int, fip: Any) -> int:
        return self._set(path, fip, SetAttributes(size=length, by_handle=bool(fip)))

    def utimens_fuse_3(self, path: bytes | None, times: Any, fip: Any) -> int:
        wanted = SetAttributes(atime_ns=NOW, mtime_ns=NOW)
        if times:
            wanted.atime_ns, wanted.mtime_ns = _time(times.contents.actime), _time(times.contents.modtime)
        return self._set(path, fip, wanted)

    def _set(self, path: bytes | None, fip: Any, wanted: SetAttributes) -> int:
        handle = fip.contents.fh if fip else 0
        self.operations.set_attributes(None if path is None else _text(path), handle, wanted)
        return 0


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _id(number: int) -> int | None:
    """An owner; all bits set means that it stays."""
    return None if number in (-1, 0xFFFFFFFF) else number


def _time(spec: Any) -> int | None:
    if spec.tv_nsec == _UTIME_OMIT:
        return None
    return NOW if spec.tv_nsec == _UTIME_NOW else spec.tv_sec * 10**9 + spec.tv_nsec


class PathOperations(mfusepy.Operations):  # type: ignore[misc]
    """libfuse's operations by path, carried out in the calling thread."""

    use_ns = True

    def __init__(self, filesystem: InodeFilesystem, config: MountConfig) -> None:
        self._filesystem = filesystem
        self._config = config
        self._metadata = filesystem.metadata
        self._names = filesystem.names
        self._attributes = filesystem.attributes
        self._files = filesystem.files
        self._directories = filesystem.directories
        self._xattrs = filesystem.xattrs
        self._parents: dict[str, tuple[float, int]] = {}

    # --- from paths to inodes -----------------------------------------------------------------------

    def _caller(self) -> Caller:
        return self._filesystem.callers.get(*mfusepy.fuse_get_context())

    @staticmethod
    def _umask() -> int:
        return int(mfusepy._libfuse.fuse_get_context().contents.umask)

    def _run(self, operation: Operation[T]) -> T:
        return run(self._metadata, operation)

    def _status(self, path: str) -> FileStatus:
        if path == "/":
            found: Any = self._attributes.getattr(ROOT_ID)
        else:
            found = self._names.lookup(*self._slot(path))
        if found is None:
            raise NotFound(path=path)
        return found if type(found) is FileStatus else self._run(found)

    def _inode(self, path: str | None, handle: int = 0) -> int:
        if handle:
            return handle
        if path is None:
            raise NotFound("neither a path nor a handle")
        return self._status(path).inode_id

    def _slot(self, path: str) -> tuple[int, str]:
        """(inode of the directory, name) of a path."""
        parent, _, name = path.rpartition("/")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise NotUtf8(path=ascii(path)) from None
        return self._directory(parent), name

    def _directory(self, path: str) -> int:
        if not path:
            return ROOT_ID
        now = time.monotonic()
        known = self._parents.get(path)
        if known is not None and known[0] > now:
            return known[1]
        inode_id = self._status(path).inode_id
        if len(self._parents) >= _PARENTS_MAX:
            self._parents.clear()
        self._parents[path] = (now + PARENT_SECONDS, inode_id)
        return inode_id

    # --- start and end --------------------------------------------------------------------------------

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        conn_info.want |= conn_info.capable & (_CAN_DONT_MASK | _CAN_POSIX_ACL)
        config_3.use_ino = 1
        config_3.auto_cache = 1
        config_3.ac_attr_timeout_set = 1
        config_3.ac_attr_timeout = 0.0
        config_3.attr_timeout = 0.0
        config_3.entry_timeout = self._config.entry_seconds
        config_3.negative_timeout = self._config.negative_seconds
        if hasattr(config_3, "no_rofd_flush"):
            config_3.no_rofd_flush = 1
        threading.Thread(target=self._announce, name="oastfs-mount-ready", daemon=True).start()

    def _announce(self) -> None:
        """Once the mount has answered."""
        Path(self._config.mountpoint).stat()
        if self._config.on_ready is not None:
            self._config.on_ready()

    def destroy(self, path: str) -> None:
        self._files.flush_all()

    # --- attributes -----------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: Any = None) -> dict[str, int]:
        if path is not None and not fh:
            return _stat_of(self._status(path))
        found = self._attributes.getattr(self._inode(path, fh.fh if fh else 0))
        return _stat_of(found if type(found) is FileStatus else self._run(found))  # type: ignore[arg-type]

    def set_attributes(self, path: str | None, handle: int, wanted: SetAttributes) -> None:
        caller = self._caller()
        inode_id = self._inode(path, handle)
        wanted.kill_set_id = wanted.size is not None and caller.uid != 0
        if wanted.mode is not None and caller.uid != 0 and self._is_kernels_doing(inode_id, wanted.mode):
            caller = SUPERUSER
        self._run(self._attributes.setattr(inode_id, wanted, caller))

    def _is_kernels_doing(self, inode_id: int, mode: int) -> bool:
        """Whether a chmod takes set-id bits away because somebody writes, who need not be the owner.

        What users ask for themselves the kernel has checked before.
        """
        before = self._filesystem.shared.stat(inode_id).mode
        return mode != before and mode == without_set_id(before)

    # libfuse is to know that these exist; ``_Library`` calls ``set_attributes``.
    def chmod(self, path: str, mode: int) -> int:
        raise NotImplementedError

    def chown(self, path: str, uid: int, gid: int) -> int:
        raise NotImplementedError

    def truncate(self, path: str, length: int, fh: Any = None) -> int:
        raise NotImplementedError

    def utimens(self, path: str, times: Any = None) -> int:
        raise NotImplementedError

    def statfs(self, path: str) -> dict[str, int]:
        space = self._attributes.statfs()
        return {
            "f_bsize": BLOCK_BYTES,
            "f_frsize": BLOCK_BYTES,
            "f_blocks": space.capacity // BLOCK_BYTES,
            "f_bfree": space.remaining // BLOCK_BYTES,
            "f_bavail": space.remaining // BLOCK_BYTES,
            "f_files": space.inodes + free_inodes(space),
            "f_ffree": free_inodes(space),
            "f_favail": free_inodes(space),
            "f_namemax": NAME_BYTES_MAX,
        }

    # --- names --------------------------------------------------------------------------------------

    def mkdir(self, path: str, mode: int) -> int:
        self._run(self._names.mkdir(*self._slot(path), mode, self._umask(), self._caller()))
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        self._run(self._names.mknod(*self._slot(path), mode, self._umask(), dev, self._caller()))
        return 0

    def symlink(self, target: str, source: str) -> int:
        self._run(self._names.symlink(*self._slot(target), source, self._caller()))
        return 0

    def readlink(self, path: str) -> str:
        return self._names.readlink(self._inode(path))

    def link(self, target: str, source: str) -> int:
        self._run(self._names.link(self._inode(source), *self._slot(target), self._caller()))
        return 0

    def unlink(self, path: str) -> int:
        self._run(self._names.unlink(*self._slot(path), self._caller()))
        return 0

    def rmdir(self, path: str) -> int:
        self._parents.clear()
        self._run(self._names.rmdir(*self._slot(path), self._caller()))
        self._parents.clear()
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        self._run(self._names.rename(*self._slot(old), *self._slot(new), flags, self._caller()))
        self._parents.clear()
        return 0

    # --- files --------------------------------------------------------------------------------------

    def open(self, path: str, fi: Any) -> int:
        found = self._files.open(self._inode(path), fi.flags, self._caller().uid != 0)
        opening = found if type(found) is Opening else self._run(found)  # type: ignore[arg-type]
        fi.fh = opening.status.inode_id
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        slot, umask = self._slot(path), self._umask()
        status, _ = self._run(self._files.create(*slot, mode, umask, fi.flags, self._caller()))
        fi.fh = status.inode_id
        return 0

    def read(self, path: str | None, size: int, offset: int, fh: Any) -> bytes:
        found = self._files.read(fh.fh, offset, size)
        return found if type(found) is bytes else self._run(found)  # type: ignore[arg-type]

    def write(self, path: str | None, data: bytes, offset: int, fh: Any) -> int:
        found = self._files.write(fh.fh, offset, data, self._caller().uid != 0)
        return found if type(found) is int else self._run(found)  # type: ignore[arg-type]

    def flush(self, path: str | None, fh: Any) -> int:
        return self._finish(self._files.flush(fh.fh))

    def fsync(self, path: str | None, datasync: int, fh: Any) -> int:
        return self._finish(self._files.fsync(fh.fh))

    def release(self, path: str | None, fh: Any) -> int:
        return self._finish(self._files.release(fh.fh))

    def fallocate(self, path: str | None, mode: int, offset: int, size: int, fh: Any) -> int:
        return self._finish(self._files.fallocate(fh.fh, offset, size, mode, self._caller()))

    def _finish(self, operation: Operation[Any] | None) -> int:
        if operation is not None:
            self._run(operation)
        return 0

    # --- directories --------------------------------------------------------------------------------

    def opendir(self, path: str) -> int:
        return self._directories.open(self._inode(path))

    def releasedir(self, path: str | None, fh: int) -> int:
        self._directories.release(fh)
        return 0

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        return 0

    def readdir_with_offset(
        self, path: str | None, offset: int, fh: int
    ) -> Iterator[tuple[str, dict[str, int], int]]:
        if offset < 1:
            yield ".", {"st_mode": 0o040000, "st_ino": self._directories.inode_of(fh)}, 1
        if offset < DOTS:
            yield "..", {"st_mode": 0o040000, "st_ino": self._directories.parent(fh)}, DOTS
        position = max(0, offset - DOTS)
        while True:
            position, entries = self._directories.read(fh, position)
            if not entries:
                return
            for status in entries:
                position += 1
                yield status.name, {"st_mode": status.mode, "st_ino": status.inode_id}, position + DOTS

    # --- extended attributes ------------------------------------------------------------------------

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        return self._xattrs.get(self._inode(path), _valid(name), self._caller())

    def listxattr(self, path: str) -> list[str]:
        return self._xattrs.names(self._inode(path), self._caller())

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        self._run(self._xattrs.set(self._inode(path), _valid(name), value, options, self._caller()))
        return 0

    def removexattr(self, path: str, name: str) -> int:
        self._run(self._xattrs.remove(self._inode(path), _valid(name), self._caller()))
        return 0


def _valid(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ)) from None
    return name


def _stat_of(status: FileStatus) -> dict[str, int]:
    return {
        "st_ino": status.inode_id,
        "st_mode": status.mode,
        "st_nlink": status.nlink,
        "st_uid": status.uid,
        "st_gid": status.gid,
        "st_rdev": status.rdev,
        "st_size": status.length,
        "st_blocks": status.length + 511 >> 9,
        "st_blksize": IO_SIZE_BYTES,
        "st_atime": status.atime_ns,
        "st_mtime": status.mtime_ns,
        "st_ctime": status.ctime_ns,
    }
