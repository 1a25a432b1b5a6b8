"""Who writes which file. A writer is a *holder*: a name that a client process chose for itself.

A holder has a file either exclusively (HDFS: one writer) or shared with others (mounts: each block update
is fenced by its stamp). ``open_file`` has one row for each holder of a file, and the file's Flag.OPEN says
that there are any. ``lease`` has one row for each holder, with the time of its last renewal.

A holder that has not renewed for the soft limit may be displaced by another writer; after the hard
limit a job closes its files. While blocks of such a file are being settled it belongs to ``RECOVERY``.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import InvalidArgument, LeaseConflict, LeaseExpired
from oastfs.core.limits import LEASE_SOFT_LIMIT_NS
from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.schema import BLOCK, LEASE, OPEN_FILE, Inode, Lease, OpenFile
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

RECOVERY: Final = "/recovery"
"""Holder of files whose writer is gone while a datanode settles a block. It needs no lease."""

HOLDER_BYTES_MAX: Final = 200
_OPEN: Final = int(Flag.OPEN)
_RENEWAL_NS: Final = 5 * 10**9
"""A lease younger than this is not written again: every call of a writer renews it."""


def acquire(
    tx: Transaction, context: Context, inode: Inode, holder: str, exclusive: bool, path: str = ""
) -> Inode:
    """Make ``holder`` a writer of the file; the inode as it is then, for the caller to save.

    Raises LeaseConflict when another writer stands against it. One that is past the soft limit gives
    way, unless blocks have to be recovered first.
    """
    check_holder(holder)
    own: OpenFile | None = None
    for other, row in holders(tx, inode):
        if other == holder:
            own = row
        elif exclusive or row.exclusive:
            _displace(tx, context, inode, other, row, path)
    if own is None or (exclusive and not own.exclusive):
        tx.put(OPEN_FILE, (inode.id, holder), OpenFile(exclusive, context.now_ns))
    touch(tx, context, holder)
    return inode if inode.flags & _OPEN else tree.with_attributes(inode, flags=inode.flags | _OPEN)


def release(tx: Transaction, inode: Inode, holder: str) -> Inode:
    """End the holder's claim on the file; the inode as it is then, for the caller to save."""
    others = any(key[1] != holder for key, _ in tx.scan(OPEN_FILE, (inode.id,), limit=2))
    tx.delete(OPEN_FILE, (inode.id, holder))
    if others:
        return inode
    return tree.with_attributes(inode, flags=inode.flags & ~_OPEN)


def holds(tx: Transaction, inode: Inode, holder: str) -> bool:
    """Whether the holder writes the file."""
    if not holder or not inode.flags & _OPEN:
        return False
    # Locked: whoever goes on as its writer must not overlap with one who ends the claim.
    return tx.get(OPEN_FILE, (inode.id, holder), Lock.EXCLUSIVE) is not None


def require(tx: Transaction, inode: Inode, holder: str, path: str) -> None:
    """Raise LeaseExpired unless the holder writes the file."""
    if holder == RECOVERY or not holds(tx, inode, holder):
        raise LeaseExpired(f"{holder!r} does not write it (any more)", path=path)


def require_no_other_exclusive(
    tx: Transaction, context: Context, inode: Inode, holder: str, path: str
) -> None:
    """Raise LeaseConflict if another holder has the file for itself and is not past the soft limit."""
    for other, row in holders(tx, inode):
        if other != holder and row.exclusive and not is_expired(tx, other, context.now_ns):
            raise _conflict(other, path)


def holders(tx: Transaction, inode: Inode) -> list[tuple[str, OpenFile]]:
    """Everyone who writes the file."""
    if not inode.flags & _OPEN:
        return []
    return [(str(key[1]), row) for key, row in tx.scan(OPEN_FILE, (inode.id,))]


def touch(tx: Transaction, context: Context, holder: str) -> None:
    """Note that the holder is alive."""
    lease = tx.get(LEASE, (holder,))
    if lease is None or context.now_ns - lease.renewed_ns > _RENEWAL_NS:
        tx.put(LEASE, (holder,), Lease(context.now_ns))


def is_expired(tx: Transaction, holder: str, now_ns: int, limit_ns: int = LEASE_SOFT_LIMIT_NS) -> bool:
    """Whether the holder has not been heard of for ``limit_ns``."""
    if holder == RECOVERY:
        return False
    lease = tx.get(LEASE, (holder,))
    return lease is None or now_ns - lease.renewed_ns > limit_ns


def check_holder(holder: str) -> None:
    """Raise InvalidArgument unless it may be the name of a writer."""
    if type(holder) is not str or not holder or "\0" in holder or holder == RECOVERY:
        raise InvalidArgument(f"not the name of a writer: {holder!r}")
    try:
        size_bytes = len(holder.encode())
    except UnicodeEncodeError:
        size_bytes = HOLDER_BYTES_MAX + 1
    if size_bytes > HOLDER_BYTES_MAX:
        raise InvalidArgument(f"a writer's name has at most {HOLDER_BYTES_MAX} bytes of UTF-8: {holder!r}")


def _displace(
    tx: Transaction, context: Context, inode: Inode, other: str, claim: OpenFile, path: str
) -> None:
    if not is_expired(tx, other, context.now_ns):
        raise _conflict(other, path)
    if _left_blocks(tx, context, inode, other, claim):
        raise LeaseConflict(f"{other!r} left blocks to be recovered: call recover_lease", path=path)
    tx.delete(OPEN_FILE, (inode.id, other))


def _left_blocks(tx: Transaction, context: Context, inode: Inode, other: str, claim: OpenFile) -> bool:
    """Whether blocks have to be settled before the next writer: ``other`` may have added to them."""
    rows = [row for _, row in tx.scan(BLOCK, (inode.id,))]
    if any(row.holder == other and row.pending_stamp for row in rows):
        return True
    # Only datanodes know what an exclusive writer has added to a last block that is committed.
    limit = inode.block_size or context.info.block_size
    return claim.exclusive and bool(rows) and rows[-1].length < limit


def _conflict(other: str, path: str) -> LeaseConflict:
    if other == RECOVERY:
        return LeaseConflict("its last writer is gone and a block is being recovered: try again", path=path)
    return LeaseConflict(f"it is being written by {other!r}", path=path)
