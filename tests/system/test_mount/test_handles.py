"""Files by handle: name_to_handle_at(2) and open_by_handle_at(2), as NFS servers find them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from tests.harness.waiting import wait_until
from tests.system.test_mount.conftest import Served

HANDLE_BYTES = 128
_libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    """``struct file_handle``."""

    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("f_handle", ctypes.c_ubyte * HANDLE_BYTES),
    )


def handle_of(path: Path) -> Handle:
    handle, mount_id = Handle(HANDLE_BYTES), ctypes.c_int()
    failed = _libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0)
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return handle


def open_handle(mountpoint: Path, handle: Handle) -> int:
    """A descriptor. The handle may come from another mount: it is the inode's id."""
    where = os.open(mountpoint, os.O_RDONLY)
    try:
        found = int(_libc.open_by_handle_at(where, ctypes.byref(handle), os.O_RDONLY))
    finally:
        os.close(where)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def read_handle(mountpoint: Path, handle: Handle) -> bytes:
    descriptor = open_handle(mountpoint, handle)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("kernel_only")
def test_handles_outlive_names_and_mounts(served: Served, directory: Path) -> None:
    deep = directory / "a" / "b"
    deep.mkdir(parents=True)
    file = deep / "file"
    file.write_bytes(b"content")
    handle, of_directory = handle_of(file), handle_of(deep)
    other = served.mount_again("by-handle")  # whose kernel knows none of them
    assert read_handle(other, handle) == b"content"
    descriptor = open_handle(other, of_directory)
    try:
        assert os.listdir(descriptor) == ["file"]
        assert os.stat("..", dir_fd=descriptor).st_ino == deep.parent.stat().st_ino
    finally:
        os.close(descriptor)
    file.rename(directory / "moved")
    assert read_handle(served.mountpoint, handle) == b"content"
    (directory / "moved").unlink()

    def is_stale() -> bool:
        try:
            read_handle(other, handle)
        except OSError as error:
            assert error.errno == errno.ESTALE
            return True
        return False

    wait_until(is_stale, "a removed file's handle to be stale on the other mount", 10)
