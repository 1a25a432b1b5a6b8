"""Changes that come together are one group, on the loop's own thread where the store is quick."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from oastfs.core.errors import NotFound
from oastfs.namenode.server import turns
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.turns import Turns
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.transaction import Transaction
from tests.contract.rows import increment


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = open_store(f"lmdb://{tmp_path}/store", create=True)
    assert isinstance(opened, LmdbStore)
    for _ in range(2):  # a checkpoint before the first change; then nobody else has written between two
        opened.write(increment)
    yield opened
    opened.close()


def caller(name: str) -> RpcConnection:
    """Whom a change is of: only told from others."""
    return cast(RpcConnection, name)


def groups(store: LmdbStore) -> int:
    """How many were committed so far."""
    return int(store.environment.handle.info()["last_txnid"])


class Loop:
    """A loop with turns, and the answers of changes."""

    def __init__(self, store: LmdbStore) -> None:
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(self.loop, store)
        self.threads: list[int] = []

    def change(self, name: str, operation: Any = increment) -> asyncio.Future[Any]:
        answered: asyncio.Future[Any] = self.loop.create_future()

        def noted(tx: Transaction) -> Any:
            self.threads.append(threading.get_ident())
            return operation(tx)

        def done(result: Any, error: BaseException | None) -> None:
            settle = answered.set_result if error is None else answered.set_exception
            self.loop.call_soon_threadsafe(settle, result if error is None else error)

        self.turns.add(caller(name), noted, done)
        return answered


def make_quick(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the disk for a quick one, however busy it is."""
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 1e9)
    assert store.is_quick()


def test_what_comes_in_one_turn_is_one_group(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(store, monkeypatch)

    def fail(tx: Transaction) -> None:
        increment(tx)
        raise NotFound(path="/x")

    async def run() -> None:
        loop = Loop(store)
        before = groups(store)
        answers = [loop.change("a"), loop.change("b", fail), loop.change("c")]
        got = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 30)
        assert got[0] == 3 and isinstance(got[1], NotFound) and got[2] == 4
        assert groups(store) == before + 1
        assert set(loop.threads) == {threading.get_ident()}

    asyncio.run(run())


def test_a_group_waits_for_who_was_in_one_before(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(store, monkeypatch)
    monkeypatch.setattr(turns, "LINGER_SECONDS", 60.0)

    async def run() -> None:
        loop = Loop(store)
        await asyncio.wait_for(asyncio.gather(loop.change("a"), loop.change("b")), 30)
        before = groups(store)
        first = loop.change("a")
        for _ in range(5):
            await asyncio.sleep(0)
        assert groups(store) == before, "it did not wait"
        await asyncio.wait_for(asyncio.gather(first, loop.change("b")), 30)
        assert groups(store) == before + 1

    asyncio.run(run())


def test_after_waiting_in_vain_the_next_groups_do_not_wait(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_quick(store, monkeypatch)
    monkeypatch.setattr(turns, "LINGER_SECONDS", 0.01)

    async def run() -> None:
        loop = Loop(store)
        await asyncio.wait_for(asyncio.gather(loop.change("a"), loop.change("b")), 30)
        await asyncio.wait_for(loop.change("a"), 30)
        monkeypatch.setattr(turns, "LINGER_SECONDS", 60.0)
        await asyncio.wait_for(loop.change("a"), 30)  # b was in the group before the last
        await asyncio.wait_for(loop.change("a"), 30)

    asyncio.run(run())


def test_where_the_store_is_slow_another_thread_does_it(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 0.0)
    assert not store.is_quick()

    async def run() -> None:
        loop = Loop(store)
        assert await asyncio.wait_for(loop.change("a"), 30) == 3
        assert threading.get_ident() not in loop.threads

    asyncio.run(run())


def test_a_store_that_was_closed_says_so(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(store, monkeypatch)

    async def run() -> None:
        loop = Loop(store)
        answer = loop.change("a")
        store.close()
        with pytest.raises(Exception, match="closed"):
            await asyncio.wait_for(answer, 30)

    asyncio.run(run())
