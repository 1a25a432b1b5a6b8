"""Staged writes as bytes: for the log, and for an LMDB transaction.

If there was a C compiler when OastFS was installed, ``_rows`` does what the functions here do that end in
``in_python``; where it cannot, they say why.
"""

from __future__ import annotations

from typing import Any

from oastfs.core.errors import TransactionMisuse
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.tables import OpenTables, opened_table
from oastfs.store.staged import Writes

try:
    from oastfs.store.lmdb_driver import _rows as compiled
except ImportError:  # there was no C compiler
    compiled = None  # type: ignore[assignment]

Change = tuple[str, Any, bytes, bytes | None]
"""One row of a table or an index to put (or, without a value, to remove), encoded: the database by name and
by handle, key, value."""


def encode_writes(tables: OpenTables, writes: Writes) -> list[Change]:
    """The rows of a stage, and of indexes, as bytes. Raises TransactionMisuse if one cannot be stored."""
    if compiled is not None:
        try:
            return compiled.encode_writes(tables, writes)
        except Exception:
            pass  # Python says what is wrong
    return encode_writes_in_python(tables, writes)


def encode_writes_in_python(tables: OpenTables, writes: Writes) -> list[Change]:
    """``encode_writes`` without a C compiler, and where anything is wrong."""
    changes: list[Change] = []
    for table, rows in writes.items():
        opened = opened_table(tables, table)
        name, database, encode_value = opened.name, opened.database, opened.encode_value
        try:
            for key, value in rows.items():
                raw_value = None if value is None else encode_value(value)
                changes.append((name, database, opened.encode_key(key), raw_value))
                for index in opened.indexes.values():
                    entry = None if value is None else b""
                    changes.append((index.name, index.database, index.encode_table_key(key), entry))
        except Exception as error:
            raise TransactionMisuse(f"a row of table {table.name} cannot be stored: {error}") from error
    return changes


def apply_changes_in_python(txn: Any, changes: list[Change]) -> None:
    """Put encoded rows into a write transaction."""
    for _, database, key, value in changes:
        if value is None:
            txn.delete(key, b"", database)
        else:
            txn.put(key, value, True, True, False, database)


def put_logged(txn: Any, tables: OpenTables, rows: Changes) -> None:
    """Put rows that have been logged into a write transaction."""
    databases: dict[str, Any] = {}
    for opened in tables.values():
        databases[opened.name] = opened.database
        databases.update((index.name, index.database) for index in opened.indexes.values())
    for name, changed in rows.items():
        database = databases[name]
        apply_changes_in_python(txn, [(name, database, key, value) for key, value in changed.items()])


def note_changes_in_python(changes: list[Change], logged: Changes) -> None:
    """Add encoded rows to those that a group logs: of several values of a row the last counts."""
    for name, _, key, value in changes:
        logged.setdefault(name, {})[key] = value


if compiled is None:
    apply_changes, note_changes = apply_changes_in_python, note_changes_in_python
else:
    apply_changes, note_changes = compiled.apply_changes, compiled.note_changes
