"""release_locks: a mount gives up all that it has locked."""

from __future__ import annotations

from typing import Final

from oastfs.namenode import file_locks, leases
from oastfs.namenode.context import Context
from oastfs.store.schema import LEASE
from oastfs.store.transaction import Transaction

ROWS_MAX: Final = 1_000
"""Of more, the rest is left to a job: without a lease they stand against nobody."""


def release_locks(tx: Transaction, context: Context, holder: str) -> None:
    """All of it at once: the lease goes."""
    leases.check_holder(holder)
    tx.delete(LEASE, (holder,))
    file_locks.sweep(tx, holder, ROWS_MAX)
