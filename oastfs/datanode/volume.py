"""A volume: one directory of a datanode, with its identity, its lock and its space.

Knows nothing of single replicas' content. ``VERSION`` says whose it is; a volume of another filesystem
or datanode is refused and left as it is.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from oastfs.core.errors import ForeignDatanode, InvalidArgument, OastError
from oastfs.datanode import layout

log = structlog.get_logger(__name__)

LAYOUT_VERSION = 1
VERSION_NAME = "VERSION"
LOCK_NAME = "in_use.lock"
RECENT_SECONDS = 0.5
PROBE_NAME = "probe"
BLOCKS_NAME = "blocks"

SUSPICIOUS = frozenset(
    {
        errno.EIO,
        errno.EROFS,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EUCLEAN,
    }
)
"""Errors after which a volume is probed: the disk may be gone. A full disk is not among them."""


class Volume:
    """One open, locked volume."""

    def __init__(self, path: Path, identity: dict[str, Any], lock_fd: int, reserved_bytes: int) -> None:
        self.path = path
        self.blocks = path / BLOCKS_NAME
        self.reserved_bytes = reserved_bytes
        self.storage_id = 0
        """The namenodes' number for this storage; 0 until registered."""
        self.failed = False
        self.sharing = 1
        """How many volumes of this datanode are on the same disk and share its space."""
        self._identity = identity
        self._lock_fd = lock_fd
        self._used_bytes = 0
        self._remaining_at = -math.inf
        self._remaining_bytes = 0
        self._used_lock = threading.Lock()
        self._identity_lock = threading.Lock()

    # --- opening --------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, datanode_uuid: str, reserved_bytes: int) -> Volume:
        """Open a volume, or make one of an empty or missing directory.

        ``datanode_uuid`` is given to a new volume. Raises InvalidArgument if the directory is something
        else, in use, or not permitted; a plain OSError if its disk fails.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock_fd = _lock(path)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise InvalidArgument(f"volume {path} cannot be used: {error.strerror}") from None
        try:
            identity = _read_identity(path)
            if identity is None:
                identity = _make_identity(path, datanode_uuid)
            (path / BLOCKS_NAME).mkdir(exist_ok=True)
        except BaseException:
            os.close(lock_fd)
            raise
        return cls(path, identity, lock_fd, reserved_bytes)

    @staticmethod
    def read_datanode_uuid(path: Path) -> str | None:
        """Which datanode a volume belongs to, without opening it; None if it is not one yet."""
        identity = _read_identity(path)
        return None if identity is None else str(identity["datanode_uuid"])

    def close(self) -> None:
        """Give the volume back to whoever opens it next."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # --- identity -------------------------------------------------------------------------------

    @property
    def storage_uuid(self) -> str:
        return str(self._identity["storage_uuid"])

    @property
    def datanode_uuid(self) -> str:
        return str(self._identity["datanode_uuid"])

    @property
    def filesystem_id(self) -> str:
        """Empty until the datanode has first registered."""
        return str(self._identity["filesystem_id"])

    def adopt(self, filesystem_id: str) -> None:
        """Make the volume one of this filesystem. Raises ForeignDatanode if it is of another."""
        with self._identity_lock:  # several namenodes may answer the first registration at once
            if self.filesystem_id == filesystem_id:
                return
            if self.filesystem_id:
                raise ForeignDatanode(
                    f"volume {self.path} belongs to filesystem {self.filesystem_id}, not {filesystem_id}"
                )
            identity = self._identity | {"filesystem_id": filesystem_id}
            _write_identity(self.path, identity)
            self._identity = identity

    # --- space ----------------------------------------------------------------------------------

    def add_used(self, delta_bytes: int) -> None:
        """Count bytes of blocks that came or went."""
        with self._used_lock:
            self._used_bytes += delta_bytes

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def space(self) -> tuple[int, int]:
        """(capacity, remaining) in bytes, without what is reserved. Zero when failed."""
        if self.failed:
            return 0, 0
        try:
            stat = os.statvfs(self.path)
        except OSError as error:
            self.suspect(error)
            return 0, 0
        capacity = max(0, stat.f_blocks * stat.f_frsize - self.reserved_bytes) // self.sharing
        remaining = max(0, stat.f_bavail * stat.f_frsize - self.reserved_bytes) // self.sharing
        return capacity, remaining

    def recent_remaining(self) -> int:
        """``space()[1]`` of less than a second ago."""
        now = time.monotonic()
        if now - self._remaining_at > RECENT_SECONDS:
            self._remaining_at, self._remaining_bytes = now, self.space()[1]
        return 0 if self.failed else self._remaining_bytes

    # --- failure --------------------------------------------------------------------------------

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around file operations: an I/O error puts the volume to the test, and goes on to the caller."""
        try:
            yield
        except OastError:
            raise
        except OSError as error:
            self.suspect(error)
            raise

    def suspect(self, error: OSError) -> None:
        """Fail the volume if the error may mean a lost disk and a probe confirms it."""
        if error.errno in SUSPICIOUS and not self.failed:
            self.check()

    def check(self) -> bool:
        """Write and read back a small file; False, and failed for good, if that is impossible."""
        if self.failed:
            return False
        try:
            identity = _read_identity(self.path)
            if identity is None or identity["storage_uuid"] != self.storage_uuid:
                raise OSError(errno.ENOENT, "its VERSION file is gone")
            _probe(self.path / PROBE_NAME)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                return True
            self.failed = True
            log.error("a volume failed and is no longer used", volume=str(self.path), error=str(error))
            return False
        return True


def _lock(path: Path) -> int:
    fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
        os.close(fd)
        raise InvalidArgument(f"volume {path} is in use by another datanode (process {owner})") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _read_identity(path: Path) -> dict[str, Any] | None:
    try:
        content = (path / VERSION_NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        identity = json.loads(content)
        known = identity["layout"] == LAYOUT_VERSION
        complete = all(
            isinstance(identity[key], str) for key in ("storage_uuid", "datanode_uuid", "filesystem_id")
        )
    except (ValueError, KeyError, TypeError):
        raise InvalidArgument(f"{path / VERSION_NAME} is damaged") from None
    if not known or not complete:
        raise InvalidArgument(f"volume {path} has a layout that this version does not know")
    return dict(identity)


def _make_identity(path: Path, datanode_uuid: str) -> dict[str, Any]:
    if any(entry.name not in (LOCK_NAME, f"{VERSION_NAME}.new", "lost+found") for entry in path.iterdir()):
        raise InvalidArgument(f"{path} is not empty and not a volume: give an empty directory")
    identity = {
        "layout": LAYOUT_VERSION,
        "storage_uuid": str(uuid.uuid4()),
        "datanode_uuid": datanode_uuid,
        "filesystem_id": "",
    }
    _write_identity(path, identity)
    return identity


def _write_identity(path: Path, identity: dict[str, Any]) -> None:
    temporary = path / f"{VERSION_NAME}.new"
    with temporary.open("w") as file:
        json.dump(identity, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path / VERSION_NAME)
    layout.sync_directory(path)


def _probe(path: Path) -> None:
    content = os.urandom(64)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != content:
        raise OSError(errno.EIO, "a probe was not read back as written")
    path.unlink()
