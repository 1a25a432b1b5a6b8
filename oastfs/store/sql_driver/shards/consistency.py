"""Whether all that a transaction saw was there at one moment, on whichever shards it was.

Snapshots of several shards are taken one after the other or at the same time, and between two of them
others commit. So rows are read again, each shard's in one trip, from all snapshots but the youngest, if it is
certain which one that is: if they are as they were, they were so when the youngest was taken. Rows that the
commit holds to what they were (those it writes or locks) need no second look.

As they were is not all the time: a row may have been changed and changed back. So a transaction that only
reads asks the first snapshot again, too, for which transactions made the rows: the same ones, if nothing was
changed back. A row that is not there and what a scan left out cannot tell that. Where there is such a thing,
the shard is to have committed nothing since its first snapshot; or, if it is the only such one, its second
snapshot is the moment, and all others are looked at after that. A transaction that writes is content with
rows as they were: what it relies on it has locked or writes.

What is too much to be read twice, or has changed too often, is read in a *freeze*: snapshots of all shards
are taken while all changes wait for a millisecond.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from oastfs.store.sql_driver.batches import SNAPSHOT
from oastfs.store.sql_driver.session import READ, Call
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
    if any(part.scanned_rows > SCANNED_ROWS_MAX for part in tx.parts.values() if part is not tx.youngest()):
        return False
    try:
        if by_shard is None:
            return _was_there_at_once(tx, settle)
        looks = []
        for part in _begun(tx, tx.youngest()):
            rows = part.looked_at(by_shard.get(part.number, {}), True)
            if rows or part.scans:
                looks.append(_Look(part, rows, settle))
        _carry_out(looks)
    except _Differs:
        return False
    return True


def _was_there_at_once(tx: ShardedTransaction, settle: Settle) -> bool:
    unsure = _look_again(tx, settle, tx.youngest())
    if len(unsure) == 1:
        # What that one shows now is held to: were all others so from before that until after it?
        unsure = _look_again(tx, settle, *unsure)
    return not unsure


def _look_again(tx: ShardedTransaction, settle: Settle, moment: ShardPart | None) -> list[ShardPart]:
    """At all parts but one; those of which it is not known whether they have been so all the time."""
    looks = []
    for part in _begun(tx, moment):
        rows = part.looked_at({}, False)
        if rows or part.scans:
            looks.append(_SureLook(part, rows, settle))
    _carry_out(looks)
    return [look.part for look in looks if not look.is_sure]


def _begun(tx: ShardedTransaction, but: ShardPart | None) -> list[ShardPart]:
    return [part for part in tx.parts.values() if part is not but and part.began_at]


def _carry_out(looks: list[_Look] | list[_SureLook]) -> None:
    """Raises _Differs."""
    with ExitStack() as stack:
        for look in looks:
            stack.enter_context(look)
        for look in looks:
            look.require_the_same()


class _Differs(Exception):
    """Something is not as it was."""


class _Look:
    """A second look at rows and at what a part has scanned. What is entered has been asked for."""

    def __init__(self, part: ShardPart, rows: Rows, settle: Settle) -> None:
        self.part = part
        self._rows = rows
        self._settle = settle

    def __enter__(self) -> None:
        part = self.part
        self._session = part.server.connections.take(READ, objects.PENDING)
        self._now = ShardPart(part.server, part.number, self._session, False, self._settle)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._now.end()
        self.part.server.connections.give_back(self._session)

    def _start(self) -> None:
        self._finish = self._now.start_second_look(self._rows)

    def require_the_same(self) -> None:
        """All is now as it was."""
        if self._finish is not None:
            self._finish()
        if not self._now.gives_the_same(self._rows, self.part.scans):
            raise _Differs


class _SureLook(_Look):
    """One that tells whether all has been so all the time, as far as that can be told."""

    is_sure = False

    def _start(self) -> None:
        looks = self.part.server.looks
        call: Call = SNAPSHOT, ()
        if self._rows:
            batch = looks.batches.of(looks.in_order(self._rows))
            call = (
                batch.statement,
                tuple(batch.arguments({table: list(self._rows[table]) for table in self._rows})),
            )
        self._session.start_fetch(*call)
        self.part.session.start_fetch(*call)

    def require_the_same(self) -> None:
        now, now_rows = _snapshot_of(self._session.finish_fetch())
        first, first_rows = _snapshot_of(self.part.session.finish_fetch())
        self._now.require_settled({table: list(some) for table, some in self._rows.items()})
        if now_rows != first_rows or not self._now.gives_the_same({}, self.part.scans):
            raise _Differs
        is_all_there = len(now_rows) == sum(map(len, self._rows.values())) and not self.part.scans
        self.is_sure = is_all_there or now == first


def _snapshot_of(found: list[tuple[Any, ...]]) -> tuple[int, list[tuple[Any, ...]]]:
    """Its number, and the rows, in one order and with those who made them."""
    rows = sorted((row for row in found if row[0] >= 0), key=lambda row: row[:2])
    return next(row[2] for row in found if row[0] < 0), rows
