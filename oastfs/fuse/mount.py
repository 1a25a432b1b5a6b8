"""Mounting in the foreground: from a URL and a directory to an exit code, with a clean end.

``run_mount`` returns once the filesystem is unmounted: by SIGINT or SIGTERM, by ``unmount`` or umount(8).
What was written is sent before that.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.errors import AlreadyExists, InvalidArgument, NotADirectory, OastError, Unsupported
from oastfs.core.local_files import is_directory, is_there
from oastfs.core.secrets import without_password
from oastfs.core.types import SUPERUSER
from oastfs.diagnostics.door import Door
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import device
from oastfs.fuse.kernel.session import MAX_TRANSFER_BYTES, Session
from oastfs.fuse.options import MountConfig

__all__ = ["MountConfig", "prepare_mountpoint", "run_mount", "unmount"]

BUSY_SECONDS = 2.0
"""How long the end of a mount waits for programs that have files open there before it goes without them."""
SWITCH_SECONDS = 0.0005
"""A thread that has an answer to send should not wait Python's usual 5 ms for its turn."""

_log = logging.getLogger(__name__)


def run_mount(config: MountConfig) -> int:
    """Serve a mount until it ends; 0 if it ended cleanly. Raises OastError if it cannot begin."""
    config.check()
    prepare_mountpoint(config.mountpoint)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(50_000, 50, 50)
    with connect(config.url, caller=SUPERUSER) as filesystem:
        if config.binding == "mfusepy":
            return _serve_by_library(filesystem, config)
        try:
            descriptor = device.open_mounted(config, MAX_TRANSFER_BYTES)
        except (device.CannotMount, Unsupported):
            if config.binding == "kernel" or not device.DEVICE.exists():
                raise
            _log.warning("cannot mount directly; trying libfuse", exc_info=True)
            return _serve_by_library(filesystem, config)
        return _serve_by_kernel(filesystem, config, descriptor)


def _serve_by_library(filesystem: Filesystem, config: MountConfig) -> int:
    from oastfs.fuse.mfusepy_binding import serve

    door = _open_door(filesystem, config, dict)
    try:
        return serve(InodeFilesystem(filesystem, config), config)
    finally:
        door.close()


def _open_door(filesystem: Filesystem, config: MountConfig, operations: Callable[[], dict[str, Any]]) -> Door:
    """For `oastfs stats` and `oastfs profile`."""
    about = {
        "mountpoint": config.mountpoint,
        "url": without_password(config.url),
        "filesystem": filesystem.info.filesystem_id,
    }
    return Door("mount", lambda: {**about, "operations": operations()})


def _serve_by_kernel(filesystem: Filesystem, config: MountConfig, descriptor: int) -> int:
    mounted = InodeFilesystem(filesystem, config)
    session = Session(mounted, descriptor, on_ready=lambda: _announce(config))
    door = _open_door(filesystem, config, session.timing.figures)
    ending = _Ending(mounted, config.mountpoint)
    ending.install()
    try:
        session.serve()
    finally:
        door.close()
        ending.restore()
        os.close(descriptor)
    errors = mounted.files.flush_all()
    if mounted.locks is not None:
        mounted.locks.end()
    for error in errors:
        _log.error("lost what was written last: %s", error)
    return 1 if errors else 0


def _announce(config: MountConfig) -> None:
    """Once the kernel has been answered first: the mount works."""
    if config.read_ahead_bytes:
        device.set_read_ahead(config.mountpoint, config.read_ahead_bytes)
    if config.on_ready is not None:
        config.on_ready()


class _Ending:
    """Ends a mount on SIGINT and SIGTERM: sends everything, unmounts, and the serving loop returns."""

    def __init__(self, mounted: InodeFilesystem, mountpoint: str) -> None:
        self._mounted = mounted
        self._mountpoint = mountpoint
        self._before: dict[int, object] = {}
        self._begun = False

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # In a thread of its own: unmounting needs the serving loop, which this signal interrupted.
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._end, name="oastfs-unmount", daemon=True).start()

    def _end(self) -> None:
        self._mounted.files.flush_all()
        if self._mounted.locks is not None:
            self._mounted.locks.end_waits()
        end_mount(self._mountpoint)


def end_mount(mountpoint: str) -> None:
    """Unmount; after BUSY_SECONDS of being in use, detach it and cut its users off."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            device.unmount(mountpoint)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                _log.warning("cannot unmount %s: %s", mountpoint, error)
                return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    _log.warning("%s is in use: detached, programs that are in it will get errors", mountpoint)
    for lazy, force in ((False, True), (True, False)):
        try:
            device.unmount(mountpoint, lazy=lazy, force=force)
        except OSError as error:
            _log.debug("unmount: %s", error)


def unmount(mountpoint: str | os.PathLike[str], lazy: bool = False) -> None:
    """Unmount a directory. Raises InvalidArgument if nothing is mounted there, OSError (EBUSY) if in use."""
    try:
        device.unmount(os.fspath(mountpoint), lazy=lazy)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise InvalidArgument("nothing is mounted there", path=os.fspath(mountpoint)) from None
        raise


def prepare_mountpoint(mountpoint: str) -> None:
    """Make sure that it is a free directory: make it, or clear away what a dead mount left.

    Raises NotADirectory, AlreadyExists (an OastFS is mounted there), OSError.
    """
    path = Path(mountpoint)
    try:
        is_used = is_there(path)
        mounted = os.path.ismount(path)
        if mounted:
            # stat is answered by the kernel from its cache for a while after the mount has died.
            os.statvfs(mountpoint)
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.ECONNABORTED):
            raise
        _log.warning("%s is what a mount that died left: unmounting it", mountpoint)
        device.unmount(mountpoint, lazy=True)
        prepare_mountpoint(mountpoint)
        return
    if mounted and _is_ours(mountpoint):
        raise AlreadyExists("an OastFS is mounted there already: `oastfs umount` ends it", path=mountpoint)
    if is_used and not is_directory(path):
        raise NotADirectory("a mount point must be a directory", path=mountpoint)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OastError(f"cannot make the mount point ({error.strerror})", path=mountpoint) from None


def _is_ours(mountpoint: str) -> bool:
    wanted = os.path.realpath(mountpoint)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split(" ")
        if where.encode().decode("unicode_escape") == wanted and kind == f"fuse.{device.SUBTYPE}":
            return True
    return False
