"""Removing the locks of mounts that are gone. They stand against nobody any more; this is for the space."""

from __future__ import annotations

from functools import partial
from typing import Final

from oastfs.core.limits import LEASE_SOFT_LIMIT_NS
from oastfs.namenode import file_locks, leases
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.store.schema import FILE_LOCK, LEASE
from oastfs.store.transaction import Transaction

ROWS_PER_STEP: Final = 256


class LockExpiry(Job):
    """One step removes up to ``ROWS_PER_STEP`` rows of one holder."""

    name = "lock expiry"
    interval_seconds = 10.0

    def run_once(self, now_ns: int) -> int:
        for holder in self.store.read(lambda tx: _expired_holders(tx, now_ns)):
            if done := self.write(now_ns, partial(_sweep, holder=holder)):
                return done
        return 0


def _sweep(tx: Transaction, context: Context, holder: str) -> int:
    if not leases.is_expired(tx, holder, context.now_ns, LEASE_SOFT_LIMIT_NS):
        return 0
    tx.delete(LEASE, (holder,))
    return file_locks.sweep(tx, holder, ROWS_PER_STEP)


def _expired_holders(tx: Transaction, now_ns: int) -> list[str]:
    """Found by jumping from holder to holder."""
    expired: list[str] = []
    holder = ""
    while True:
        after = (holder,) if holder else None
        row = next(iter(tx.scan(FILE_LOCK, (), after=after, limit=1, index=file_locks.BY_HOLDER)), None)
        if row is None:
            return expired
        holder = str(row[0][1])
        if leases.is_expired(tx, holder, now_ns, LEASE_SOFT_LIMIT_NS):
            expired.append(holder)
