"""Databases that are ours and those that are not, and how an older one is brought up to date."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from oastfs.core.errors import InvalidArgument, StoreError, WrongStore
from oastfs.store import open_store
from oastfs.store.schema import SCHEMA_VERSION, TABLES
from oastfs.store.sql_driver.migrations import AddField, AddIndex, AddTable, Declared, Step
from oastfs.store.table import Column, Index, Row, Table
from oastfs.store.transaction import Store
from tests.contract.rows import fill, names
from tests.harness.citus import CitusCluster
from tests.harness.ports import free_port
from tests.harness.postgresql import PostgresServer


@pytest.fixture
def empty(postgresql: PostgresServer) -> Iterator[str]:
    """The name of a database without anything in it."""
    name = postgresql.create_database()
    yield name
    postgresql.drop_database(name)


class Place(NamedTuple):
    """An empty database, and how a store is laid out there."""

    server: PostgresServer
    name: str
    partitioned: bool


@pytest.fixture(params=["plain", "partitioned", pytest.param("citus", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "citus":
        cluster: CitusCluster = request.getfixturevalue("citus_cluster")
        return Place(cluster.coordinator, cluster.create_database(), True)
    server, empty = request.getfixturevalue("postgresql"), request.getfixturevalue("empty")
    return Place(server, empty, request.param == "partitioned")


def refused(url: str, create: bool = True, **options: Any) -> str:
    with pytest.raises(WrongStore) as caught:
        open_store(url, create=create, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_made_then_opened(postgresql: PostgresServer, empty: str) -> None:
    url = postgresql.url(empty)
    assert "no store" in refused(url, create=False)
    store = open_store(url, create=True)
    fill(store, 1, ["a"])
    store.close()
    for create in (False, True):
        again = open_store(url, create=create)
        assert names(again, 1) == ["a"]
        again.close()


def test_made_by_many_at_once(place: Place) -> None:
    stores: list[Store] = []
    url = place.server.url(place.name)
    threads = [threading.Thread(target=lambda: stores.append(open_store(url, create=True))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stores) == 6
    fill(stores[0], 1, ["a"])
    assert [names(store, 1) for store in stores] == [["a"]] * 6
    for store in stores:
        store.close()


def test_every_table_and_index_is_there_with_named_columns(postgresql: PostgresServer, empty: str) -> None:
    open_store(postgresql.url(empty), create=True).close()
    tables = {
        str(row[0])
        for row in postgresql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'oastfs'", empty)
    }
    assert tables == {table.name for table in TABLES} | {"schema_version"}
    indexes = {
        str(row[0])
        for row in postgresql.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'oastfs'", empty)
    }
    assert {index.name for table in TABLES for index in table.indexes} <= indexes
    columns = postgresql.execute(
        "SELECT column_name, data_type, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'oastfs' AND table_name = 'inode' ORDER BY ordinal_position",
        empty,
    )
    assert columns[:4] == [
        ("parent_id", "bigint", None),
        ("name", "text", "C"),
        ("id", "bigint", None),
        ("mode", "bigint", None),
    ]


def test_other_tables_beside_it_do_no_harm(postgresql: PostgresServer, empty: str) -> None:
    postgresql.execute("CREATE TABLE inode (x int)", empty)
    store = open_store(postgresql.url(empty), create=True)
    fill(store, 1, ["a"])
    store.close()
    assert postgresql.execute("SELECT name FROM oastfs.inode", empty) == [("a",)]


def test_a_schema_of_somebody_else(postgresql: PostgresServer, empty: str) -> None:
    postgresql.execute("CREATE SCHEMA oastfs", empty)
    for create in (False, True):
        assert "not a store" in refused(postgresql.url(empty), create)


def test_a_newer_version(postgresql: PostgresServer, empty: str) -> None:
    open_store(postgresql.url(empty), create=True).close()
    postgresql.execute(f"INSERT INTO oastfs.schema_version VALUES ({SCHEMA_VERSION + 1}, false)", empty)
    assert "newer version" in refused(postgresql.url(empty))


def test_an_encoding_that_cannot_hold_names(postgresql: PostgresServer) -> None:
    postgresql.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    assert "UTF8" in refused(postgresql.url("latin"))


def test_no_such_database(postgresql: PostgresServer) -> None:
    assert "no such database" in refused(postgresql.url("nowhere"))


def test_nobody_listens() -> None:
    with pytest.raises(StoreError, match="does not answer"):
        open_store(f"postgresql://u@127.0.0.1:{free_port()}/db")


def test_a_wrong_password(postgresql: PostgresServer, empty: str) -> None:
    postgresql.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    with postgresql.demanding_passwords("guarded"):
        url = postgresql.url(empty).replace("oastfs@", "guarded:wrong@")
        with pytest.raises(StoreError, match="refuses the connection") as caught:
            open_store(url)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://", "postgresql://host", "postgresql+psycopg2://h:x/db"])
def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(InvalidArgument):
        open_store(url)


def test_unknown_options(postgresql: PostgresServer, empty: str) -> None:
    with pytest.raises(InvalidArgument, match="colour"):
        open_store(postgresql.url(empty), create=True, colour="red")


# --- migrations -------------------------------------------------------------------------------------


class Old(Row, frozen=True):
    size: int


class New(Row, frozen=True):
    size: int
    label: str = "none"
    targets: tuple[int, ...] = ()
    kept: bool = False
    extra: bytes | None = None


class Added(Row, frozen=True):
    text: str


KEY = (("id", Column.ID), ("name", Column.TEXT))
OLD = Table("thing", KEY, Old)
BY_NAME = Index("thing_by_name", ("name", "id"))
NEW = Table("thing", KEY, New, indexes=(BY_NAME,))
ADDED = Table("added", (("id", Column.ID),), Added)
STEPS: dict[int, tuple[Step, ...]] = {
    2: (AddField("thing", "label"), AddField("thing", "targets")),
    3: (
        AddTable("added"),
        AddIndex("thing", "thing_by_name"),
        AddField("thing", "kept"),
        AddField("thing", "extra"),
    ),
}


def test_an_older_database_is_migrated_and_its_rows_stay(place: Place) -> None:
    postgresql, empty, partitioned = place
    url = postgresql.url(empty)
    older = Declared(1, (OLD,), {})
    newer = Declared(3, (NEW, ADDED), STEPS)
    old = open_store(url, create=True, declared=older, partition_column=partitioned)
    old.write(lambda tx: [tx.put(OLD, (1, name), Old(5)) for name in "ab"])
    new = open_store(url, declared=newer)
    assert new.read(lambda tx: tx.get(NEW, (1, "a"))) == New(5)
    new.write(
        lambda tx: (tx.put(NEW, (1, "a"), New(6, "x", (1, 2), True, b"\0")), tx.put(ADDED, (1,), Added("y")))
    )
    assert new.read(lambda tx: tx.get(NEW, (1, "a"))) == New(6, "x", (1, 2), True, b"\0")
    assert new.read(lambda tx: [key for key, _ in tx.scan(NEW, ("b",), index=BY_NAME)]) == [(1, "b")]
    # Who still runs the version before goes on.
    assert old.read(lambda tx: tx.get(OLD, (1, "a"))) == Old(6)
    old.write(lambda tx: tx.put(OLD, (2, "c"), Old(7)))
    assert new.read(lambda tx: tx.get(NEW, (2, "c"))) == New(7)
    old.close()
    new.close()
    versions = postgresql.execute("SELECT version, partitioned FROM oastfs.schema_version ORDER BY 1", empty)
    assert versions == [(1, partitioned), (2, partitioned), (3, partitioned)]
    assert "newer version" in refused(url, declared=older)


def test_a_migrated_database_is_as_one_made_new(postgresql: PostgresServer, empty: str) -> None:
    def shape(name: str) -> list[tuple[object, ...]]:
        return postgresql.execute(
            "SELECT table_name, column_name, data_type, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'oastfs' ORDER BY 1, 2",
            name,
        )

    newer = Declared(3, (NEW, ADDED), STEPS)
    open_store(postgresql.url(empty), create=True, declared=Declared(1, (OLD,), {})).close()
    open_store(postgresql.url(empty), declared=newer).close()
    fresh = postgresql.create_database()
    open_store(postgresql.url(fresh), create=True, declared=newer).close()
    assert shape(empty) == shape(fresh)
    postgresql.drop_database(fresh)
