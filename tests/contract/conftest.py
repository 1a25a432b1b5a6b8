"""The stores that every contract test runs on, each empty: embedded, PostgreSQL, three shards, Citus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.store import open_store
from oastfs.store.transaction import Store
from tests.harness.postgresql import PostgresServer

DRIVERS = ("lmdb", "postgresql", "shards")
VARIANTS = ("psycopg3", "partitioned", "shards of psycopg3")
"""Of the SQL driver, for tests of what may differ: psycopg 3, and the layout for engines that shard."""

CITUS = pytest.param("citus", marks=pytest.mark.long)


class StoreFactory:
    """Opens handles on the one store of a test, and closes what the test left open."""

    def __init__(self, url: str | list[str]) -> None:
        self.url = url
        self._opened: list[Store] = []

    def __call__(self) -> Store:
        store = open_store(self.url, create=True)
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Everything runs on every driver; rows and scans on their variants, too."""
    if "store_url" in metafunc.fixturenames:
        deep = metafunc.module.__name__.endswith(("test_rows", "test_scan"))
        cases = [*(DRIVERS + VARIANTS if deep else DRIVERS), CITUS]
        metafunc.parametrize("store_url", cases, indirect=True)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | list[str]:
    """Where the one store of a test is. A new driver adds a case here."""
    if request.param.startswith("shards"):
        urls = list(request.getfixturevalue("shards"))
        return [url.replace("+psycopg2", "+psycopg") for url in urls] if "3" in request.param else urls
    if request.param == "lmdb":
        return f"lmdb://{tmp_path}/store"
    if request.param == "citus":
        return str(request.getfixturevalue("citus_database"))
    if request.param == "partitioned":
        return str(request.getfixturevalue("partitioned_database"))
    url = str(request.getfixturevalue("database"))
    return url.replace("+psycopg2", "+psycopg") if request.param == "psycopg3" else url


@pytest.fixture(scope="session")
def partitioned_databases(postgresql: PostgresServer) -> str:
    """The name of a database whose tables have the partition in their keys."""
    name = postgresql.create_database()
    open_store(postgresql.url(name), create=True, partition_column=True).close()
    return name


@pytest.fixture
def partitioned_database(postgresql: PostgresServer, partitioned_databases: str) -> str:
    """Its address, when it has been emptied."""
    postgresql.empty(partitioned_databases)
    return postgresql.url(partitioned_databases)


@pytest.fixture
def store_factory(store_url: str | list[str]) -> Iterator[StoreFactory]:
    factory = StoreFactory(store_url)
    yield factory
    factory.close()


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    return store_factory()
