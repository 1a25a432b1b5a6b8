"""A transaction over all shards: each row is looked for where its partition is.

A shard is asked when the first of its rows is wanted, and has its own snapshot from then on. What was seen
on which one is kept, so that ``consistency`` can tell whether all of it was there at one moment.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from oastfs.core.errors import TransactionMisuse
from oastfs.store.keys import check_key, check_prefix, index_columns, positions
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import Call, Session
from oastfs.store.sql_driver.shards.branch import Branch, parse
from oastfs.store.sql_driver.watched import WatchedTransaction
from oastfs.store.staged import Writes
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import Transaction, Wanted

Settle = Callable[[Branch], bool]
"""Finish a branch if it was decided that it is committed; whether it was, or may have been."""


class ShardPart(WatchedTransaction):
    """The rows of one shard, in its own snapshot."""

    def __init__(
        self, server: Server, number: int, session: Session, recording: bool, settle: Settle
    ) -> None:
        super().__init__(server.tables, server.batches, session, recording)
        self.number = number
        self.server = server
        self.began_at = 0
        """When its snapshot was asked for; 0: there is none."""
        self.there_at = 0
        """When it was there at the latest."""
        self._settle = settle
        self._undecided: set[str] = set()

    def _begin(self) -> None:
        self.began_at = self.began_at or time.monotonic_ns()

    def _answered(self) -> None:
        self.there_at = self.there_at or time.monotonic_ns()

    def _look(self, partitions: Iterable[int] | None) -> None:
        """Settle what is pending in these partitions and was decided: this snapshot is too old then."""
        if self._session is None or not self._session.notice:
            return
        wanted = None if partitions is None else set(partitions)
        for gid in self._session.notice.split():
            if gid in self._undecided:
                continue
            branch = parse(gid)
            if not branch.changes(wanted):
                continue
            if self._settled(branch):
                self._session.conflict = Conflict(
                    "a transaction on several shards was just being committed", at_once=True
                )
                raise self._session.conflict
            # Not decided by now, which is after our snapshot: it comes after us.
            self._undecided.add(gid)

    def _settled(self, branch: Branch) -> bool:
        try:
            return self._settle(branch)
        except Conflict as conflict:
            self.session.conflict = conflict
            raise

    def require_settled(self, keys: dict[Table[Any], list[Key]]) -> None:
        """As if these had been read."""
        self._look(table.partition(key) for table, some in keys.items() for key in some)


class ShardedTransaction(Transaction):
    """Reading only, but the base of a staged transaction."""

    def __init__(self, count: int, open_part: Callable[[int], ShardPart]) -> None:
        self._count = count
        self._open = open_part
        self.parts: dict[int, ShardPart] = {}
        self._conflict: Conflict | None = None
        """Why a shard could not be asked."""

    def part(self, number: int) -> ShardPart:
        """A shard's part of this transaction."""
        part = self.parts.get(number)
        if part is None:
            try:
                part = self.parts[number] = self._open(number)
            except Conflict as conflict:
                self._conflict = conflict
                raise
        return part

    def require_no_conflict(self) -> None:
        """As that of a part."""
        if self._conflict is not None:
            raise self._conflict
        for part in self.parts.values():
            part.require_no_conflict()

    def end(self) -> None:
        """Every later call raises TransactionMisuse."""
        for part in self.parts.values():
            part.end()
        self._open = _ended

    def _of(self, table: Table[Any], key: Key) -> int:
        check_key(table, key)
        return table.partition(key) % self._count

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        return self.part(self._of(table, key)).get(table, key, lock)

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        by_shard: dict[int, list[Key]] = {}
        for key in keys:
            by_shard.setdefault(self._of(table, key), []).append(key)
        found: dict[Key, V | None] = {}
        if len(by_shard) > 1:
            self._ask({number: {table: some} for number, some in by_shard.items()})
        for number, some in by_shard.items():
            found.update(zip(some, self.part(number).get_many(table, some, lock), strict=True))
        if not by_shard:
            self.part(0).get_many(table, keys, lock)
        return [found[key] for key in keys]

    def prefetch(self, wanted: Wanted, more: bool = False) -> None:
        by_shard: dict[int, dict[Table[Any], list[Key]]] = {}
        for table, keys in wanted.items():
            for key in keys:
                by_shard.setdefault(self._of(table, key), {}).setdefault(table, []).append(key)
        if len(by_shard) > 1:
            self._ask(by_shard)
            return
        for number, some in by_shard.items():
            if sum(map(len, some.values())) > 1:
                self.part(number).prefetch(some)

    def _ask(self, by_shard: Mapping[int, Wanted]) -> None:
        """Several shards, all but the last at the same time.

        That one comes after them, so that its snapshot is the youngest and it need not be asked twice.
        """
        *others, (last, wanted) = by_shard.items()
        started = []
        for number, some in others:
            part = self.part(number)
            # A row of a shard that was asked before may be one that nobody wants in the end.
            started.append(part.start_prefetch(some, 2 if part.began_at else 1))
        for finish in started:
            if finish is not None:
                finish()
        self.part(last).prefetch(wanted)

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        columns = table.key if index is None else index_columns(table, index)
        check_prefix(table, columns, prefix, after)
        if prefix and index is None:
            return self.part(table.partition(prefix) % self._count).scan(table, prefix, after, limit, reverse)
        order = positions(table.key, columns)
        pages = [
            self.part(number).scan(table, prefix, after, limit, reverse, index)
            for number in range(self._count)
        ]
        merged = heapq.merge(
            *pages, key=lambda row: tuple(row[0][position] for position in order), reverse=reverse
        )
        return merged if limit is None else islice(merged, max(limit, 0))

    def put(self, table: Table[V], key: Key, value: V) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def delete(self, table: Table[Any], key: Key) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    # --- the end of a write -----------------------------------------------------------------------------

    def split(self, writes: Writes) -> dict[int, Writes]:
        """What is written on which shard."""
        by_shard: dict[int, Writes] = {}
        for table, rows in writes.items():
            for key, value in rows.items():
                number = table.partition(key) % self._count
                by_shard.setdefault(number, {}).setdefault(table, {})[key] = value
        return by_shard

    def contended(self, by_shard: dict[int, Writes]) -> set[tuple[Table[Any], Key]]:
        """As ``SqlTransaction.contended``."""
        found: set[tuple[Table[Any], Key]] = set()
        for number, part in self.parts.items():
            found |= part.contended(by_shard.get(number, {}))
        return found

    def youngest(self) -> ShardPart | None:
        """The part whose snapshot was taken last, if there is one of which that is certain."""
        begun = [part for part in self.parts.values() if part.began_at]
        last = max(begun, key=lambda part: part.began_at, default=None)
        if any(part is not last and last and part.there_at > last.began_at for part in begun):
            return None  # they were taken at the same time
        return last

    def see_removals(self, by_shard: dict[int, Writes]) -> None:
        """Look at rows that are to be removed and were not read.

        A snapshot that is older than another one may lack such a row, and its removal would be none. Writing
        a row needs no such care: PostgreSQL refuses to replace what the snapshot lacks.
        """
        unseen = {
            number: keys
            for number, writes in by_shard.items()
            if (keys := self.part(number).unseen_removals(writes))
        }
        youngest = self.youngest()
        if not unseen:
            return
        for number, keys in unseen.items():
            if self.parts[number] is not youngest:
                self._read(self.parts[number], keys)
        if youngest is None or youngest.number not in unseen:
            return
        if self.youngest() is youngest:
            youngest.require_settled(unseen[youngest.number])
        else:
            self._read(youngest, unseen[youngest.number])

    def _read(self, part: ShardPart, keys: dict[Table[Any], list[Key]]) -> None:
        part.prefetch(keys)
        for table, some in keys.items():
            for key in some:
                part.get(table, key)

    def calls(self, by_shard: dict[int, Writes]) -> dict[int, list[Call]]:
        """The statements for each shard that has any."""
        calls: dict[int, list[Call]] = {}
        for number in sorted({*by_shard, *self.parts}):
            if found := self.part(number).calls(by_shard.get(number, {})):
                calls[number] = found
        return calls


def _ended(number: int) -> ShardPart:
    raise TransactionMisuse("the transaction has ended")
