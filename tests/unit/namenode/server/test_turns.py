"""Changes that come together are one group, on the loop's own thread; the loop may go on during the sync."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from oastfs.core.errors import NotFound, StoreError
from oastfs.namenode.server import turns
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.turns import Turns
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.lmdb_driver.syncer import ThreadSyncer
from oastfs.store.schema import COUNTER
from oastfs.store.transaction import Transaction
from tests.contract.rows import increment
from tests.harness.waiting import wait_until


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
    """How many were logged so far."""
    return store.environment.journal._groups


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


def test_where_the_log_has_to_be_prepared_another_thread_does_it(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_BYTES", 1 << 40)
    assert not store.is_quick()

    async def run() -> None:
        loop = Loop(store)
        assert await asyncio.wait_for(loop.change("a"), 30) == 3
        assert threading.get_ident() not in loop.threads

    asyncio.run(run())


class HeldDisk:
    """A disk that syncs when it is told to, for stores that are opened from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.free.set()
        self.error = 0
        monkeypatch.setattr("oastfs.store.lmdb_driver.segments.make_syncer", ThreadSyncer)
        monkeypatch.setattr("oastfs.store.lmdb_driver.syncer.os.fdatasync", self._sync)

    def _sync(self, file: int) -> None:
        assert self.free.wait(60), "a sync was held up for a minute"
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> HeldDisk:
    return HeldDisk(monkeypatch)


def value(store: LmdbStore) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    return 0 if row is None else row.value


async def until(condition: Callable[[], bool], what: str) -> None:
    """Let the loop go on until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("slow", [False, True])
def test_a_loop_with_others_to_serve_goes_on_during_a_sync(
    disk: HeldDisk, store: LmdbStore, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """If nobody else is to be served, it does on a slow disk."""
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 0.0 if slow else 1e9)

    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loop = Loop(store)
        loop.turns.served = not slow
        disk.free.clear()
        first = loop.change("a")
        for _ in range(5):
            await asyncio.sleep(0)
        assert value(store) == 3, "it was not committed"
        before = groups(store)
        later = [loop.change("b"), loop.change("c")]
        await asyncio.sleep(0.05)
        assert groups(store) == before, "those that come meanwhile are to be one group"
        assert not first.done()
        disk.free.set()
        assert await asyncio.wait_for(asyncio.gather(first, *later), 30) == [3, 4, 5]
        assert groups(store) == before + 1
        assert set(loop.threads) == {threading.get_ident()}

    asyncio.run(run())


def test_what_changes_nothing_is_answered_when_what_it_saw_is_durable(
    disk: HeldDisk, store: LmdbStore
) -> None:
    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loops = [Loop(store), Loop(store)]  # two ports, say: neither waits for the other's groups
        disk.free.clear()
        for loop in loops:
            loop.turns.served = True
        first = loops[0].change("a")
        look = loops[1].change("b", lambda tx: tx.get(COUNTER, ("n",)))
        await until(lambda: value(store) == 3 and bool(loops[1].threads), "both to be carried out")
        await asyncio.sleep(0.05)
        assert not first.done() and not look.done(), "answered before the sync"
        disk.free.set()
        assert await asyncio.wait_for(first, 30) == 3
        assert (await asyncio.wait_for(look, 30)).value == 3
        loops[1].turns.served = True
        disk.free.clear()
        again = loops[1].change("b", lambda tx: tx.get(COUNTER, ("n",)))
        assert (await asyncio.wait_for(again, 30)).value == 3, "all was durable"
        disk.free.set()

    asyncio.run(run())


def test_a_sync_that_somebody_else_has_heard_of(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread looks what has been synced just before the group is known to wait for it."""
    journal = store.environment.journal
    begin_sync = journal.begin_sync

    def begin_and_hear() -> int:
        number = begin_sync()
        wait_until(lambda: journal.synced() >= number, "the sync")
        return number

    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loop = Loop(store)
        loop.turns.served = True
        monkeypatch.setattr(journal, "begin_sync", begin_and_hear)
        assert await asyncio.wait_for(loop.change("a"), 10) == 3

    asyncio.run(run())


def test_a_sync_that_fails_is_told_to_the_group_and_to_all_after_it(disk: HeldDisk, store: LmdbStore) -> None:
    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loop = Loop(store)
        loop.turns.served = True
        disk.error = errno.EIO
        answers = await asyncio.wait_for(
            asyncio.gather(loop.change("a"), loop.change("b"), return_exceptions=True), 30
        )
        disk.error = 0
        assert all("could not be synced" in str(one) for one in answers)
        loop.turns.served = True
        with pytest.raises(StoreError, match="opened again"):
            await asyncio.wait_for(loop.change("a"), 30)

    asyncio.run(run())


def test_a_sync_that_cannot_be_begun_is_told_to_the_group(
    disk: HeldDisk, store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loop = Loop(store)
        for _ in range(2):
            loop.turns.served = True
            with monkeypatch.context() as patch, pytest.raises(StoreError, match=r"opened again|synced"):
                patch.setattr(threading.Thread, "start", refuse)
                await asyncio.wait_for(loop.change("a"), 30)

    asyncio.run(run())


@pytest.mark.parametrize("served", [False, True])
def test_a_callback_that_fails_holds_up_nobody(disk: HeldDisk, store: LmdbStore, served: bool) -> None:
    def fail(result: Any, error: BaseException | None) -> None:
        raise ValueError("the caller has gone")

    async def run() -> None:
        store.attend(asyncio.get_running_loop())
        loop = Loop(store)
        loop.turns.served = served
        loop.turns.add(caller("a"), increment, fail)
        await until(lambda: value(store) == 3, "the first change")
        assert await asyncio.wait_for(loop.change("b"), 10) == 4

    asyncio.run(run())


def test_closing_waits_for_a_sync_that_is_under_way_and_answers(disk: HeldDisk, store: LmdbStore) -> None:
    async def run() -> None:
        running = asyncio.get_running_loop()
        store.attend(running)
        loop = Loop(store)
        loop.turns.served = True
        disk.free.clear()
        first = loop.change("a")
        await until(lambda: value(store) == 3, "the change whose sync is held")
        closing = running.run_in_executor(None, store.close)
        await asyncio.sleep(0.05)
        assert not closing.done() and not first.done()
        disk.free.set()
        assert await asyncio.wait_for(first, 30) == 3
        await asyncio.wait_for(closing, 30)

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
