"""Reading tables in an LMDB transaction.

The hot path of the whole filesystem is ``get``: every statement in it is there for a reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import lmdb
import msgspec

from oastfs.core.errors import OastError, StoreError, TransactionMisuse
from oastfs.store.keys import check_key, check_prefix
from oastfs.store.lmdb_driver.codec import after_prefix, encode_prefix
from oastfs.store.lmdb_driver.tables import OpenTable, OpenTables, opened_table
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import EncodedRows, Transaction

try:
    from oastfs.store.lmdb_driver import _rows as compiled
except ImportError:  # there was no C compiler
    compiled = None  # type: ignore[assignment]


class PythonReader(Transaction):
    """Reads rows in an LMDB transaction."""

    __slots__ = ("_get", "_tables", "_txn", "memo")

    def __init__(self, tables: OpenTables, txn: Any, memo: dict[Any, Any] | None = None) -> None:
        self._tables = tables
        self._txn = txn
        self._get = txn.get
        self.memo = {} if memo is None else memo

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        try:
            opened = self._tables[table]
            raw = self._get(opened.encode_key(key), None, opened.database)
            if raw is not None:
                return opened.decode_value(raw)  # type: ignore[no-any-return]
        except Exception as error:
            raise _explain(error, table, key) from error
        # What is not a proper key is never found, so checking can wait until here.
        check_key(table, key)
        return None


if TYPE_CHECKING:
    Reader = PythonReader
else:
    Reader = PythonReader if compiled is None else compiled.Reader


class ReadTransaction(Reader, Transaction):
    """One snapshot. Around a write transaction it also serves as base of the staged ones."""

    __slots__ = ()

    get_in_python = PythonReader.get
    """What ``get`` calls where anything is wrong, if it is compiled."""

    def end(self) -> None:
        """Release the snapshot. Every later call raises TransactionMisuse."""
        txn = self._txn
        self.forget()
        txn.abort()

    def forget(self) -> None:
        """Let go of the LMDB transaction, which is somebody else's to end."""
        self._txn, self._get = None, _ended

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        get = self.get
        return [get(table, key) for key in keys]

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        if self._txn is None:
            raise TransactionMisuse("the transaction has ended")
        opened = opened_table(self._tables, table)
        through = None if index is None else opened.indexes.get(index)
        if index is not None and through is None:
            raise TransactionMisuse(f"table {table.name} has no index {index.name}")
        columns = opened.columns if through is None else through.columns
        check_prefix(table, columns, prefix, after)
        low = encode_prefix(columns, prefix)
        high = low + b"\0" if len(prefix) == len(columns) else after_prefix(low)
        if after:
            edge = encode_prefix(columns, prefix + after)
            if reverse:
                high = edge
            else:
                low = edge + b"\0" if len(prefix) + len(after) == len(columns) else after_prefix(edge)
        cursor = self._txn.cursor(opened.database if through is None else through.database)
        raws = _backward(cursor, low, high) if reverse else _forward(cursor, low, high)
        if through is None:
            rows = _rows(opened, raws)
        else:
            rows = _indexed_rows(opened, self._get, through.decode_table_key, raws)
        return rows if limit is None else islice(rows, max(limit, 0))

    def scan_encoded(
        self, table: Table[V], prefix: Key, after: Key | None = None, *, limit: int
    ) -> EncodedRows[V]:
        if self._txn is None:
            raise TransactionMisuse("the transaction has ended")
        opened = opened_table(self._tables, table)
        columns = opened.columns
        check_prefix(table, columns, prefix, after)
        low = encode_prefix(columns, prefix)
        high = low + b"\0" if len(prefix) == len(columns) else after_prefix(low)
        if after:
            edge = encode_prefix(columns, prefix + after)
            low = edge + b"\0" if len(prefix) + len(after) == len(columns) else after_prefix(edge)
        try:
            rows = _take(self._txn.cursor(opened.database), low, high, limit)
        except lmdb.Error as error:
            raise _explain(error, table) from error

        def decode(raw_key: bytes, raw_value: bytes) -> tuple[Key, V]:
            return next(_rows(opened, iter([(raw_key, raw_value)])))

        return EncodedRows(rows, decode)

    def put(self, table: Table[V], key: Key, value: V) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def delete(self, table: Table[Any], key: Key) -> None:
        raise TransactionMisuse("a read transaction cannot write")

    def count(self, table: Table[Any]) -> int:
        """How many rows the table has."""
        return int(self._txn.stat(opened_table(self._tables, table).database)["entries"])


