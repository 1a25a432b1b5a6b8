"""renew_lease: a writer is alive."""

from __future__ import annotations

from oastfs.namenode import leases
from oastfs.namenode.context import Context
from oastfs.store.schema import LEASE, OPEN_FILE, Lease
from oastfs.store.table import Index
from oastfs.store.transaction import Transaction

_BY_HOLDER: Index = OPEN_FILE.indexes[0]


def renew_lease(tx: Transaction, context: Context, holder: str) -> None:
    """HDFS renewLease. For a holder of nothing there is nothing to renew."""
    leases.check_holder(holder)
    if tx.get(LEASE, (holder,)) is not None or any(
        True for _ in tx.scan(OPEN_FILE, (holder,), limit=1, index=_BY_HOLDER)
    ):
        tx.put(LEASE, (holder,), Lease(context.now_ns))
