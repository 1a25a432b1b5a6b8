"""Letting go of files that were unlinked while open, when those who kept them are gone."""

from __future__ import annotations

from typing import Final

from oastfs.core.limits import LEASE_HARD_LIMIT_NS
from oastfs.namenode import leases, removal
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.store.schema import INODE, OPEN_FILE, ORPHANS_ID
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction

FILES_PER_STEP: Final = 256


class Orphans(Job):
    """Walks the orphans directory page by page, and begins anew at its end."""

    name = "orphans"
    interval_seconds = 60.0
    waits_in_safe_mode = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._after: Key = ()

    def run_once(self, now_ns: int) -> int:
        after = self._after
        page = self.store.read(
            lambda tx: list(tx.scan(INODE, (ORPHANS_ID,), after=after or None, limit=FILES_PER_STEP))
        )
        self._after = (page[-1][0][1],) if len(page) == FILES_PER_STEP else ()
        ids = [inode.id for _, inode in page]
        limit_ns = LEASE_HARD_LIMIT_NS
        if any(self.store.read(lambda tx: [_abandoned(tx, one, now_ns, limit_ns) for one in ids])):
            self.write(now_ns, lambda tx, context: release(tx, context, ids))
        return len(page) if self._after else 0


def release(tx: Transaction, context: Context, inode_ids: list[int]) -> None:
    """End the claims of holders that are past the hard limit."""
    for inode_id in inode_ids:
        for holder in _abandoned(tx, inode_id, context.now_ns, LEASE_HARD_LIMIT_NS) or ():
            removal.release_orphan(tx, inode_id, holder)


def _abandoned(tx: Transaction, inode_id: int, now_ns: int, limit_ns: int) -> list[str]:
    """Holders of an orphan that are gone; a nameless one if there is no holder at all."""
    holders = [str(key[1]) for key, _ in tx.scan(OPEN_FILE, (inode_id,))]
    gone = [
        holder
        for holder in holders
        if holder == leases.RECOVERY or leases.is_expired(tx, holder, now_ns, limit_ns)
    ]
    return gone if holders else [""]
