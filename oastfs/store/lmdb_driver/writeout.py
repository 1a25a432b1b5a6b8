"""Having the disk write what is to be synced soon: while other work is done, or while others use the disk."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE: begin, and wait for nothing."""


def _find() -> Callable[[int, int, int], object]:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is None:
        return lambda descriptor, offset, length: None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return lambda descriptor, offset, length: function(descriptor, offset, length, _WRITE)


def _write_nothing(descriptor: int) -> None:
    """As ``write_back``, where there was no C compiler: the sync that follows writes it all."""


try:
    from oastfs.store.lmdb_driver import _syncer
except ImportError:
    begin_write_out: Callable[[int, int, int], object] = _find()
    write_back: Callable[[int], None] = _write_nothing
else:
    begin_write_out = _syncer.begin_write_out
    write_back = _syncer.write_back
"""``begin_write_out`` is of (descriptor, offset, length), and only a hint: what goes wrong is told by the
sync that follows. ``write_back`` writes a file back piece by piece, so that whoever syncs another one
meanwhile waits for a mebibyte at most. It raises OSError for what could not be written, of which no sync by
the same descriptor would tell any more."""
