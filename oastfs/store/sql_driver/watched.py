"""A transaction that remembers what it has seen, so that all of it can be looked at again.

Where rows are on several servers, each of which has its own snapshot, what was read may never have been
there at one moment. What is to be told apart is for the subclasses.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from oastfs.store.sql_driver.session import Session
from oastfs.store.sql_driver.transaction import SqlTransaction
from oastfs.store.staged import Writes
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import Wanted

SCANNED_ROWS_MAX: Final = 4096
"""A transaction that has seen more of one server does not look at it all again."""

Rows = dict[Table[Any], dict[Key, Any]]


class Scanned:
    """A scan of one shard and what it has given."""

    __slots__ = ("arguments", "complete", "rows")

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        """As those of ``scan``."""
        self.rows: list[tuple[Key, Any]] = []
        self.complete = False
        """It came to its end by itself."""

    @property
    def partition(self) -> int | None:
        """Where its rows are, if in one partition."""
        table, prefix, _, _, _, index = self.arguments
        return table.partition(prefix) if prefix and index is None else None


class WatchedTransaction(SqlTransaction):
    """What is read of one server, and remembered."""

    def __init__(self, *arguments: Any) -> None:
        """As that of SqlTransaction."""
        super().__init__(*arguments)
        self.scans: list[Scanned] = []
        self.scanned_rows = 0

    @property
    def session(self) -> Session:
        """The connection."""
        assert self._session is not None
        return self._session

    @abstractmethod
    def _begin(self) -> None:
        """Something is about to be asked."""

    @abstractmethod
    def _answered(self) -> None:
        """An answer has come."""

    @abstractmethod
    def _look(self, partitions: Iterable[int] | None) -> None:
        """Rows of these partitions (None: any) were wanted, and their answer is there."""

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        self._begin()
        value = super().get(table, key, lock)
        self._answered()
        self._look((table.partition(key),))
        return value

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        self._begin()
        values = super().get_many(table, keys, lock)
        self._answered()
        self._look(map(table.partition, keys))
        return values

    def start_prefetch(self, wanted: Wanted, fewest: int = 2) -> Callable[[], None] | None:
        self._begin()
        await_answer = super().start_prefetch(wanted, fewest)
        if await_answer is None:
            return None

        def finish() -> None:
            await_answer()
            self._answered()
            self._look(table.partition(key) for table, keys in wanted.items() for key in keys)

        return finish

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        self._begin()
        rows = super().scan(table, prefix, after, limit, reverse, index)
        return self._recorded(Scanned(table, prefix, after, limit, reverse, index), rows)

    def _recorded(self, scanned: Scanned, rows: Iterator[tuple[Key, Any]]) -> Iterator[tuple[Key, Any]]:
        partitions = None if scanned.partition is None else (scanned.partition,)
        self.scans.append(scanned)
        for row in rows:
            self._answered()
            self.scanned_rows += 1
            if self.scanned_rows <= SCANNED_ROWS_MAX:
                scanned.rows.append(row)
            self._look(partitions)
            yield row
        self._answered()
        scanned.complete = True
        self._look(partitions)

    def unseen_removals(self, writes: Writes) -> dict[Table[Any], list[Key]]:
        """The rows that are removed and were not looked at."""
        found = {}
        for table, rows in writes.items():
            known = self._seen.get(table, {})
            if left := [key for key, value in rows.items() if value is None and key not in known]:
                found[table] = left
        return found

    def unprotected(self, writes: Writes, committing: bool) -> dict[Table[Any], dict[Key, Any]]:
        """The rows that were read and that the commit, if there is one, does not hold to what they were."""
        if not committing:
            return {table: dict(rows) for table, rows in self._seen.items() if rows}
        found: dict[Table[Any], dict[Key, Any]] = {}
        for table, rows in self._seen.items():
            written = writes.get(table, {})
            left = {
                key: value
                for key, value in rows.items()
                if not (key in written and (written[key] is not None or value is not None))
                and not (value is not None and (table, key) in self._locks)
            }
            if left:
                found[table] = left
        return found

    def looked_at(self, writes: Writes, committing: bool) -> Rows:
        """What has to be looked at again, but for the scans."""
        rows = self.unprotected(writes, committing)
        for scanned in self.scans:
            known = rows.get(scanned.arguments[0], {})
            for key, _ in scanned.rows:
                known.pop(key, None)
        return {table: some for table, some in rows.items() if some}

    def start_second_look(self, rows: Rows) -> Callable[[], None] | None:
        """Ask for rows that another transaction has seen; what awaits the answer."""
        return self.start_prefetch({table: list(some) for table, some in rows.items()}, 1)

    def gives_the_same(self, rows: Rows, scans: Sequence[Scanned]) -> bool:
        """Whether all is now as it was."""
        return all(
            self.get(table, key) == value for table, some in rows.items() for key, value in some.items()
        ) and all(self._scan_gives_the_same(scanned) for scanned in scans)

    def _scan_gives_the_same(self, scanned: Scanned) -> bool:
        table, prefix, after, limit, reverse, index = scanned.arguments
        if not scanned.complete:
            limit = len(scanned.rows)
        return list(self.scan(table, prefix, after, limit, reverse, index)) == scanned.rows
