"""From the declared tables to SQL tables: columns, keys, indexes, and values to and from columns.

Every key column and every field of a value is a column of its own, so that people can query what is there.
All is in the database's schema ``oastfs``. Texts of keys compare by bytes (``COLLATE "C"``), as everywhere.

An engine that shards by itself wants the partition as a column of every primary key. Plain PostgreSQL has no
use for it, and it would cost each row and each index entry 8 bytes: so a database is laid out with or without
it when it is made (``partitioned``), and the rest of the driver follows what is there.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from oastfs.store.schema import TABLES
from oastfs.store.table import Column, Key, Table

SCHEMA: Final = "oastfs"
PARTITION: Final = "partition"
_quote: Final = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]

_KEY_TYPES: Final[dict[Column, sa.types.TypeEngine[Any]]] = {
    Column.ID: sa.BigInteger(),
    Column.TEXT: sa.Text(collation="C"),
}
_FIELD_TYPES: Final[dict[Any, sa.types.TypeEngine[Any]]] = {
    int: sa.BigInteger(),
    bool: sa.Boolean(),
    str: sa.Text(),
    bytes: sa.LargeBinary(),
    tuple[int, ...]: postgresql.ARRAY(sa.BigInteger()),
}
_BIG_FIELDS: Final = frozenset({"data", "response", "staged", "value"})
"""Fields of bytes that make a row large: such rows are fetched a few at a time."""


class Layout:
    """One table as PostgreSQL has it. ``select_key`` and ``select_values`` are lists of quoted columns."""

    def __init__(self, table: Table[Any], partitioned: bool) -> None:
        self.table = table
        self.name = f"{SCHEMA}.{_quote(table.name)}"
        self.partitioned = partitioned
        fields = msgspec.structs.fields(table.value)
        # A field may be called as a key column is.
        taken = {name for name, _ in table.key}
        self.values = [f"{one.name}_value" if one.name in taken else one.name for one in fields]
        self.key = [name for name, _ in table.key] + ([PARTITION] if partitioned else [])
        self.key_types = ["bigint" if column is Column.ID else "text" for _, column in table.key]
        self.key_types += ["smallint"] if partitioned else []
        self.quoted_key = [_quote(name) for name in self.key]
        self.quoted_values = [_quote(name) for name in self.values]
        self.value_types = [_type_name(one.type) for one in fields]
        self.encode = _encoder([one.name for one in fields], [one.type for one in fields])
        self.decode = _decoder(table.value, [one.type for one in fields])
        self.is_wide = any(one.type is bytes and one.name in _BIG_FIELDS for one in fields)

    def key_arguments(self, key: Key) -> tuple[Any, ...]:
        """The key as arguments of a statement."""
        return (*key, self.table.partition(key)) if self.partitioned else key


def layouts(partitioned: bool, tables: tuple[Table[Any], ...] = TABLES) -> dict[Table[Any], Layout]:
    """Every table's layout."""
    return {table: Layout(table, partitioned) for table in tables}


def define(metadata: sa.MetaData, layout: Layout) -> sa.Table:
    """The table for SQLAlchemy, which writes its DDL."""
    table = layout.table
    columns: list[Any] = [
        sa.Column(name, _KEY_TYPES[column], primary_key=True, autoincrement=False)
        for name, column in table.key
    ]
    if layout.partitioned:
        # First in the primary key, so that what is looked for within one partition is a range of it.
        columns.insert(0, sa.Column(PARTITION, sa.SmallInteger(), primary_key=True, autoincrement=False))
    columns += [value_column(layout, name) for name in layout.values]
    indexes = [sa.Index(index.name, *index.columns) for index in table.indexes]
    return sa.Table(table.name, metadata, *columns, *indexes, schema=SCHEMA)


def value_column(layout: Layout, name: str) -> sa.Column[Any]:
    """The column of a value's field. Those that may be missing in old rows have a default."""
    one = msgspec.structs.fields(layout.table.value)[layout.values.index(name)]
    kind, optional = _without_none(one.type)
    default: Any = None
    if not one.required and one.default is not None:
        literal = one.default if one.default is not msgspec.NODEFAULT else one.default_factory()
        default = sa.text(_literal(kind, literal))
    return sa.Column(name, _field_type(kind), nullable=optional, server_default=default)


def _literal(kind: Any, value: Any) -> str:
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(int(value))
    if kind is str and "'" not in value and "\\" not in value:
        return f"'{value}'"
    if value == () and kind == tuple[int, ...]:
        return "'{}'"
    if value == ():
        return "'[]'"
    raise TypeError(f"no default of a column: {value!r}")


def _without_none(kind: Any) -> tuple[Any, bool]:
    if isinstance(kind, types.UnionType):
        (inner,) = (one for one in typing.get_args(kind) if one is not types.NoneType)
        return inner, True
    return kind, False


def _field_type(kind: Any) -> sa.types.TypeEngine[Any]:
    return _FIELD_TYPES.get(kind) or postgresql.JSONB()


def _type_name(kind: Any) -> str:
    """The PostgreSQL name of a field's type, for the parameters of prepared statements."""
    return _field_type(_without_none(kind)[0]).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]


def _encoder(names: list[str], kinds: list[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """From a value to arguments of a statement."""
    if not names:
        return lambda value: ()
    pick: Callable[[Any], Any] = attrgetter(*names)
    if len(names) == 1:
        return lambda value: (pick(value),)
    lists = [at for at, kind in enumerate(kinds) if kind == tuple[int, ...]]
    texts = [at for at, kind in enumerate(kinds) if isinstance(_field_type(_without_none(kind)[0]), sa.JSON)]
    if not lists and not texts:
        return pick

    def encode(value: Any) -> tuple[Any, ...]:
        arguments = list(pick(value))
        for at in lists:
            arguments[at] = list(arguments[at])
        for at in texts:
            arguments[at] = json.dumps(arguments[at])
        return tuple(arguments)

    return encode


def _decoder(kind: type[Any], kinds: list[Any]) -> Callable[[tuple[Any, ...]], Any]:
    """From the columns of a row to a value."""
    if all(_without_none(one)[0] in (int, bool, str, bytes) for one in kinds):
        return lambda columns: kind(*columns)
    convert = [at for at, one in enumerate(kinds) if _without_none(one)[0] not in (int, bool, str, bytes)]

    def decode(columns: tuple[Any, ...]) -> Any:
        values = list(columns)
        for at in convert:
            values[at] = msgspec.convert(values[at], kinds[at])
        return kind(*values)

    return decode
