"""Withdrawing commands that nobody will carry out: those of dead datanodes.

When such a datanode comes back, its block report shows anew what is to be done.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from oastfs.namenode.cluster import DATANODE_DEAD
from oastfs.namenode.jobs.base import Job
from oastfs.store.schema import DATANODE, DATANODE_COMMAND
from oastfs.store.transaction import Transaction

ROWS_PER_STEP: Final = 1_000


class CommandExpiry(Job):
    """One step withdraws up to ``ROWS_PER_STEP`` commands."""

    name = "command expiry"
    interval_seconds = 15.0

    def run_once(self, now_ns: int) -> int:
        for datanode_id in self.store.read(_dead):
            if done := self.store.write(partial(withdraw_all, datanode_id=datanode_id)):
                return done
        return 0


def withdraw_all(tx: Transaction, datanode_id: int) -> int:
    """Withdraw some commands of a datanode, if it is (still) dead; how many."""
    row = tx.get(DATANODE, (datanode_id,))
    if row is not None and row.state != DATANODE_DEAD:
        return 0
    keys = [key for key, _ in tx.scan(DATANODE_COMMAND, (datanode_id,), limit=ROWS_PER_STEP)]
    for key in keys:
        tx.delete(DATANODE_COMMAND, key)
    return len(keys)


def _dead(tx: Transaction) -> list[int]:
    return [int(key[0]) for key, row in tx.scan(DATANODE) if row.state == DATANODE_DEAD]
