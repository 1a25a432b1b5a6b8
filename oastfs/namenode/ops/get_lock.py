"""get_lock: who has a lock that stands against another."""

from __future__ import annotations

from oastfs.core.types import FileLock
from oastfs.namenode import file_locks, leases
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def get_lock(
    tx: Transaction, context: Context, inode_id: int, holder: str, lock: FileLock
) -> FileLock | None:
    """F_GETLK."""
    leases.check_holder(holder)
    file_locks.check_lock(lock)
    return file_locks.find_against(tx, context, inode_id, holder, lock)
