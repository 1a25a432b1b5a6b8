"""The interface that every driver implements, and that operations are written against.

An operation is a plain function of a ``Transaction``. It never commits, retries or keeps the
transaction; ``Store.read`` and ``Store.write`` do that for it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from oastfs.core.errors import TransactionMisuse
from oastfs.store.table import Index, Key, Lock, Table, V

T = TypeVar("T")

Wanted = Mapping[Table[Any], Sequence[Key]]
"""Keys of rows, by table."""


class EncodedRows(NamedTuple, Generic[V]):
    """Rows as bytes, for who makes other bytes of them by the thousand.

    In a key an ID is 8 bytes, big-endian, and a TEXT that ends it is UTF-8; a value is a MessagePack array of
    the row's fields in their order, of which old rows may lack some at the end.
    """

    rows: list[tuple[bytes, bytes]]
    decode: Callable[[bytes, bytes], tuple[Key, V]]
    """The row of a key and a value. Raises StoreError if it is damaged."""


class Transaction(ABC):
    """One snapshot (read) or one atomic change (write). Valid only inside its function."""

    __slots__ = ()

    memo: dict[Any, Any]
    """Room for what callers found out from rows that are there and on which a memo may rest (see
    ``Table.remembered``). Another one whenever one of these is put or deleted; transactions that read the
    same snapshot may share it, in several threads, and so may those of snapshots between which none of these
    rows was changed or removed."""

    overlapped: bool = False
    """Others may be under way that began earlier and do not see what this transaction sees. Who relies on it
    that they do raises ``First``; when the operation is run again, it is so no more.
    """

    @abstractmethod
    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        """The row, or None. Sees this transaction's own writes."""

    @abstractmethod
    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        """Rows in the order of ``keys``: one trip to a networked engine. The workhorse."""

    def prefetch(self, wanted: Wanted, more: bool = False) -> None:
        """Rows of several tables that are likely to be asked for: one trip to a networked engine.

        A hint, which changes no answer. Nothing is done where a read costs no trip. Without ``more`` they are
        likely to be all that is asked for.
        """
        return

    @abstractmethod
    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        """Rows whose key begins with ``prefix`` (whole columns), in key order, as (key, value).

        ``after`` holds the remaining key columns, or fewer: only rows strictly after it (before it,
        with ``reverse``). With ``index``, prefix, after and order are of the index's columns; keys are
        still the table's. An empty prefix, or an index, asks every shard. Sees this transaction's own
        writes; rows written while iterating may or may not appear.
        """

    def scan_encoded(
        self, table: Table[V], prefix: Key, after: Key | None = None, *, limit: int
    ) -> EncodedRows[V] | None:
        """As ``scan``, of at most ``limit`` rows at once, as the engine has them; None if it has no bytes."""
        return None

    @abstractmethod
    def put(self, table: Table[V], key: Key, value: V) -> None:
        """Insert or replace a row. TransactionMisuse in a read transaction."""

    @abstractmethod
    def delete(self, table: Table[Any], key: Key) -> None:
        """Remove a row if it is there. TransactionMisuse in a read transaction."""


class _Ended(Transaction):
    """Stands in for the base of a transaction that has ended."""

    __slots__ = ()

    def _refuse(self, *arguments: object, **named: object) -> Any:
        raise TransactionMisuse("the transaction has ended")

    get = get_many = prefetch = scan = put = delete = _refuse


ENDED: Final[Transaction] = _Ended()


class Store(ABC):
    """An open metadata store. Safe to use from many threads."""

    reads_inline: bool = False
    """Reads take microseconds and never wait on a network: an event loop may run them itself."""

    reads_awaitable: bool = False
    """``submit_read`` comes back at once on the thread of an event loop that is attended to."""

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """What is submitted from now on may run on this loop's thread, which this is called on, if it mostly
        waits for an engine; ``done`` comes on it then. A store need not make use of it.
        """
        return

    @abstractmethod
    def read(self, operation: Callable[[Transaction], T]) -> T:
        """Run on a consistent snapshot, taken between the call and its last look at a row.

        ``operation`` may be run again: after a lost connection, or if what it saw on several shards was not
        there at one moment.
        """

    @abstractmethod
    def write(self, operation: Callable[[Transaction], T]) -> T:
        """Run atomically; returns once the change is durable.

        ``operation`` may be run again after a conflict. An exception from it undoes its writes and is
        raised here. Must not be called from inside an operation.
        """

    @abstractmethod
    def submit(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """As ``write``, without waiting: ``done(result, error)`` is called once, on a store's thread."""

    def submit_read(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """As ``read``; ``done(result, error)`` is called once, perhaps before this returns."""
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = self.read(operation)
        except Exception as error:
            failure = error
        done(result, failure)

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        """Put many rows that are not there yet, durably, for who has the store to himself.

        Drivers do it as fast as they can. It need not be one transaction: what fails may leave some of them.
        """

        def put_all(tx: Transaction) -> None:
            for key, value in rows:
                tx.put(table, key, value)

        self.write(put_all)

    def submit_together(
        self,
        jobs: Sequence[tuple[Callable[[Transaction], Any], Callable[[Any, BaseException | None], None]]],
        wait: bool = True,
    ) -> None:
        """``submit`` of each, by a caller who may be made to do the work.

        ``wait``: with nothing else to do meanwhile; a loop that attends the store can do without.
        So ``done`` may be called on this thread, before this returns. If this raises, none was begun.
        """
        for operation, done in jobs:
            self.submit(operation, done)

    def is_quick(self) -> bool:
        """Whether ``submit_together`` is likely to return within a moment, at present.

        A caller who has others to serve may then do the work of short operations itself.
        """
        return False

    @abstractmethod
    def close(self) -> None:
        """Finish what was submitted, then close. Calls after it raise StoreError."""

    @abstractmethod
    def usage(self) -> tuple[int, int]:
        """Bytes that the store takes on disk, and bytes still free for it."""

    def trips(self) -> int:
        """How often the engine was asked across a connection so far, counted for measurements."""
        return 0

    def count(self, table: Table[Any]) -> int:
        """About how many rows a table has. Drivers that keep such figures answer at once."""
        return self.read(lambda tx: sum(1 for _ in tx.scan(table)))
