"""Rows of the store as Arrow batches, of the columns that are wanted only.

A source is a table of the store; ``entry`` is the one that is more: the entries of all directories that are
not hidden, with the attributes that are kept elsewhere (of hard links, of directories) put in.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import msgspec
import pyarrow as pa

from oastfs.core.types import FilesystemInfo, Flag
from oastfs.store import schema
from oastfs.store.table import Column, Table
from oastfs.store.transaction import Transaction

BATCH_ROWS: Final = 32_768
_PART_ROWS: Final = 4096
"""Rows whose attributes are fetched at once."""

_TYPES: Final[dict[Any, Any]] = {int: pa.int64(), str: pa.string(), bytes: pa.binary(), bool: pa.bool_()}
_TABLES: Final[dict[str, Table[Any]]] = {
    table.name: table
    for table in (
        schema.BLOCK, schema.REPLICA, schema.STORAGE, schema.DATANODE, schema.OPEN_FILE, schema.XATTR,
        schema.QUOTA,
    )
}  # fmt: skip
_HIDDEN: Final = frozenset({schema.RECLAIM_ID, schema.ORPHANS_ID})
_TIMES: Final = frozenset({"mtime_ns", "ctime_ns", "nlink"})
"""What a directory's row knows better than its entry."""
_KIND: Final = 0o170000
_LINKED: Final = int(Flag.LINKED)
"""A plain number: an operation on a flag takes longer than all else that is done with a row."""
_OF_THE_ENTRY: Final = frozenset({"id", "parent_id", "name"})

SOURCES: Final = ("entry", *_TABLES)


def fields(source: str) -> dict[str, Any]:
    """Names and Arrow types of all columns of a source."""
    table = schema.INODE if source == "entry" else _TABLES[source]
    found = {name: pa.int64() if column is Column.ID else pa.string() for name, column in table.key}
    for one in msgspec.structs.fields(table.value):
        if one.type in _TYPES:
            found[one.name] = _TYPES[one.type]
    return found


def batches(tx: Transaction, source: str, wanted: set[str], info: FilesystemInfo) -> Iterator[Any]:
    """The wanted columns of all rows, as Arrow tables."""
    types = {name: kind for name, kind in fields(source).items() if name in wanted}
    names = list(types)
    parts = _entries(tx, names, info) if source == "entry" else _plain(tx, _TABLES[source], names)
    arrow = pa.schema(list(types.items()))
    gathered: list[Any] = []
    for columns in parts:
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types.values(), strict=True)]
        gathered.append(pa.RecordBatch.from_arrays(arrays, schema=arrow))
        if sum(one.num_rows for one in gathered) >= BATCH_ROWS:
            yield pa.Table.from_batches(gathered, arrow)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered, arrow)


def something_is_being_reclaimed(tx: Transaction) -> bool:
    """Whether there are entries that no path leads to, besides those directly in hidden directories."""
    return any(True for _ in tx.scan(schema.INODE, (schema.RECLAIM_ID,), limit=1))


def _plain(tx: Transaction, table: Table[Any], names: list[str]) -> Iterator[list[list[Any]]]:
    places = {name: place for place, (name, _) in enumerate(table.key)}
    rows = tx.scan(table)
    while part := list(islice(rows, _PART_ROWS)):
        yield [
            [key[places[name]] for key, _ in part]
            if name in places
            else [getattr(value, name) for _, value in part]
            for name in names
        ]


def _entries(tx: Transaction, names: list[str], info: FilesystemInfo) -> Iterator[list[list[Any]]]:
    rows = tx.scan(schema.INODE)
    attributes = set(names) - _OF_THE_ENTRY - {"mode"}
    while found := list(islice(rows, _PART_ROWS)):
        if int(found[0][0][0]) <= schema.ORPHANS_ID:
            found = [row for row in found if row[0][0] not in _HIDDEN]
        keys = [key for key, _ in found]
        values = [value for _, value in found]
        if attributes:
            _put_linked(tx, values)
        if attributes & _TIMES:
            _put_times(tx, values)
        columns: list[list[Any]] = []
        for name in names:
            if name == "parent_id":
                columns.append([key[0] for key in keys])
            elif name == "name":
                columns.append([key[1] for key in keys])
            else:
                columns.append(list(map(attrgetter(name), values)))
        for name, default in (("replication", info.replication), ("block_size", info.block_size)):
            if name in attributes:
                at = names.index(name)
                columns[at] = [
                    (number or default) if value.mode & _KIND == stat.S_IFREG else None
                    for number, value in zip(columns[at], values, strict=True)
                ]
        yield columns


def _put_linked(tx: Transaction, values: list[schema.Inode]) -> None:
    """The attributes of files with several names."""
    places = [at for at, value in enumerate(values) if value.flags & _LINKED]
    if places:
        found = tx.get_many(schema.LINKED_INODE, [(values[at].id,) for at in places])
        for at, value in zip(places, found, strict=True):
            if value is not None:
                values[at] = value


def _put_times(tx: Transaction, values: list[schema.Inode]) -> None:
    """What changes as entries come and go."""
    places = [at for at, value in enumerate(values) if value.mode & _KIND == stat.S_IFDIR]
    if places:
        rows = tx.get_many(schema.DIRECTORY, [(values[at].id,) for at in places])
        for at, row in zip(places, rows, strict=True):
            if row is not None:
                value = values[at]
                values[at] = msgspec.structs.replace(
                    value,
                    mtime_ns=row.mtime_ns,
                    ctime_ns=max(value.ctime_ns, row.ctime_ns),
                    nlink=2 + row.subdirectories,
                )
