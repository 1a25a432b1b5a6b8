"""Making a database's tables, telling ours from others, and bringing an older one up to date.

``oastfs.schema_version`` has one row for each version that was applied, the newest is what the database is.
A migration may only add: tables, columns with a default, indexes. So processes of the version before go on
with a database that a newer one has migrated, and nothing has to be stopped for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from oastfs.core.errors import WrongStore
from oastfs.store.schema import SCHEMA_VERSION, TABLES
from oastfs.store.sql_driver.citus import objects, tables
from oastfs.store.sql_driver.layout import SCHEMA, Layout, _quote, define, value_column
from oastfs.store.table import Table

_LOCK: Final = 0x0A57F5
"""Number of the advisory lock under which one process makes or migrates the tables."""
_VERSIONS: Final = f"{SCHEMA}.schema_version"


@dataclass(frozen=True)
class AddTable:
    """A table of the declaration that older databases lack, with its indexes."""

    table: str


@dataclass(frozen=True)
class AddField:
    """A field of a value that older databases lack. It has a default, as the declaration demands."""

    table: str
    field: str


@dataclass(frozen=True)
class AddIndex:
    """An index that older databases lack."""

    table: str
    index: str


Step = AddTable | AddField | AddIndex

MIGRATIONS: Final[Mapping[int, tuple[Step, ...]]] = {
    2: (AddTable("claim"),),
    3: (AddField("namenode", "control_port"),),
    4: (AddTable("file_lock"),),
}
"""What each version above 1 added, by its number. A new database is made at the newest version at once."""


@dataclass(frozen=True)
class Declared:
    """What this program knows; tests pass others."""

    version: int = SCHEMA_VERSION
    tables: tuple[Table[Any], ...] = TABLES
    migrations: Mapping[int, tuple[Step, ...]] | None = None


def prepare(
    connection: Any,
    *,
    create: bool,
    partitioned: bool,
    declared: Declared,
    database: str,
    made: Callable[[Any], None] | None = None,
    found: Callable[[Any], None] | None = None,
) -> bool:
    """Have the database ready for this program, in a transaction; whether it is partitioned.

    ``made`` adds to a new store what makes it a shard, ``found`` checks that one is the shard that it is
    taken for. Raises WrongStore for a database that is not ours, has no store (without ``create``) or a
    newer one.
    """
    store = _find(connection, declared, database)
    if store is None and not create:
        raise WrongStore("there is no store in the database: make one first (create)", path=database)
    if store is not None and store.version == declared.version:
        _require_kind(connection, store, found, database)
        return store.partitioned
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    store = _find(connection, declared, database)  # somebody else may have been at it
    if store is None:
        partitioned = partitioned or tables.is_there(connection)
        _make(connection, declared, partitioned)
        if made is not None:
            made(connection)
        return partitioned
    _require_kind(connection, store, found, database)
    for version in range(store.version + 1, declared.version + 1):
        migrations = MIGRATIONS if declared.migrations is None else declared.migrations
        for step in migrations.get(version, ()):
            _carry_out(connection, step, declared, store.partitioned)
        _note(connection, version, store.partitioned)
    return store.partitioned


def _require_kind(connection: Any, store: _Found, found: Callable[[Any], None] | None, database: str) -> None:
    """A shard alone is not a store, and a store is not a shard."""
    if store.is_shard and found is None:
        raise WrongStore(
            "the database is one shard of a store: give the URLs of all its shards, in their order",
            path=database,
        )
    if found is not None:
        if not store.is_shard:
            raise WrongStore("the database has a store of its own, which is not a shard", path=database)
        found(connection)


class _Found(NamedTuple):
    """The store in a database."""

    version: int
    partitioned: bool
    is_shard: bool


def _find(connection: Any, declared: Declared, database: str) -> _Found | None:
    """The store in the database; None for an empty one."""
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise WrongStore(f"the database's encoding is {encoding}; a store needs UTF8", path=database)
    # One statement for both, and one that reads the catalogue: another process may be making them now, and
    # to_regclass answers from a cache that hears of it late.
    present = connection.execute(
        sa.text(
            "SELECT marker.oid, shard.oid FROM pg_catalog.pg_namespace AS space "
            "LEFT JOIN pg_catalog.pg_class AS marker "
            "ON marker.relnamespace = space.oid AND marker.relname = 'schema_version' "
            "LEFT JOIN pg_catalog.pg_class AS shard "
            "ON shard.relnamespace = space.oid AND shard.relname = 'shard' WHERE space.nspname = :name"
        ),
        {"name": SCHEMA},
    ).first()
    if present is None:
        return None
    if present[0] is None:
        raise WrongStore(f"the database has a schema {SCHEMA!r} that is not a store", path=database)
    row = connection.execute(
        sa.text(f"SELECT version, partitioned FROM {_VERSIONS} ORDER BY version DESC LIMIT 1")
    ).first()
    if row is None:
        raise WrongStore("the store in the database was never finished", path=database)
    if row[0] > declared.version:
        raise WrongStore(
            f"the store is of a newer version (schema {row[0]}, known here: {declared.version}): "
            "upgrade oastfs",
            path=database,
        )
    return _Found(int(row[0]), bool(row[1]), present[1] is not None)


def _make(connection: Any, declared: Declared, partitioned: bool) -> None:
    connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    connection.execute(
        sa.text(
            f"CREATE TABLE {_VERSIONS} (version integer PRIMARY KEY, partitioned boolean NOT NULL, "
            "applied timestamptz NOT NULL DEFAULT now())"
        )
    )
    metadata = sa.MetaData()
    for table in declared.tables:
        define(metadata, Layout(table, partitioned))
    metadata.create_all(connection, checkfirst=False)
    if partitioned and tables.is_there(connection):
        every = [Layout(table, partitioned) for table in declared.tables]
        tables.distribute(connection, every, every[0].name)
        objects.make(connection)
    _note(connection, declared.version, partitioned)


def _note(connection: Any, version: int, partitioned: bool) -> None:
    connection.execute(
        sa.text(f"INSERT INTO {_VERSIONS} (version, partitioned) VALUES (:version, :partitioned)"),
        {"version": version, "partitioned": partitioned},
    )


def _carry_out(connection: Any, step: Step, declared: Declared, partitioned: bool) -> None:
    layout = Layout(next(table for table in declared.tables if table.name == step.table), partitioned)
    if isinstance(step, AddField):
        column = value_column(layout, step.field)
        kind = column.type.compile(dialect=connection.dialect)
        null = "" if column.nullable else " NOT NULL"
        default = f" DEFAULT {column.server_default.arg.text}" if column.server_default is not None else ""  # type: ignore[attr-defined]
        connection.execute(
            sa.text(f"ALTER TABLE {layout.name} ADD COLUMN {_quote(step.field)} {kind}{null}{default}")
        )
        return
    defined = define(sa.MetaData(), layout)
    if isinstance(step, AddTable):
        connection.execute(CreateTable(defined))
        if partitioned and tables.is_there(connection):
            tables.distribute(connection, [layout], Layout(declared.tables[0], partitioned).name)
    for index in defined.indexes:
        if isinstance(step, AddTable) or index.name == step.index:
            connection.execute(CreateIndex(index))
