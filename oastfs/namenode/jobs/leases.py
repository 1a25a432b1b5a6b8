"""Closing files whose writers are gone, and following up on blocks that are being recovered."""

from __future__ import annotations

from functools import partial
from typing import Final

from oastfs.core.errors import StaleHandle
from oastfs.core.limits import LEASE_HARD_LIMIT_NS, LEASE_SOFT_LIMIT_NS
from oastfs.namenode import leases, removal, tree
from oastfs.namenode.blocks import recover
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.store.schema import LEASE, OPEN_FILE, ORPHANS_ID
from oastfs.store.transaction import Transaction

FILES_PER_STEP: Final = 64
_BY_HOLDER: Final = OPEN_FILE.indexes[0]


class LeaseExpiry(Job):
    """One step closes up to ``FILES_PER_STEP`` files of one holder."""

    name = "lease expiry"
    interval_seconds = 10.0
    waits_in_safe_mode = True

    def run_once(self, now_ns: int) -> int:
        for holder in self.store.read(lambda tx: _expired_holders(tx, now_ns)):
            if done := self.write(now_ns, partial(close_files, holder=holder)):
                return done
        recovered = 0
        for inode_id in self.store.read(lambda tx: _files_of(tx, leases.RECOVERY, limit=None)):
            recovered += self.write(now_ns, partial(follow_up, inode_id=inode_id))
        if self.store.read(lambda tx: _idle_leases(tx, now_ns)):
            self.write(now_ns, drop_idle_leases)
        return recovered


def close_files(tx: Transaction, context: Context, holder: str) -> int:
    """End a holder's claims on some of its files; how many."""
    if not leases.is_expired(tx, holder, context.now_ns, LEASE_HARD_LIMIT_NS):
        return 0
    ids = _files_of(tx, holder, FILES_PER_STEP)
    for inode_id in ids:
        node = _resolve(tx, inode_id)
        if node is None:
            tx.delete(OPEN_FILE, (inode_id, holder))
        elif node.parent_id == ORPHANS_ID:
            removal.release_orphan(tx, inode_id, holder)
        else:
            tree.save(tx, node, recover.begin_file(tx, context, node.inode, holder))
    return len(ids)


def follow_up(tx: Transaction, context: Context, inode_id: int) -> int:
    """Ask other datanodes where one does not answer, and close what is settled; 1 if it is."""
    node = _resolve(tx, inode_id)
    if node is None:
        tx.delete(OPEN_FILE, (inode_id, leases.RECOVERY))
        return 1
    inode = recover.ask_again(tx, context, node.inode)
    if inode is not node.inode:
        tree.save(tx, node, inode)
    return int(tx.get(OPEN_FILE, (inode_id, leases.RECOVERY)) is None)


def drop_idle_leases(tx: Transaction, context: Context) -> None:
    """Forget holders that write nothing (any more)."""
    for holder in _idle_leases(tx, context.now_ns):
        tx.delete(LEASE, (holder,))


def _idle_leases(tx: Transaction, now_ns: int) -> list[str]:
    holders = [
        str(key[0]) for key, lease in tx.scan(LEASE) if now_ns - lease.renewed_ns > LEASE_SOFT_LIMIT_NS
    ]
    return [holder for holder in holders if not _files_of(tx, holder, 1)]


def _expired_holders(tx: Transaction, now_ns: int) -> list[str]:
    """Holders of files past the hard limit, found by jumping from holder to holder."""
    expired: list[str] = []
    holder = ""
    while True:
        after = (holder,) if holder else None
        row = next(iter(tx.scan(OPEN_FILE, (), after=after, limit=1, index=_BY_HOLDER)), None)
        if row is None:
            return expired
        holder = str(row[0][1])
        if leases.is_expired(tx, holder, now_ns, LEASE_HARD_LIMIT_NS):
            expired.append(holder)


def _files_of(tx: Transaction, holder: str, limit: int | None) -> list[int]:
    rows = tx.scan(OPEN_FILE, (holder,), limit=limit, index=_BY_HOLDER)
    return [int(key[0]) for key, _ in rows]


def _resolve(tx: Transaction, inode_id: int) -> tree.Node | None:
    try:
        return tree.resolve_id(tx, inode_id)
    except StaleHandle:
        return None
