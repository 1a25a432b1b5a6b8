"""System calls of Linux that Python's os module lacks."""

from __future__ import annotations

import ctypes
import os

_SYNC_FILE_RANGE_WRITE = 2


def _load() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    except (OSError, AttributeError):
        return None
    return library


_LIBC = _load()


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Begin to write a range's dirty pages to disk without waiting, so that a later sync has less to do.

    A hint: where the system call is missing, nothing happens.
    """
    if _LIBC is not None:
        _LIBC.sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)


def drop_cache(fd: int) -> None:
    """Have the next reads of a file come from the disk, as far as its pages are clean. A hint."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
