"""set_lock: lock a range of a file, change a lock, or unlock."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileLock, FileStatus, LockType
from oastfs.namenode import file_locks, leases, tree
from oastfs.namenode.context import Context
from oastfs.store.schema import LEASE, PLACE
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction


def set_lock(
    tx: Transaction, context: Context, inode_id: int, holder: str, lock: FileLock, begin: bool = False
) -> FileStatus | None:
    """F_SETLK and flock(2). All but the lease of a mount that begins is in the file's partition."""
    leases.check_holder(holder)
    file_locks.check_lock(lock)
    if lock.type is LockType.UNLOCK:
        file_locks.give_back(tx, inode_id, holder, lock)
        return None
    tx.prefetch({PLACE: [(inode_id,)], LEASE: [(holder,)]}, more=True)
    tx.get(PLACE, (inode_id,), Lock.EXCLUSIVE)
    node = tree.resolve_id(tx, inode_id)
    if node.is_directory:
        raise InvalidArgument("directories are not locked", path=str(inode_id))
    if begin:
        file_locks.begin(tx, context, holder)
    else:
        file_locks.require_alive(tx, context, holder)
    file_locks.acquire(tx, context, inode_id, holder, lock)
    return tree.status_of(tx, context, node)
