"""Rows from and to LMDB's bytes (C; ``codec.py``, ``changes.py`` and ``transaction.py`` do it in Python)."""

from typing import Any

from oastfs.store.lmdb_driver.changes import Change
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.tables import OpenTables
from oastfs.store.lmdb_driver.transaction import PythonReader
from oastfs.store.staged import Writes
from oastfs.store.table import Column

Reader = PythonReader

class KeyEncoder:
    """The bytes of whole keys, whose columns have the types of a shape: at most 8."""

    def __init__(self, shape: tuple[Column, ...]) -> None: ...
    def __call__(self, key: Any, /) -> bytes: ...

def encode_writes(tables: OpenTables, writes: Writes, /) -> list[Change]: ...
def apply_changes(txn: Any, changes: list[Change], /) -> None: ...
def note_changes(changes: list[Change], logged: Changes, /) -> None: ...
