"""Indexes: that they hold the same rows as their tables.

An index entry is made of the row's key alone, so equal numbers, with every entry leading to a row, mean
equal sets.
"""

from __future__ import annotations

from oastfs.core.errors import StoreError
from oastfs.namenode.context import Context
from oastfs.namenode.fsck.report import Check, Repair
from oastfs.store.schema import TABLES
from oastfs.store.table import Index, Key, Table
from oastfs.store.transaction import Transaction


def check_indexes(check: Check) -> None:
    """Every index of every table."""
    for table in TABLES:
        for index in table.indexes:
            _check_index(check, table, index)


def _check_index(check: Check, table: Table, index: Index) -> None:  # type: ignore[type-arg]
    try:
        entries = sum(1 for _ in check.tx.scan(table, index=index))
    except StoreError as error:
        check.problem("index", f"index {index.name}", error.message)
        return
    rows = sum(1 for _ in check.tx.scan(table))
    check.report.checked[index.name] += entries
    if entries == rows:
        return
    for key, _ in check.tx.scan(table):
        if not _is_indexed(check.tx, table, index, key):
            text = f"it does not hold row {key} of table {table.name}"
            check.problem("index", f"index {index.name}", text, _write_again(table, key))


def _is_indexed(tx: Transaction, table: Table, index: Index, key: Key) -> bool:  # type: ignore[type-arg]
    names = [name for name, _ in table.key]
    prefix = tuple(key[names.index(column)] for column in index.columns)
    return any(True for _ in tx.scan(table, prefix, limit=1, index=index))


def _write_again(table: Table, key: Key) -> Repair:  # type: ignore[type-arg]
    """Putting a row puts its index entries."""

    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(table, key)
        if row is not None:
            tx.put(table, key, row)

    return mend_it
