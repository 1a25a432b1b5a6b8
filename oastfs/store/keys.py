"""Checks of keys, the same for every driver: what a caller may pass as a key, a prefix or an ``after``.

Knows declarations only, no engine.
"""

from __future__ import annotations

from typing import Any, Final

from oastfs.core.errors import TransactionMisuse
from oastfs.store.table import Column, Index, Key, Table, shape_of

ID_MAX = (1 << 63) - 1
TEXT_BYTES_MAX = 255

Columns = tuple[tuple[str, Column], ...]

_ID: Final = shape_of((Column.ID,))
_TEXT: Final = shape_of((Column.TEXT,))
_ID_TEXT: Final = shape_of((Column.ID, Column.TEXT))


def check_key(table: Table[Any], key: Key) -> None:
    """Raise TransactionMisuse unless ``key`` holds a value of the right type for every key column."""
    # Each change checks a dozen keys: those that all changes have are looked at here, without a loop.
    if type(key) is tuple and len(key) == len(shape := table.shape):
        first = key[0]
        if shape is _ID:
            if type(first) is int and 0 <= first <= ID_MAX:
                return
        elif shape is _ID_TEXT:
            if type(first) is int and 0 <= first <= ID_MAX and _is_plain(key[1]):
                return
        elif shape is _TEXT and _is_plain(first):
            return
    _check_whole(table, key)


def _is_plain(text: object) -> bool:
    """Whether it is a text as most are: short, ASCII and clean, each of which is one call to find out."""
    return type(text) is str and text.isascii() and len(text) <= TEXT_BYTES_MAX and "\0" not in text


def _check_whole(table: Table[Any], key: Key) -> None:
    if type(key) is not tuple or len(key) != len(table.key):
        names = ", ".join(name for name, _ in table.key)
        raise TransactionMisuse(f"a key of table {table.name} is a tuple ({names}), not {key!r}")
    _check_values(table, table.key, key)


def check_prefix(table: Table[Any], columns: Columns, prefix: Key, after: Key | None) -> None:
    """Raise TransactionMisuse unless ``prefix`` and ``after`` hold values of the first of ``columns``."""
    if after is None and type(prefix) is tuple and len(prefix) == 1 and columns[0][1] is Column.ID:
        first = prefix[0]
        if type(first) is int and 0 <= first <= ID_MAX:
            return  # as most scans: of one inode
    together = prefix if after is None else prefix + after
    if type(together) is not tuple or len(together) > len(columns):
        names = ", ".join(name for name, _ in columns)
        raise TransactionMisuse(f"prefix and after in table {table.name} begin ({names}): not {together!r}")
    _check_values(table, columns, together)


def index_columns(table: Table[Any], index: Index) -> Columns:
    """The key columns of ``table`` in the order of its ``index``."""
    if index not in table.indexes:
        raise TransactionMisuse(f"table {table.name} has no index {index.name}")
    types = dict(table.key)
    return tuple((name, types[name]) for name in index.columns)


def positions(source: Columns, target: Columns) -> tuple[int, ...]:
    """Where each column of ``target`` is in ``source``: how a key is permuted from one to the other."""
    names = [name for name, _ in source]
    return tuple(names.index(name) for name, _ in target)


def _check_values(table: Table[Any], columns: Columns, values: Key) -> None:
    for (name, column), value in zip(columns, values, strict=False):
        if column is Column.TEXT:
            if not _is_plain(value) and not _is_text(value):
                wanted = f"a text without NUL of at most {TEXT_BYTES_MAX} bytes"
                raise TransactionMisuse(f"{table.name}.{name} is {wanted}, not {value!r}")
        elif not isinstance(value, int) or not 0 <= value <= ID_MAX:
            raise TransactionMisuse(f"{table.name}.{name} is an integer below 2**63, not {value!r}")


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return len(value.encode()) <= TEXT_BYTES_MAX
    except UnicodeEncodeError:
        return False
