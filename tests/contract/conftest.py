"""The stores that every contract test runs on. A new driver adds one line to FACTORIES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oastfs.store import open_store
from oastfs.store.transaction import Store

FACTORIES: dict[str, Callable[[Path], str]] = {
    "lmdb": lambda directory: f"lmdb://{directory}/store",
}
"""By driver: the URL of a fresh store of one test, given the test's directory."""


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


@pytest.fixture(params=sorted(FACTORIES))
def store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreFactory]:
    factory = StoreFactory(FACTORIES[request.param](tmp_path))
    yield factory
    factory.close()


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    return store_factory()
