"""Sending what was written to an open file: small contents as a change that nobody's thread waits for."""

from __future__ import annotations

from oastfs.client.file import OpenFile
from oastfs.core.errors import OastError
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.fuse.effects import Change, Operation, Wait


def flushed(file: OpenFile) -> Operation[FileStatus]:
    """``file.flush()`` as an operation; the attributes afterwards."""
    flush = file.begin_flush()
    if flush is None:
        return (yield Wait(file.flush))  # type: ignore[no-any-return]
    try:
        status: FileStatus = yield Change("write_inline", SUPERUSER, *flush.change)
    except OastError:
        # It may have become too large to be inline, which ``flush`` knows to handle.
        return (yield Wait(file.flush))  # type: ignore[no-any-return]
    if not file.end_flush(flush, status, blocking=False):
        yield Wait(lambda: file.end_flush(flush, status))
    return status
