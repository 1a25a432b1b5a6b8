"""Which databases are taken for the shards of a store, and which are refused, unchanged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from oastfs.core.errors import InvalidArgument, OastError, StoreError
from oastfs.store import open_store
from oastfs.store.schema import COUNTER
from oastfs.store.transaction import Store
from tests.contract.rows import increment
from tests.harness.postgresql import PostgresServer, ShardServers

Urls = list[str]


@pytest.fixture
def empty(shard_servers: ShardServers) -> Iterator[Urls]:
    """Three databases without anything in them."""
    urls = shard_servers.create_databases()
    yield urls
    drop(shard_servers, urls)


def drop(shard_servers: ShardServers, urls: Urls) -> None:
    for server, url in zip(shard_servers.servers, urls, strict=True):
        server.drop_database(url.rpartition("/")[2])


def contents(shard_servers: ShardServers) -> list[Any]:
    """Every table and function of ours in every database of the servers."""
    found: list[Any] = []
    for server in shard_servers.servers:
        for (name,) in server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test%'"):
            tables = "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text = 'oastfs'"
            found.append((server.port, name, sorted(server.execute(tables, str(name)))))
    return found


def refused(shard_servers: ShardServers, urls: Urls | str, create: bool = True) -> str:
    before = contents(shard_servers)
    with pytest.raises(OastError) as caught:
        open_store(urls, create=create)
    assert contents(shard_servers) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_made_then_opened(shard_servers: ShardServers, empty: Urls) -> None:
    assert "no store" in refused(shard_servers, empty, create=False)
    store = open_store(empty, create=True)
    assert store.write(increment) == 1
    store.close()
    for create in (False, True):
        again = open_store(empty, create=create)
        row = again.read(lambda tx: tx.get(COUNTER, ("n",)))
        assert row is not None and row.value == 1
        again.close()


def test_order_number_and_mixtures(shard_servers: ShardServers, empty: Urls, shards: Urls) -> None:
    open_store(empty, create=True).close()
    others = shard_servers.create_databases()
    open_store(others, create=True).close()
    first, second, third = empty
    for create in (False, True):
        assert "place" in refused(shard_servers, [second, first, third], create)
        assert "place" in refused(shard_servers, [first, third, second], create)
        assert "has 3 shards" in refused(shard_servers, [first, second], create)
        assert "different stores" in refused(shard_servers, [first, others[1], third], create)
        assert "one shard of a store" in refused(shard_servers, first, create)
        assert "twice" in refused(shard_servers, [first, first, third], create)
        assert "3 shards" in refused(shard_servers, [*empty, others[2]], create)
    drop(shard_servers, others)


def test_stores_of_their_own(shard_servers: ShardServers, empty: Urls, database: str) -> None:
    assert "something else" in refused(shard_servers, [database, *empty[1:]])
    assert "something else" in refused(shard_servers, [*empty[:2], database])
    open_store(empty, create=True).close()
    assert "something else" in refused(shard_servers, [*empty[:2], database])


def test_a_first_shard_that_was_lost(shard_servers: ShardServers, empty: Urls) -> None:
    """An empty database in its place is not filled in silence."""
    open_store(empty, create=True).close()
    lost = shard_servers.servers[0].create_database()
    assert "first" in refused(shard_servers, [shard_servers.servers[0].url(lost), *empty[1:]])
    shard_servers.servers[0].drop_database(lost)


def test_a_store_that_was_made_in_part(shard_servers: ShardServers, empty: Urls) -> None:
    """Killed while the shards were made: the next one goes on."""
    open_store(empty, create=True).close()
    name = empty[2].rpartition("/")[2]
    shard_servers.servers[2].execute("DROP SCHEMA oastfs CASCADE", name)
    assert "no store" in refused(shard_servers, empty, create=False)
    store = open_store(empty, create=True)
    assert store.write(increment) == 1
    store.close()


def test_made_by_many_at_once(empty: Urls) -> None:
    stores: list[Store] = []
    threads = [
        threading.Thread(target=lambda: stores.append(open_store(empty, create=True))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(stores) == 4
    for store in stores:
        store.write(increment)
    row = stores[0].read(lambda tx: tx.get(COUNTER, ("n",)))
    assert row is not None and row.value == len(stores)
    for store in stores:
        store.close()


def test_without_two_phase_commits(shard_servers: ShardServers, empty: Urls) -> None:
    server = PostgresServer({"max_prepared_transactions": "0"})
    try:
        with pytest.raises(StoreError, match="set max_prepared_transactions"):
            open_store([*empty[:2], server.url(server.create_database())], create=True)
        assert "no store" in refused(shard_servers, empty, create=False)
    finally:
        server.remove()


def test_not_of_one_kind(empty: Urls) -> None:
    with pytest.raises(InvalidArgument):
        open_store([*empty, "lmdb:///x"])
