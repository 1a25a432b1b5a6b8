"""renew_locks: a mount that has locks is alive."""

from __future__ import annotations

from oastfs.namenode import file_locks, leases
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def renew_locks(tx: Transaction, context: Context, holder: str) -> None:
    """As ``renew_lease``, but whoever has lost its locks is told so."""
    leases.check_holder(holder)
    file_locks.renew(tx, context, holder)
