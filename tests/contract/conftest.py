"""The stores that every contract test runs on: an embedded one and a PostgreSQL database, each empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.store import open_store
from oastfs.store.transaction import Store

DRIVERS = ("lmdb", "postgresql")


class StoreFactory:
    """Opens handles on the one store of a test, and closes what the test left open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: list[Store] = []

    def __call__(self) -> Store:
        store = open_store(self.url, create=True)
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture(params=DRIVERS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the one store of a test is. A new driver adds a case here."""
    if request.param == "lmdb":
        return f"lmdb://{tmp_path}/store"
    return str(request.getfixturevalue("database"))


@pytest.fixture
def store_factory(store_url: str) -> Iterator[StoreFactory]:
    factory = StoreFactory(store_url)
    yield factory
    factory.close()


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    return store_factory()
