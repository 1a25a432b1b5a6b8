"""Locks of files that hold between mounts: their rows, and how long those of a mount count.

A mount (the *holder*) has a lease from its first lock on, and renews it while it has any. Without a fresh
lease its locks stand against nobody: whoever meets one then removes it and the lease, in one transaction. A
holder whose lease is gone is refused, so it finds out, and nobody believes in locks that others were given.

A row says what one owner has of a file. Whoever locks has the inode's ``place`` row locked (see ``tree``), so
two who lock parts of one file do not overlap; unlocking needs no more than the owner's own row.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import InvalidArgument, LockHeld, LocksLost, TooManyLocks
from oastfs.core.limits import LEASE_SOFT_LIMIT_NS, LOCK_RANGES_MAX, LOCKS_RENEWED_WITHIN_NS
from oastfs.core.types import LOCK_END, FileLock, LockType
from oastfs.namenode import leases, lock_ranges
from oastfs.namenode.context import Context
from oastfs.store import schema
from oastfs.store.schema import FILE_LOCK, LEASE, Lease
from oastfs.store.table import Index, Key
from oastfs.store.transaction import Transaction

BY_HOLDER: Final[Index] = FILE_LOCK.indexes[0]
_RENEWAL_NS: Final = 20 * 10**9
"""A lease younger than this is not written again for who begins."""


def check_lock(lock: FileLock) -> None:
    """Raise InvalidArgument for what is no range, or no owner."""
    if not 0 <= lock.start <= lock.end <= LOCK_END:
        raise InvalidArgument(f"not a range of bytes: {lock.start} to {lock.end}")
    if lock.owner < 0 or lock.owner >> 64:
        raise InvalidArgument(f"an owner is a number of 64 bits, not {lock.owner}")


def key_of(inode_id: int, holder: str, lock: FileLock) -> Key:
    """The key of the owner's row. An owner has 64 bits, of which a number in a key has 63."""
    return (inode_id, holder, int(lock.kind), lock.owner >> 32, lock.owner & 0xFFFFFFFF)


def begin(tx: Transaction, context: Context, holder: str) -> None:
    """Let a mount that has no locks have some."""
    lease = tx.get(LEASE, (holder,))
    if lease is None or context.now_ns - lease.renewed_ns > _RENEWAL_NS:
        tx.put(LEASE, (holder,), Lease(context.now_ns))


def require_alive(tx: Transaction, context: Context, holder: str) -> None:
    """Raise LocksLost if others may have been given what the mount has."""
    if leases.is_expired(tx, holder, context.now_ns, LOCKS_RENEWED_WITHIN_NS):
        raise LocksLost(f"the locks of {holder!r} have expired")


def renew(tx: Transaction, context: Context, holder: str) -> None:
    """The mount is alive. Raises LocksLost if that comes too late."""
    if leases.is_expired(tx, holder, context.now_ns, LEASE_SOFT_LIMIT_NS):
        raise LocksLost(f"the locks of {holder!r} have expired")
    tx.put(LEASE, (holder,), Lease(context.now_ns))


def acquire(tx: Transaction, context: Context, inode_id: int, holder: str, lock: FileLock) -> None:
    """Give the owner the lock. The caller holds the inode. Raises LockHeld, TooManyLocks."""
    own = key_of(inode_id, holder, lock)
    before: lock_ranges.Ranges = ()
    for key, row in list(tx.scan(FILE_LOCK, (inode_id,))):
        if key == own:
            before = row.ranges
        elif _stands_against(key, row, lock):
            other = str(key[1])
            if other == holder or not leases.is_expired(tx, other, context.now_ns, LEASE_SOFT_LIMIT_NS):
                raise LockHeld(path=str(inode_id))
            tx.delete(FILE_LOCK, key)
            tx.delete(LEASE, (other,))
    after = lock_ranges.changed(before, lock.start, lock.end, lock.type)
    if len(after) > LOCK_RANGES_MAX:
        raise TooManyLocks(path=str(inode_id))
    if after != before:
        tx.put(FILE_LOCK, own, schema.FileLock(lock.pid, after))


def give_back(tx: Transaction, inode_id: int, holder: str, lock: FileLock) -> None:
    """Unlock the range. Nothing happens to what is not locked, or to a file that is not there any more."""
    own = key_of(inode_id, holder, lock)
    row = tx.get(FILE_LOCK, own)
    if row is None:
        return
    after = lock_ranges.changed(row.ranges, lock.start, lock.end, LockType.UNLOCK)
    if not after:
        tx.delete(FILE_LOCK, own)
    elif len(after) > LOCK_RANGES_MAX:
        raise TooManyLocks(path=str(inode_id))
    elif after != row.ranges:
        tx.put(FILE_LOCK, own, schema.FileLock(row.pid, after))


def find_against(
    tx: Transaction, context: Context, inode_id: int, holder: str, lock: FileLock
) -> FileLock | None:
    """A lock of somebody else that stands against this one. Its owner is 0 if it is another holder's."""
    own = key_of(inode_id, holder, lock)
    for key, row in tx.scan(FILE_LOCK, (inode_id,)):
        if key == own or not _stands_against(key, row, lock):
            continue
        other = str(key[1])
        if other != holder and leases.is_expired(tx, other, context.now_ns, LEASE_SOFT_LIMIT_NS):
            continue
        found = lock_ranges.conflict(row.ranges, lock.start, lock.end, lock.type)
        assert found is not None
        owner = int(key[3]) << 32 | int(key[4]) if other == holder else 0
        return FileLock(lock.kind, LockType(found[2]), owner, row.pid, found[0], found[1])
    return None


def sweep(tx: Transaction, holder: str, limit: int) -> int:
    """Remove some of a holder's rows; how many."""
    keys = [key for key, _ in tx.scan(FILE_LOCK, (holder,), limit=limit, index=BY_HOLDER)]
    for key in keys:
        tx.delete(FILE_LOCK, key)
    return len(keys)


def _stands_against(key: Key, row: schema.FileLock, lock: FileLock) -> bool:
    return key[2] == lock.kind and bool(lock_ranges.conflict(row.ranges, lock.start, lock.end, lock.type))
