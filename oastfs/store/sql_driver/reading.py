"""A transaction that only reads: a look if that is all it needs, or else a snapshot.

Who says first which rows he is going to want (``prefetch``) has them by a look (``looks``). Who then wants
something else goes on in a transaction that has a snapshot of its own: with the first rows that it reads
there it reads those again that were used. If all are as they were, they were so at the snapshot's moment; if
not, the operation is run again. Who says nothing has the snapshot from the beginning.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from oastfs.core.errors import TransactionMisuse
from oastfs.store.keys import check_key, check_prefix, index_columns
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.looks import Rows
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import READ, Session
from oastfs.store.sql_driver.transaction import SqlTransaction
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import Transaction, Wanted

ABSENT: Final = object()
"""Was not asked for."""
NOWHERE: Final[dict[Key, Any]] = {}
Base = TypeVar("Base", bound=Transaction)
Base_co = TypeVar("Base_co", bound=Transaction, covariant=True)
Used = dict[tuple[Table[Any], Key], Any]
"""What an operation was told from a look."""


class Source(Protocol[Base_co]):
    """Where one transaction's rows are."""

    def ask(self, wanted: Wanted) -> None:
        """Once, at all of these."""

    def find(self, table: Table[Any], key: Key) -> Any:
        """The row or None; ABSENT if it was not asked for."""

    def open_base(self) -> Base_co:
        """The transaction to go on in; it ends with the source."""


class OneServer:
    """A server has them all."""

    __slots__ = ("_base", "_rows", "_server", "_session")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._rows: Rows = {}
        self._session: Session | None = None
        self._base: SqlTransaction | None = None

    def open_base(self) -> SqlTransaction:
        server = self._server
        session = self._session = server.connections.take(READ)
        self._base = SqlTransaction(server.tables, server.batches, session, recording=False)
        return self._base

    def close(self) -> None:
        """Nothing follows."""
        if self._base is not None:
            self._base.end()
        if self._session is not None:
            self._server.connections.give_back(self._session)

    def ask(self, wanted: Wanted) -> None:
        self._rows = self._server.looks.see(wanted).rows

    def find(self, table: Table[Any], key: Key) -> Any:
        return self._rows.get(table, NOWHERE).get(key, ABSENT)


class LookingTransaction(Transaction, Generic[Base]):
    """``patient``: the operation has been run before and shall not be again: it begins with the snapshot."""

    def __init__(self, tables: Container[Table[Any]], source: Source[Base], patient: bool) -> None:
        self.memo = {}
        self.base: Base | None = None
        self.used: Used = {}
        self._tables = tables
        self._source = source
        self._find = source.find
        self._may_look = not patient
        self._is_over = False
        self._conflict: Conflict | None = None

    def end(self) -> None:
        """Every later call raises TransactionMisuse."""
        self._is_over = True
        self._may_look = False
        self._find = _nothing

    def require_no_conflict(self) -> None:
        """As that of ``SqlTransaction``; of the base, too, if there is one."""
        if self._conflict is not None:
            raise self._conflict

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        if self.base is not None:
            return self.base.get(table, key, lock)
        try:
            value = self._find(table, key)
        except Exception:
            self._check(table, (key,))
            raise
        if value is ABSENT:
            self._check(table, (key,))
            return self._go_on({table: (key,)}).get(table, key)
        self.used[table, key] = value
        return value  # type: ignore[no-any-return]  # a look holds rows of all tables

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        if self.base is not None:
            return self.base.get_many(table, keys, lock)
        self._check(table, keys)
        if not keys:
            return []
        values = [self._find(table, key) for key in keys]
        if any(value is ABSENT for value in values):
            return self._go_on({table: keys}).get_many(table, keys)
        self.used.update(zip(((table, key) for key in keys), values, strict=True))
        return values

    def prefetch(self, wanted: Wanted, more: bool = False) -> None:
        if self.base is not None:
            self.base.prefetch(wanted, more)
            return
        missing: dict[Table[Any], list[Key]] = {}
        for table, keys in wanted.items():
            self._check(table, keys)
            if left := [key for key in keys if self._find(table, key) is ABSENT]:
                missing[table] = left
        if not missing:
            return
        if self._may_look and not more:
            self._ask(missing)
        elif sum(map(len, missing.values())) > 1:
            self._go_on(missing)

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        if self.base is None:
            self._check(table, ())
            check_prefix(table, table.key if index is None else index_columns(table, index), prefix, after)
        return (self.base or self._go_on({})).scan(table, prefix, after, limit, reverse, index)

    def put(self, table: Table[V], key: Key, value: V) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def delete(self, table: Table[Any], key: Key) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def _check(self, table: Table[Any], keys: Sequence[Key]) -> None:
        if self._is_over:
            raise TransactionMisuse("the transaction has ended")
        try:
            is_known = table in self._tables
        except TypeError:
            is_known = False
        if not is_known:
            raise TransactionMisuse(f"the store has no table {getattr(table, 'name', table)!r}")
        for key in keys:
            check_key(table, key)

    def _ask(self, wanted: Wanted) -> None:
        self._may_look = False
        try:
            self._source.ask(wanted)
        except Conflict as conflict:
            self._conflict = conflict
            raise

    def _go_on(self, wanted: Wanted) -> Base:
        """In a transaction, which reads these."""
        self._may_look = False
        keys = {table: list(some) for table, some in wanted.items()}
        for table, key in self.used:
            keys.setdefault(table, []).append(key)
        try:
            base = self.base = self._source.open_base()
            base.prefetch(keys, True)
            if any(base.get(table, key) != value for (table, key), value in self.used.items()):
                raise Conflict("what was read before the snapshot has changed", at_once=True)
        except Conflict as conflict:
            self._conflict = conflict
            raise
        return base


def _nothing(table: Table[Any], key: Key) -> Any:
    return ABSENT
