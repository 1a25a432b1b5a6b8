"""Getting a ``/dev/fuse`` that is mounted, and unmounting: mount(2) as root, ``fusermount3`` otherwise."""

from __future__ import annotations

import array
import ctypes
import errno
import os
import shutil
import socket
import stat as _stat
import subprocess
from pathlib import Path
from typing import Final

from oastfs.core.errors import OastError, Unsupported
from oastfs.fuse.options import MountConfig

DEVICE: Final = Path("/dev/fuse")
SUBTYPE: Final = "oastfs"
_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOATIME: Final = 1024
_MNT_FORCE: Final = 1
_MNT_DETACH: Final = 2
_FUSERMOUNT: Final = ("fusermount3", "fusermount")

_libc = ctypes.CDLL(None, use_errno=True)


class CannotMount(OastError):
    """The mount was refused."""

    code = errno.EPERM


def open_mounted(config: MountConfig, max_read_bytes: int) -> int:
    """A descriptor of ``/dev/fuse`` that serves ``config.mountpoint``. Raises CannotMount, Unsupported."""
    require_device()
    if os.geteuid() == 0:
        return mount_as_root(config, max_read_bytes)
    return mount_by_helper(config, max_read_bytes)


def require_device() -> None:
    """Raise Unsupported, saying how to get it, where there is no ``/dev/fuse``."""
    if not DEVICE.exists():
        raise Unsupported(
            "/dev/fuse is missing: run `modprobe fuse`, or start the container with "
            "--device /dev/fuse --cap-add SYS_ADMIN"
        )


def mount_as_root(config: MountConfig, max_read_bytes: int) -> int:
    """mount(2), with a descriptor that the kernel then takes requests to."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise CannotMount(
            f"cannot open {DEVICE} ({error.strerror}): in a container, start it with "
            "--device /dev/fuse --cap-add SYS_ADMIN"
        ) from None
    root_mode = _stat.S_IFMT(Path(config.mountpoint).stat().st_mode)
    options = [
        f"fd={descriptor}",
        f"rootmode={root_mode:o}",
        f"user_id={os.geteuid()}",
        f"group_id={os.getegid()}",
        f"max_read={max_read_bytes}",
        "default_permissions",
    ]
    if config.shared:
        options.append("allow_other")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOATIME | (_MS_RDONLY if config.read_only else 0)
    result = _libc.mount(
        os.fsencode(config.source),
        os.fsencode(config.mountpoint),
        f"fuse.{SUBTYPE}".encode(),
        ctypes.c_ulong(flags),
        ",".join(options).encode(),
    )
    if result != 0:
        code = ctypes.get_errno()
        os.close(descriptor)
        raise CannotMount(_explain(code), path=config.mountpoint)
    return descriptor


def _explain(code: int) -> str:
    if code in (errno.EPERM, errno.EACCES):
        return (
            "mounting is not permitted here: in a container, start it with "
            "--device /dev/fuse --cap-add SYS_ADMIN (and --security-opt apparmor=unconfined)"
        )
    if code == errno.ENODEV:
        return "the kernel has no FUSE: run `modprobe fuse`"
    return f"cannot mount: {os.strerror(code)}"


def _helper() -> str:
    for name in _FUSERMOUNT:
        found = shutil.which(name)
        if found is not None:
            return found
    raise Unsupported("fusermount3 is missing: install it with `apt-get install fuse3`, or mount as root")


def mount_by_helper(config: MountConfig, max_read_bytes: int) -> int:
    """The set-user-id helper mounts for ordinary users and passes the descriptor over a socket."""
    source = config.source.replace("\\", "\\\\").replace(",", "\\,")
    options = [
        f"fsname={source}",
        f"subtype={SUBTYPE}",
        f"max_read={max_read_bytes}",
        "default_permissions",
        "nosuid",
        "nodev",
        "noatime",
    ]
    if config.read_only:
        options.append("ro")
    if config.shared:
        options.append("allow_other")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            done = subprocess.run(
                [_helper(), "-o", ",".join(options), "--", config.mountpoint],
                env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        descriptors = array.array("i")
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: descriptors.itemsize])
    if done.returncode != 0 or not descriptors:
        message = done.stderr.strip() or f"{_FUSERMOUNT[0]} failed ({done.returncode})"
        raise CannotMount(message.removeprefix("fusermount3: "), path=config.mountpoint)
    os.set_inheritable(descriptors[0], False)
    return int(descriptors[0])


def unmount(mountpoint: str, lazy: bool = False, force: bool = False) -> None:
    """umount2(2), or the helper for ordinary users. Raises OSError (EBUSY, EINVAL: not mounted).

    ``lazy`` detaches it from the tree though it is in use; ``force`` first aborts what is under way.
    """
    if os.geteuid() == 0:
        flags = (_MNT_DETACH if lazy else 0) | (_MNT_FORCE if force else 0)
        if _libc.umount2(os.fsencode(mountpoint), flags) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), mountpoint)
        return
    command = [_helper(), "-u", *(["-z"] if lazy else []), "--", mountpoint]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        code = errno.EBUSY if "busy" in done.stderr else errno.EINVAL
        raise OSError(code, done.stderr.strip(), mountpoint)


def set_read_ahead(mountpoint: str, read_ahead_bytes: int) -> bool:
    """Raise the kernel's read-ahead of a mounted filesystem above its default of 128 KiB, if we may."""
    device = Path(mountpoint).stat().st_dev
    path = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    try:
        path.write_text(str(read_ahead_bytes // 1024))
    except OSError:
        return False
    return True
