"""Reading tables in a transaction, and sending what an operation staged.

A transaction sees one snapshot (REPEATABLE READ), so a row that was read need not be read again, and a row
that is changed here and was changed by another since the snapshot makes PostgreSQL refuse: then the
operation is run again. Locks are therefore not taken on the way but with the writes, in the same trip: a
row that is to be locked and is not written is written as it was (exclusive), or locked with FOR SHARE. See
docs/decisions/sql-transactions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from oastfs.core.errors import TransactionMisuse
from oastfs.store.keys import check_key, check_prefix, index_columns, positions
from oastfs.store.sql_driver.batches import Batch, Batches, array
from oastfs.store.sql_driver.layout import Layout
from oastfs.store.sql_driver.session import Call, Session
from oastfs.store.sql_driver.statements import Statements
from oastfs.store.staged import Writes
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import Transaction, Wanted

_ABSENT: Final = object()
_PAGE_ROWS_FIRST: Final = 64
_PAGE_ROWS_MAX: Final = 2048
_WIDE_PAGE_ROWS: Final = 16
"""Rows may be as large as the inline limit: a page of them fits in memory."""
_WIDE_PAGE_ROWS_MAX: Final = 256
_WIDE_PAGE_BYTES: Final = 1 << 20
"""Pages grow while rows are so small that the next one should not be larger than this."""

OpenTables = dict[Table[Any], Statements]


class SqlTransaction(Transaction):
    """One snapshot; reading only, but the base of a staged transaction with ``recording``."""

    def __init__(self, tables: OpenTables, batches: Batches, session: Session, recording: bool) -> None:
        self.memo = {}
        self._tables = tables
        self._batches = batches
        self._session: Session | None = session
        self._recording = recording
        self._seen: dict[Table[Any], dict[Key, Any]] = {}
        self._locks: dict[tuple[Table[Any], Key], Lock] = {}

    def end(self) -> None:
        """Every later call raises TransactionMisuse."""
        self._session = None

    def require_no_conflict(self) -> None:
        """Raise the Conflict that the operation was told of and has taken for one of its own errors."""
        if self._session is not None and self._session.conflict is not None:
            raise self._session.conflict

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        session = self._session or _ended()
        statements = _opened(self._tables, table)
        check_key(table, key)
        seen = self._seen.get(table)
        if seen is None:
            seen = self._seen[table] = {}
        if lock is not Lock.NONE:
            self._note_lock(table, key, lock)
        value = seen.get(key, _ABSENT)
        if value is not _ABSENT:
            return value  # type: ignore[no-any-return]
        found: V | None = None
        if rows := session.fetch(statements.get, statements.layout.key_arguments(key)):
            found = self._found(statements.layout, key, rows[0])
        seen[key] = found
        return found

    def _found(self, layout: Layout, key: Key, row: tuple[Any, ...]) -> Any:
        """The value in a row that ``get`` has given."""
        return layout.decode(row) if layout.values else layout.table.value()

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        session = self._session or _ended()
        statements = _opened(self._tables, table)
        for key in keys:
            check_key(table, key)
            if lock is not Lock.NONE:
                self._note_lock(table, key, lock)
        seen = self._seen.setdefault(table, {})
        missing = [key for key in dict.fromkeys(keys) if key not in seen]
        if missing:
            self._fetch_many(session, statements, missing)
        return [seen[key] for key in keys]

    def _fetch_many(self, session: Session, statements: Statements, missing: list[Key]) -> None:
        layout = statements.layout
        arguments = [array(column) for column in zip(*map(layout.key_arguments, missing), strict=True)]
        seen = self._seen[layout.table]
        seen.update(dict.fromkeys(missing))
        for row in session.fetch(statements.get_many, arguments):
            value = layout.decode(row[1:]) if layout.values else layout.table.value()
            seen[missing[row[0] - 1]] = value

    def prefetch(self, wanted: Wanted, more: bool = False) -> None:
        finish = self.start_prefetch(wanted)
        if finish is not None:
            finish()

    def start_prefetch(self, wanted: Wanted, fewest: int = 2) -> Callable[[], None] | None:
        """Ask for these rows; what awaits the answer, or None if there is nothing worth a question.

        Fewer rows than ``fewest`` are not asked for: to do so when they are wanted takes no longer.
        """
        session = self._session or _ended()
        missing: dict[Table[Any], list[Key]] = {}
        for table, keys in wanted.items():
            _opened(self._tables, table)
            seen = self._seen.setdefault(table, {})
            if left := [key for key in dict.fromkeys(keys) if key not in seen]:
                missing[table] = left
        if sum(map(len, missing.values())) < fewest:
            return None
        batch = self._batches.of(tuple(missing))
        arguments: list[Any] = []
        for table, left in missing.items():
            for key in left:
                check_key(table, key)
            arguments += map(array, zip(*map(batch.layouts[table].key_arguments, left), strict=True))
        session.start_fetch(batch.statement, arguments)
        return partial(self._finish_prefetch, session, batch, missing)

    def _finish_prefetch(self, session: Session, batch: Batch, missing: dict[Table[Any], list[Key]]) -> None:
        rows = session.finish_fetch()
        for table, left in missing.items():
            self._seen[table].update(dict.fromkeys(left))
        for row in rows:
            table, place, value = batch.decode(row)
            key = missing[table][place - 1]
            self._seen[table][key] = value
            if batch.stamped:
                self._note_stamp(table, key, row[2])

    def _note_stamp(self, table: Table[Any], key: Key, stamp: int) -> None:
        """A row was made by the transaction of this number."""

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        if self._session is None:
            _ended()
        statements = _opened(self._tables, table)
        columns = table.key if index is None else index_columns(table, index)
        check_prefix(table, columns, prefix, after)
        if limit is not None and limit <= 0:
            return iter(())
        order = None if index is None else positions(table.key, columns)
        name = "" if index is None else index.name

        def page(past: Key, rows: int) -> list[tuple[Any, ...]]:
            session = self._session or _ended()
            statement = statements.scan(columns, name, len(prefix), len(past), reverse)
            arguments: list[Any] = [*prefix, *past, rows]
            if statements.is_within_partition(name, len(prefix)):
                arguments.insert(1, table.partition(prefix))
            return session.fetch(statement, arguments)

        return self._pages(statements, page, (after or (), len(prefix)), limit, order)

    def _pages(
        self,
        statements: Statements,
        page: Callable[[Key, int], list[tuple[Any, ...]]],
        start: tuple[Key, int],
        limit: int | None,
        order: tuple[int, ...] | None,
    ) -> Iterator[tuple[Key, Any]]:
        """Rows, page by page; each page begins past the last row of the one before."""
        layout = statements.layout
        columns = len(layout.table.key)
        seen = self._seen.setdefault(layout.table, {}) if self._recording else None
        past, depth = start
        size = _WIDE_PAGE_ROWS if layout.is_wide else _PAGE_ROWS_FIRST
        left = limit
        while left is None or left > 0:
            wanted = size if left is None else min(left, size if layout.is_wide else _PAGE_ROWS_MAX)
            rows = page(past, wanted)
            key: Key = ()
            for row in rows:
                if self._session is None:
                    _ended()
                key = row[:columns]
                value = layout.decode(row[columns:])
                if seen is not None:
                    seen[key] = value
                yield key, value
            if len(rows) < wanted or len(key) == depth:
                return
            place = key if order is None else tuple(key[position] for position in order)
            past = place[depth:]
            size = _next_wide_size(rows) if layout.is_wide else min(size * 4, _PAGE_ROWS_MAX)
            left = None if left is None else left - len(rows)

    def put(self, table: Table[V], key: Key, value: V) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def delete(self, table: Table[Any], key: Key) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def _note_lock(self, table: Table[Any], key: Key, lock: Lock) -> None:
        known = self._locks.get((table, key))
        if known is not Lock.EXCLUSIVE:
            self._locks[table, key] = lock

    # --- the end of a write -----------------------------------------------------------------------------

    def contended(self, writes: Writes) -> set[tuple[Table[Any], Key]]:
        """The rows of which another version may not come between: those locked, or read and then changed."""
        found = {
            place for place, lock in self._locks.items() if lock is Lock.EXCLUSIVE and self._is_there(*place)
        }
        for table, rows in writes.items():
            seen = self._seen.get(table, {})
            found.update((table, key) for key in rows if seen.get(key) is not None)
        return found

    def calls(self, writes: Writes) -> list[Call]:
        """The statements that carry out these writes, and the locks, in one order for all transactions."""
        calls: list[Call] = []
        for table, statements in self._tables.items():
            rows = writes.get(table, {})
            locked = [key for (of, key) in self._locks if of is table and key not in rows]
            for key in sorted([*rows, *locked]):
                if key in rows:
                    if rows[key] is not None or self._is_there(table, key) or not self._is_known(table, key):
                        calls.append(self._write(statements, key, rows[key]))
                elif self._is_there(table, key):
                    layout = statements.layout
                    lock = statements.lock(self._locks[table, key])
                    calls.append((lock, layout.key_arguments(key)))
        unknown = [table for table in writes if table not in self._tables]
        for table in unknown:
            _opened(self._tables, table)
        return calls

    def _write(self, statements: Statements, key: Key, value: Any) -> Call:
        layout = statements.layout
        arguments = layout.key_arguments(key)
        if value is None:
            return statements.delete, arguments
        seen = self._seen.get(layout.table, {}).get(key, _ABSENT)
        if seen is _ABSENT:
            return statements.upsert, (*arguments, *layout.encode(value))
        if seen is None:
            # Another's row of this key is a conflict, not something to be replaced.
            return statements.insert, (*arguments, *layout.encode(value))
        if not layout.values:
            return statements.update, arguments
        return statements.update, (*arguments, *layout.encode(value))

    def _is_known(self, table: Table[Any], key: Key) -> bool:
        return key in self._seen.get(table, {})

    def _is_there(self, table: Table[Any], key: Key) -> bool:
        return self._seen.get(table, {}).get(key) is not None


def _next_wide_size(rows: list[tuple[Any, ...]]) -> int:
    """How many rows the page after these may have, if it is much like it."""
    row_bytes = 1 + sum(len(field) for row in rows for field in row if type(field) is bytes) // len(rows)
    return max(_WIDE_PAGE_ROWS, min(len(rows) * 4, _WIDE_PAGE_BYTES // row_bytes, _WIDE_PAGE_ROWS_MAX))


def _opened(tables: OpenTables, table: Table[Any]) -> Statements:
    try:
        return tables[table]
    except (KeyError, TypeError):
        raise TransactionMisuse(f"the store has no table {getattr(table, 'name', table)!r}") from None


def _ended() -> Any:
    raise TransactionMisuse("the transaction has ended")
