"""Lending the data file of a new replica to its writer on this machine, who writes it without the datanode.

The bytes go from the writer into the system's cache once, instead of through a socket. The datanode is told
of each packet, with its checksums, and acknowledges, syncs and ends the replica as ever. (HDFS lends files to
readers only.)

Only who could open the file anyway is lent it: a process of the datanode's own user, or of root. A lent
file cannot be called back, so the journal remembers the loan until the writer has sent the packet that ends
the block, after which it writes no more. Whoever comes to the replica in another way (a newer writer, a
recovery, the next start of the datanode) first gives it a file of its own, so that what a writer that
was fenced still writes goes where nobody looks.
"""

from __future__ import annotations

import os
import socket
import struct

from oastfs.datanode import layout
from oastfs.datanode.journal import Journal
from oastfs.datanode.replica import Replica

_CREDENTIALS = struct.Struct("3i")


def may_borrow(peer: socket.socket) -> bool:
    """Whether the process at the other end could open the datanode's files itself."""
    if peer.family != socket.AF_UNIX:
        return False
    _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (0, os.geteuid())


def end_loan(replica: Replica, journal: Journal) -> None:
    """Give a replica that may still be lent a data file of its own. Nobody else is at work on it.

    Readers that have the old file open see in it what was committed until now.
    """
    if not journal.lent:
        return
    own = layout.own_copy_path(replica.volume.blocks, replica.block_id)
    with replica.volume.guard(), replica.data_path.open("rb") as lent, own.open("wb") as copy:
        _copy(lent.fileno(), copy.fileno(), replica.length)
        os.fsync(copy.fileno())
        own.replace(replica.data_path)
        layout.sync_directory(own.parent)
    journal.end_loan()


def _copy(source_fd: int, target_fd: int, size: int) -> None:
    at = 0
    while at < size:
        count = os.sendfile(target_fd, source_fd, at, size - at)
        if count == 0:
            return
        at += count
