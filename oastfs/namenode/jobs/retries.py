"""Forgetting answers of at-most-once calls when no client asks for them again."""

from __future__ import annotations

from typing import Final

from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.store.schema import RETRY
from oastfs.store.transaction import Transaction

ROWS_PER_STEP: Final = 1_000
_MINUTE_NS: Final = 60 * 10**9


class RetryExpiry(Job):
    """Rows are in order of the minute in which they expire: the old ones come first."""

    name = "retry cache expiry"
    interval_seconds = 30.0

    def run_once(self, now_ns: int) -> int:
        first = self.store.read(lambda tx: next(iter(tx.scan(RETRY, limit=1)), None))
        if first is None or int(first[0][0]) >= now_ns // _MINUTE_NS:
            return 0
        return self.write(now_ns, expire)


def expire(tx: Transaction, context: Context) -> int:
    """Remove expired rows; how many."""
    minute = context.now_ns // _MINUTE_NS
    keys = [key for key, _ in tx.scan(RETRY, limit=ROWS_PER_STEP) if int(key[0]) < minute]
    for key in keys:
        tx.delete(RETRY, key)
    return len(keys)
