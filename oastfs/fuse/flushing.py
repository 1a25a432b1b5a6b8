"""Sending what was written to an open file: small contents as a change that nobody's thread waits for."""

from __future__ import annotations

from oastfs.client.file import OpenFile
from oastfs.core.errors import OastError
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.fuse.effects import Change, Operation, Wait
from oastfs.fuse.handles import OpenInode, version_of
from oastfs.fuse.shared import Shared


def flushed(shared: Shared, entry: OpenInode, sync: bool = False) -> Operation[FileStatus]:
    """Make visible what was written through this mount; the attributes afterwards.

    With ``sync`` blocks are on the datanodes' disks as well. Inline content always is durable by then.

    The kernel's pages hold what was written here, but nothing of what somebody else wrote
    between. Only if there is nothing of that kind do they agree with the version that comes out. To ask takes
    microseconds in direct mode, and is not done where it takes a trip.
    """
    file = entry.file
    undisturbed = (
        entry.undisturbed
        and not entry.uncached
        and shared.reads_inline
        and _version_now(shared, entry) == version_of(file.told)
    )
    if sync:
        entry.unsynced = False
        try:
            status: FileStatus = yield Wait(file.fsync)
        except BaseException:
            entry.unsynced = True
            raise
    else:
        status = yield from _flushed(file)
    entry.undisturbed = undisturbed
    if undisturbed:
        shared.handles.cached.put(entry.inode_id, version_of(status))
    else:
        shared.handles.cached.drop(entry.inode_id)
    return shared.told(status)


def settled(shared: Shared, entry: OpenInode) -> Operation[FileStatus]:
    """``flushed`` for who asks for attributes: if the file was closed meanwhile, that has sent it.

    That it cannot be sent is told to its writer, who syncs or closes it, and to nobody else.
    """
    try:
        return (yield from flushed(shared, entry))
    except OastError:
        status: FileStatus = yield Wait(lambda: shared.stat(entry.inode_id))
        if shared.handles.open.get(entry.inode_id) is entry:
            return shared.with_unsent(status)
        return shared.told(status)


def _version_now(shared: Shared, entry: OpenInode) -> object:
    try:
        return version_of(shared.reads.stat(entry.inode_id))
    except OastError:
        return None


def _flushed(file: OpenFile) -> Operation[FileStatus]:
    flush = file.begin_flush()
    if flush is None:
        return (yield Wait(file.flush))  # type: ignore[no-any-return]
    status: FileStatus | None = None
    try:
        status = yield Change("write_inline", SUPERUSER, *flush.change)
    except OastError:
        pass  # it may have become too large to be inline, which ``flush`` knows to handle
    finally:
        file.end_flush(flush, status)
    return (yield Wait(file.flush)) if status is None else status
