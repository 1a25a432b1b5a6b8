"""Files that the kernel reads by itself, from the replica on this machine: as fast as the local disk.

A file that is one whole block has all of its content in one file of a datanode. The datanode passes that
file, open, and the mount gives it to the kernel (``FUSE_PASSTHROUGH``, Linux 6.9), which reads and maps it
from then on without asking. Nobody verifies checksums on this way but the datanode's scrubber, in time.

The kernel wants all who have an inode open at the same time to read it in one way. So who opens it first
chooses for those who come while it is open. If it has been replaced meanwhile by something that is not in
that file, whoever opens it would see what is out of date, and gets EBUSY instead. Only mounts for reading do
this: what is written has to go to all replicas.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable

from oastfs.client.blocks.short_circuit import LocalReplica
from oastfs.client.session import Session
from oastfs.core.types import LocatedBlock, Opened
from oastfs.fuse.handles import OpenInode

_log = logging.getLogger(__name__)


class Backing:
    """What stands behind an open inode: a file that is registered with the kernel, or nothing (number 0)."""

    __slots__ = ("_identity", "_unregister", "block_id", "generation_stamp", "number")

    def __init__(
        self,
        number: int = 0,
        unregister: Callable[[int], None] | None = None,
        block: LocatedBlock | None = None,
        identity: tuple[int, int] = (0, 0),
    ) -> None:
        self.number = number
        self._unregister = unregister
        self.block_id = 0 if block is None else block.block_id
        self.generation_stamp = 0 if block is None else block.generation_stamp
        self._identity = identity

    def serves(self, block: LocatedBlock | None, replica: LocalReplica | None) -> bool:
        """Whether what is to be read now is still in the same file: unchanged, or appended to in place."""
        if block is None or block.block_id != self.block_id:
            return False
        return block.generation_stamp == self.generation_stamp or (
            replica is not None and _identity_of(os.fstat(replica.data_fd)) == self._identity
        )

    def close(self) -> None:
        """Nobody has the inode open any more."""
        if self._unregister is not None:
            self._unregister(self.number)


_NOTHING = Backing()


class Passthrough:
    """Chooses for each open inode. ``register`` gives the kernel an open file, and has a number for it.

    It raises OSError if the kernel takes none: without CAP_SYS_ADMIN, or of a filesystem upon another.
    """

    def __init__(
        self, session: Session, register: Callable[[int], int], unregister: Callable[[int], None]
    ) -> None:
        self._session = session
        self._register = register
        self._unregister = unregister
        self._lock = threading.Lock()
        self._told = False

    def choose(self, entry: OpenInode, opened: Opened) -> int:
        """The number of the file that the kernel is to read; 0: it is to ask. May wait for a datanode.

        Raises OSError (EBUSY) if others have it open who read something else.
        """
        block = _sole_block(opened)
        replica = None if block is None else self._session.datanodes.local_replica(block)
        with self._lock:
            if entry.backing is None:
                entry.backing = _NOTHING if block is None or replica is None else self._begin(block, replica)
            elif entry.backing.number and not entry.backing.serves(block, replica):
                raise OSError(errno.EBUSY, "it was replaced while others have it open")
            return entry.backing.number

    def ask(self, entry: OpenInode) -> None:
        """The kernel asks for this one's content, or was given it."""
        with self._lock:
            entry.backing = entry.backing or _NOTHING

    def _begin(self, block: LocatedBlock, replica: LocalReplica) -> Backing:
        status = os.fstat(replica.data_fd)
        if status.st_size != block.length:
            return _NOTHING
        try:
            number = self._register(replica.data_fd)
        except OSError as error:
            if not self._told:
                self._told = True
                _log.warning("the kernel takes no replicas to read by itself: %s", error.strerror)
            return _NOTHING
        return Backing(number, self._unregister, block, _identity_of(status))


def _sole_block(opened: Opened) -> LocatedBlock | None:
    """The block that is all of a file's content, if there is one and nobody writes to it."""
    if len(opened.blocks) != 1:
        return None
    block = opened.blocks[0]
    is_whole = block.offset == 0 and block.length == opened.status.length
    return block if is_whole and not block.under_construction else None


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
