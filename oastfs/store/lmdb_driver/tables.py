"""The tables of one open environment: its database handles with the codecs compiled for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oastfs.core.errors import TransactionMisuse
from oastfs.store.keys import Columns, index_columns, positions
from oastfs.store.lmdb_driver.codec import key_decoder, key_encoder, value_codec
from oastfs.store.lmdb_driver.directory import Unprepared
from oastfs.store.table import Index, Key, Table


class OpenIndex:
    """The named database of an index; its keys are the table's, permuted, and its values are empty."""

    __slots__ = ("columns", "database", "decode_table_key", "encode_table_key", "name")

    def __init__(self, table: Table[Any], index: Index, database: Any) -> None:
        self.name = index.name
        self.database = database
        self.columns: Columns = index_columns(table, index)
        forth, back = positions(table.key, self.columns), positions(self.columns, table.key)
        encode, decode = key_encoder(self.columns), key_decoder(self.columns)
        self.encode_table_key: Callable[[Key], bytes] = lambda key: encode([key[at] for at in forth])
        self.decode_table_key: Callable[[bytes], Key] = lambda raw: _permute(decode(raw), back)


class OpenTable:
    """The named database of a table, with its codecs and indexes."""

    __slots__ = (
        "columns", "database", "decode_key", "decode_value", "encode_key", "encode_value", "indexes", "name",
        "table",
    )  # fmt: skip

    def __init__(self, table: Table[Any], database: Any, indexes: Sequence[Any]) -> None:
        self.table = table
        self.name = table.name
        self.database = database
        self.columns: Columns = table.key
        self.encode_key = key_encoder(table.key)
        self.decode_key = key_decoder(table.key)
        self.encode_value, self.decode_value = value_codec(table.value)
        self.indexes = {
            index: OpenIndex(table, index, handle)
            for index, handle in zip(table.indexes, indexes, strict=True)
        }


OpenTables = dict[Table[Any], OpenTable]


def opened_table(tables: OpenTables, table: Table[Any]) -> OpenTable:
    """The table as it is open. Raises TransactionMisuse for what is none."""
    opened = tables.get(table)
    if opened is None:
        raise TransactionMisuse(f"the store has no table {getattr(table, 'name', table)!r}")
    return opened


def open_tables(environment: Any, tables: Sequence[Table[Any]]) -> OpenTables:
    """Handles of all tables and indexes. Raises Unprepared if one is missing.

    It is a write transaction although nothing is written: LMDB forgets handles that a read transaction
    opened.
    """
    names = [name.encode() for table in tables for name in (table.name, *(one.name for one in table.indexes))]
    with environment.begin() as txn:
        missing = [name for name in names if txn.get(name) is None]
    if missing:
        raise Unprepared(f"there is no table {missing[0].decode()}")
    return make_tables(environment, tables)


def make_tables(environment: Any, tables: Sequence[Table[Any]]) -> OpenTables:
    """Handles of all tables and indexes; those that are missing are made."""
    with environment.begin(write=True) as txn:
        return _open(lambda name: environment.open_db(name, txn=txn), tables)


def _open(handle: Callable[[bytes], Any], tables: Sequence[Table[Any]]) -> OpenTables:
    return {
        table: OpenTable(
            table, handle(table.name.encode()), [handle(index.name.encode()) for index in table.indexes]
        )
        for table in tables
    }


def _permute(key: Key, order: tuple[int, ...]) -> Key:
    return tuple(key[at] for at in order)
