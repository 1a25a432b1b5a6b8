"""Rows of a table as bytes that are the same for every store, and what is counted and summed up of them.

A row is the MessagePack array ``[[key columns], [fields of the value]]``. A chunk is an array of rows. The
digest of a table is the SHA-256 of its rows in key order, one behind the other, however they were cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from oastfs.core.errors import StoreError
from oastfs.store.schema import CLAIM, FILE_LOCK, IMPORT_UNFINISHED, NAMENODE, SETTING, TABLES
from oastfs.store.table import Column, Key, Table
from oastfs.store.transaction import Store, Transaction

T = TypeVar("T")

CHUNK_ROWS_MAX: Final = 8192
CHUNK_BYTES_MAX: Final = 4 << 20
"""Of bytes fields; a chunk may be larger by one row."""

LEFT_OUT: Final = frozenset({NAMENODE, CLAIM, FILE_LOCK})
"""Where namenodes are reached and what they do just now: each enters itself when it starts. And what mounts
have locked: those are mounts of the store that is exported."""
EXPORTED: Final = tuple(table for table in TABLES if table not in LEFT_OUT)

Rows = list[tuple[Key, Any]]
_encode: Final = msgspec.msgpack.Encoder().encode


class Tally(msgspec.Struct, frozen=True):
    """How many rows a table has, and their digest."""

    rows: int
    sha256: str


class Counting:
    """Adds up the tally of one table, chunk by chunk."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, chunk: bytes | memoryview, rows: int) -> None:
        """One more chunk, of so many rows."""
        self.rows += rows
        header = 1 if rows < 16 else 3 if rows < 65_536 else 5
        self._digest.update(memoryview(chunk)[header:])

    def tally(self) -> Tally:
        """What it comes to."""
        return Tally(self.rows, self._digest.hexdigest())


def encode_rows(rows: Rows) -> bytes:
    """A chunk."""
    return _encode(rows)


def decoder(table: Table[Any]) -> Callable[[bytes], Rows]:
    """From a chunk to rows. It raises msgspec.DecodeError for what is none."""
    columns = [int if column is Column.ID else str for _, column in table.key]
    kind: Any = list[tuple[tuple[*columns], table.value]]  # type: ignore[valid-type,name-defined]
    return msgspec.msgpack.Decoder(kind).decode


def chunks(tx: Transaction, table: Table[Any]) -> Iterator[Rows]:
    """The rows of a table in key order, so many at a time that they fit well in memory."""
    weigh = _weigher(table)
    chunk: Rows = []
    size_bytes = 0
    for row in tx.scan(table):
        if table is SETTING and row[0] == IMPORT_UNFINISHED:
            continue
        chunk.append(row)
        if weigh is not None:
            size_bytes += weigh(row[1])
        if len(chunk) >= CHUNK_ROWS_MAX or size_bytes >= CHUNK_BYTES_MAX:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


def _weigher(table: Table[Any]) -> Callable[[Any], int] | None:
    """Tells how large a value is, for tables whose values may be large."""
    fields = msgspec.structs.fields(table.value)
    names = [field.name for field in fields if field.type in (bytes, bytes | None)]
    if not names:
        return None
    return lambda value: sum(len(getattr(value, name) or b"") for name in names)


def summarize(tx: Transaction, tables: Sequence[Table[Any]] = EXPORTED) -> dict[str, Tally]:
    """Rows and digest of each table."""
    found: dict[str, Tally] = {}
    for table in tables:
        counting = Counting()
        for chunk in chunks(tx, table):
            counting.add(encode_rows(chunk), len(chunk))
        found[table.name] = counting.tally()
    return found


def read_once(store: Store, operation: Callable[[Transaction], T]) -> T:
    """``store.read`` for what cannot be done again: an operation that has told others what it read.

    Raises StoreError if the store asks for another run after rows may have been read.
    """
    begun = False

    def once(tx: Transaction) -> T:
        nonlocal begun
        if begun:
            raise StoreError("the snapshot was lost on the way: begin again")
        begun = True
        return operation(tx)

    return store.read(once)
