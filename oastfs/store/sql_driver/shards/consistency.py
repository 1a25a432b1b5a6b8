"""Whether all that a transaction saw was there at one moment, on whichever shards it was.

Snapshots of several shards are taken one after the other or at the same time, and between two of them
others commit. So rows are read again, each shard's in one trip, from all snapshots but the youngest, if it is
certain which one that is: if they are as they were, they were so when the youngest was taken. Rows that the
commit holds to what they were (those it writes or locks) need no second look.

What is too much to be read twice, or has changed too often, is read in a *freeze*: snapshots of all shards
are taken while all changes wait for a millisecond.
"""

from __future__ import annotations

from contextlib import ExitStack

from oastfs.store.sql_driver.session import READ
from oastfs.store.sql_driver.shards import objects
from oastfs.store.sql_driver.shards.transaction import Settle, ShardedTransaction, ShardPart
from oastfs.store.sql_driver.watched import SCANNED_ROWS_MAX, Rows
from oastfs.store.staged import Writes


def is_consistent(tx: ShardedTransaction, by_shard: dict[int, Writes] | None, settle: Settle) -> bool:
    """Whether there was a moment at which everything was as this transaction saw it.

    ``by_shard``: what is about to be committed, None if nothing is.
    """
    if len(tx.parts) < 2:
        return True
    writes = by_shard or {}
    youngest = tx.youngest()
    looks: list[_Look] = []
    for part in tx.parts.values():
        if part is youngest or not part.began_at:
            continue
        rows = part.looked_at(writes.get(part.number, {}), by_shard is not None)
        if part.scanned_rows > SCANNED_ROWS_MAX:
            return False
        if rows or part.scans:
            looks.append(_Look(part, rows, settle))
    with ExitStack() as stack:
        for look in looks:
            stack.enter_context(look)
        return all(look.gives_the_same() for look in looks)


class _Look:
    """A second look at rows and at what a part has scanned. What is entered has been asked for."""

    def __init__(self, part: ShardPart, rows: Rows, settle: Settle) -> None:
        self._part = part
        self._rows = rows
        self._settle = settle

    def __enter__(self) -> None:
        part = self._part
        self._session = part.server.connections.take(READ, objects.PENDING)
        self._now = ShardPart(part.server, part.number, self._session, False, self._settle)
        try:
            self._finish = self._now.start_second_look(self._rows)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._now.end()
        self._part.server.connections.give_back(self._session)

    def gives_the_same(self) -> bool:
        """Whether all is now as it was."""
        if self._finish is not None:
            self._finish()
        return self._now.gives_the_same(self._rows, self._part.scans)
