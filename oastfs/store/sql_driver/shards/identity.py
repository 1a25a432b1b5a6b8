"""Which databases are the shards of which store: making them, and refusing all others.

Every shard has the store's id, its own number and how many there are. All are looked at before anything is
changed, so what is refused stays as it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from oastfs.core.errors import InvalidArgument, StoreError, WrongStore
from oastfs.store.run import run
from oastfs.store.sql_driver import migrations
from oastfs.store.sql_driver.connections import OPEN_SECONDS
from oastfs.store.sql_driver.layout import SCHEMA
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.shards import objects


@dataclass(frozen=True)
class Shard:
    """What a database says of itself."""

    store_id: str
    number: int
    count: int


@dataclass(frozen=True)
class _Database:
    place: tuple[Any, ...]
    prepared_max: int
    has_store: bool
    shard: Shard | None


def prepare(
    servers: Sequence[Server], create: bool, partitioned: bool, declared: Declared
) -> tuple[str, bool]:
    """Have these servers ready as shards, in this order: the store's id, and whether keys have partitions.

    Raises WrongStore, InvalidArgument, StoreError.
    """
    found = [
        run(lambda server=server: server.connections.ask(_look), deadline_seconds=OPEN_SECONDS)  # type: ignore[misc]
        for server in servers
    ]
    _check_places(servers, found)
    store_id = _check(servers, found, create)
    layouts = set()
    for number, server in enumerate(servers):
        found_id, layout = _prepare_one(
            server, Shard(store_id, number, len(servers)), create, partitioned, declared
        )
        store_id = found_id or store_id
        layouts.add(layout)
    if len(layouts) != 1:
        raise WrongStore("the shards are laid out differently: some have partitions in their keys")
    return store_id, layouts.pop()


def _prepare_one(
    server: Server, me: Shard, create: bool, partitioned: bool, declared: Declared
) -> tuple[str, bool]:
    """Make a shard, or find it; the id that it was found with, and whether it is partitioned."""
    shown = server.connections.shown
    found_id = ""

    def check(connection: Any) -> None:
        nonlocal found_id
        shard = _shard(connection)
        if shard is not None and me.number == 0:
            found_id = shard.store_id  # perhaps another process has just begun: its first shard counts
        _require(shard, Shard(found_id or me.store_id, me.number, me.count), shown)

    def ask(connection: Any) -> bool:
        return migrations.prepare(
            connection,
            create=create,
            partitioned=partitioned,
            declared=declared,
            database=shown,
            made=lambda connection: objects.make(connection, me.store_id, me.number, me.count),
            found=check,
        )

    layout = run(lambda: server.connections.ask(ask), deadline_seconds=OPEN_SECONDS)
    return found_id, layout


def _look(connection: Any) -> _Database:
    place = connection.execute(
        sa.text(
            "SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database "
            "WHERE datname = current_database()"
        )
    ).one()
    prepared_max = int(connection.execute(sa.text("SHOW max_prepared_transactions")).scalar())
    present = connection.execute(
        sa.text(
            "SELECT (SELECT true FROM pg_namespace WHERE nspname = :schema), "
            "(SELECT true FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace "
            "WHERE nspname = :schema AND relname = 'shard')"
        ),
        {"schema": SCHEMA},
    ).one()
    shard = _shard(connection) if present[1] else None
    return _Database(tuple(place), prepared_max, bool(present[0]), shard)


def _shard(connection: Any) -> Shard | None:
    row = connection.execute(sa.text(f"SELECT store_id, number, count FROM {SCHEMA}.shard")).first()
    return None if row is None else Shard(*row)


def _check_places(servers: Sequence[Server], found: Sequence[_Database]) -> None:
    places = [one.place for one in found]
    for number, (server, one) in enumerate(zip(servers, found, strict=True)):
        if places.index(one.place) != number:
            raise InvalidArgument(f"a database is given twice: {server.connections.shown}")
        if one.prepared_max == 0:
            raise StoreError(
                "the server does not take two-phase commits: set max_prepared_transactions in its "
                "postgresql.conf (as high as max_connections) and restart it",
                path=server.connections.shown,
            )


def _check(servers: Sequence[Server], found: Sequence[_Database], create: bool) -> str:
    """The store's id. Raises WrongStore unless these are its shards, in order, or will be."""
    store_id = ""
    for number, (server, one) in enumerate(zip(servers, found, strict=True)):
        shown = server.connections.shown
        if one.shard is not None:
            store_id = store_id or one.shard.store_id
            _require(one.shard, Shard(store_id, number, len(servers)), shown)
            if number > 0 and found[0].shard is None:
                raise WrongStore(
                    f"this is shard {number + 1} of a store, but the first database is not its first shard",
                    path=shown,
                )
        elif one.has_store:
            raise WrongStore("the database has something else than a shard", path=shown)
        elif not create:
            raise WrongStore("there is no store in the database: make one first (create)", path=shown)
    return store_id or os.urandom(8).hex()


def _require(found: Shard | None, wanted: Shard, shown: str) -> None:
    if found is None:
        raise WrongStore("the database has a store of its own, which is not a shard", path=shown)
    if found.store_id != wanted.store_id:
        raise WrongStore("the databases are shards of different stores", path=shown)
    if found.count != wanted.count:
        raise WrongStore(
            f"the store has {found.count} shards, but {wanted.count} were given: give all, in their order",
            path=shown,
        )
    if found.number != wanted.number:
        raise WrongStore(
            f"this is shard {found.number + 1} of {found.count}, but it was given in place "
            f"{wanted.number + 1}: give the shards in their order",
            path=shown,
        )