# --- scanning -------------------------------------------------------------------------------------


def _forward(cursor: Any, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Raw rows from ``low`` on, below ``high``."""
    if cursor.set_range(low) if low else cursor.first():
        for row in cursor.iternext():
            if row[0] >= high:
                return
            yield row


_BATCH_ROWS = 16
_key_of = itemgetter(0)


def _take(cursor: Any, low: bytes, high: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """At most ``limit`` raw rows from ``low`` on, below ``high``.

    They are read in batches, of which only the last key is compared: looking at each costs as much again as
    reading it. Batches grow, so that no more than four times what is wanted is read.
    """
    rows: list[tuple[bytes, bytes]] = []
    if not (cursor.set_range(low) if low else cursor.first()):
        return rows
    pairs, size = cursor.iternext(), min(_BATCH_ROWS, limit)
    while size > 0:
        batch = list(islice(pairs, size))
        if not batch or batch[-1][0] >= high:
            rows += batch[: bisect_left(batch, high, key=_key_of)]
            break
        rows += batch
        size = min(3 * len(rows), limit - len(rows))
    return rows


def _backward(cursor: Any, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Raw rows below ``high``, down to ``low``."""
    if cursor.prev() if cursor.set_range(high) else cursor.last():
        for row in cursor.iterprev():
            if row[0] < low:
                return
            yield row


def _rows(opened: OpenTable, raws: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[Key, Any]]:
    decode_key, decode_value = opened.decode_key, opened.decode_value
    try:
        for raw_key, raw_value in raws:
            yield decode_key(raw_key), decode_value(raw_value)
    except Exception as error:
        raise _explain(error, opened.table) from error


def _indexed_rows(
    opened: OpenTable, get: Any, decode_table_key: Any, raws: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[Key, Any]]:
    encode_key, decode_value, database = opened.encode_key, opened.decode_value, opened.database
    try:
        for entry, _ in raws:
            key = decode_table_key(entry)
            raw = get(encode_key(key), None, database)
            if raw is None:
                raise StoreError(f"an index of table {opened.table.name} has no row for {key!r}: run fsck")
            yield key, decode_value(raw)
    except Exception as error:
        raise _explain(error, opened.table) from error


# --- what went wrong ------------------------------------------------------------------------------


def _ended(*arguments: object) -> Any:
    raise TransactionMisuse("the transaction has ended")


def _explain(error: Exception, table: Table[Any], key: Key | None = None) -> Exception:
    """The error that a caller gets for what went wrong underneath."""
    if isinstance(error, OastError):
        return error
    if not isinstance(table, Table):
        return TransactionMisuse(f"not a table: {table!r}")
    try:
        if key is not None:
            check_key(table, key)
    except TransactionMisuse as misuse:
        return misuse
    if isinstance(error, KeyError):
        return TransactionMisuse(f"the store has no table {table.name}")
    if isinstance(error, msgspec.DecodeError):
        return StoreError(f"a row of table {table.name} cannot be decoded ({error}): run fsck")
    if type(error) is lmdb.Error and not getattr(error, "code", 0):
        return TransactionMisuse("the transaction has ended")  # LMDB's word for handles that were closed.
    if isinstance(error, lmdb.Error):
        return StoreError(f"reading table {table.name} failed: {error}")
    return error
