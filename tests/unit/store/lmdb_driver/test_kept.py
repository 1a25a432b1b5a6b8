"""A loop's transaction that stays open: nobody misses what it holds, whatever fails and whoever dies."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import StoreError, TransactionMisuse
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore, committer, environment, kept
from oastfs.store.schema import CONTENT, COUNTER, Content
from oastfs.store.transaction import Transaction
from tests.contract.rows import increment
from tests.harness.waiting import wait_until
from tests.unit.store.lmdb_driver.stores import in_another_process, opened, value

SECONDS = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    store = opened(tmp_path / "store")
    store.write(increment)
    store.write(increment)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown for having been kept for long; the disk is quick."""
    monkeypatch.setattr(committer, "KEPT_SECONDS", 1e6)
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 1e9)


async def change(store: LmdbStore, operation: Callable[[Transaction], Any] = increment) -> Any:
    """One change of the loop's, once it is durable."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def done(result: Any, error: BaseException | None) -> None:
        settle = answered.set_result if error is None else answered.set_exception
        loop.call_soon_threadsafe(settle, result if error is None else error)

    store.submit_together([(operation, done)])
    return await asyncio.wait_for(answered, SECONDS)


def run(store: LmdbStore, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A loop that attends the store."""

    async def main() -> None:
        store.attend(asyncio.get_running_loop())
        await body()

    asyncio.run(main())


def commits(store: LmdbStore) -> int:
    return int(store.environment.handle.info()["last_txnid"])


def is_kept(store: LmdbStore) -> bool:
    return store._committer.kept.pending


async def keep(store: LmdbStore, count: int = 3) -> None:
    """Have so many groups kept."""
    while not store._committer.kept.is_welcome:
        await asyncio.sleep(0.001)
    before = commits(store)
    for _ in range(count):
        await change(store)
    assert is_kept(store)
    assert commits(store) == before, "nothing was to be committed"


def test_the_loop_sees_what_it_keeps(store: LmdbStore) -> None:
    async def body() -> None:
        await keep(store)
        assert value(store) == 5
        assert store.count(COUNTER) == 1
        with pytest.raises(ValueError, match="undone"):
            await change(store, undone)
        assert await change(store, lambda tx: tx.get(COUNTER, ("n",)).value) == 5  # type: ignore[union-attr]
        assert value(store) == 5 and is_kept(store)

    run(store, body)


def undone(tx: Transaction) -> None:
    increment(tx)
    raise ValueError("undone")


def test_an_operation_may_read_the_store(store: LmdbStore) -> None:
    async def body() -> None:
        await keep(store)
        assert await change(store, lambda tx: value(store)) == 5

    run(store, body)


def test_an_operation_may_submit_another(store: LmdbStore) -> None:
    """As that does which takes the last id of a batch."""
    answered = threading.Event()

    def submit_another(tx: Transaction) -> int:
        store.submit(increment, lambda result, error: answered.set())
        return increment(tx)

    async def body() -> None:
        await keep(store)
        assert await change(store, submit_another) == 6
        assert await asyncio.to_thread(answered.wait, SECONDS)
        assert value(store) == 7
        await keep(store)

    run(store, body)


def test_what_a_read_submits_comes_after_it(store: LmdbStore) -> None:
    answered = threading.Event()

    def submit_one(tx: Transaction) -> int:
        store.submit(increment, lambda result, error: answered.set())
        row = tx.get(COUNTER, ("n",))
        assert row is not None
        return row.value

    def write_one(tx: Transaction) -> None:
        store.write(increment)

    async def body() -> None:
        await keep(store)
        assert store.read(submit_one) == 5
        assert await asyncio.to_thread(answered.wait, SECONDS)
        assert value(store) == 6
        await keep(store)
        with pytest.raises(TransactionMisuse):
            store.read(write_one)
        assert is_kept(store) and value(store) == 9

    run(store, body)


def test_a_thread_without_a_loop_may_take_the_loop_s_way(store: LmdbStore) -> None:
    answered = threading.Event()

    async def body() -> None:
        jobs = [(increment, lambda result, error: answered.set())]
        await asyncio.to_thread(store.submit_together, jobs)
        assert await asyncio.to_thread(answered.wait, SECONDS)
        assert value(store) == 3 and not is_kept(store)
        await keep(store)

    run(store, body)


def test_who_leaves_shows_it(store: LmdbStore) -> None:
    async def body() -> None:
        await keep(store)
        store._committer.leave(store._watched.pop())
        await asyncio.sleep(0)
        assert not is_kept(store) and value(store) == 5
        assert await change(store) == 6
        assert not is_kept(store)

    run(store, body)


def test_nobody_waits_for_ever_for_a_loop_that_stands_still(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "SHOW_SECONDS", 0.2)
    loop = asyncio.new_event_loop()
    store.attend(loop)
    loop.run_until_complete(keep(store))
    with ThreadPoolExecutor(1) as other:
        for use in (partial(value, store), partial(store.write, increment)):
            with pytest.raises(StoreError, match=r"did not show its changes for 0\.2 s"):
                other.submit(use).result(SECONDS)
    loop.run_until_complete(asyncio.sleep(0.1))
    assert value(store) == 5
    loop.close()


def test_other_threads_see_it(store: LmdbStore) -> None:
    async def body() -> None:
        await keep(store)
        assert await asyncio.to_thread(value, store) == 5
        assert not is_kept(store)
        assert value(store) == 5
        await keep(store)
        assert await asyncio.to_thread(store.write, increment) == 9
        assert value(store) == 9

    run(store, body)


def test_what_the_loop_writes_otherwise_comes_after_it(store: LmdbStore) -> None:
    async def body() -> None:
        await keep(store)
        assert store.write(increment) == 6
        await keep(store)
        answered = threading.Event()
        store.submit(increment, lambda result, error: answered.set())
        assert await asyncio.to_thread(answered.wait, SECONDS)
        assert value(store) == 10

    run(store, body)


def test_it_is_shown_when_there_is_enough_of_it(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_GROUPS", 5)

    async def body() -> None:
        await keep(store, 5)
        before = commits(store)
        await change(store)
        assert not is_kept(store) and commits(store) == before + 1
        monkeypatch.setattr(kept, "KEPT_BYTES", 1000)
        await keep(store, 1)
        await change(store, lambda tx: tx.put(CONTENT, (1,), Content(bytes(2000))))
        await change(store)
        assert not is_kept(store)

    run(store, body)


def test_it_is_shown_when_nothing_comes(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        monkeypatch.setattr(committer, "KEPT_SECONDS", 0.01)
        before = commits(store)
        await keep(store, 1)
        while commits(store) == before:
            await asyncio.sleep(0.001)
        assert not is_kept(store) and value(store) == 3

    run(store, body)


def test_other_processes_see_it(store: LmdbStore, tmp_path: Path) -> None:
    look = "from tests.unit.store.lmdb_driver.stores import value\nprint(value(store))"

    async def body() -> None:
        await keep(store)
        task = asyncio.create_task(asyncio.to_thread(in_another_process, tmp_path / "store", look))
        await asyncio.sleep(0.5)
        assert is_kept(store), "nobody has asked yet whether it may be shown"
        while not task.done():  # as a busy loop does
            await change(store)
            await asyncio.sleep(0.001)
        assert await task >= 5

    run(store, body)


def test_other_processes_do_not_wait_for_ever(store: LmdbStore, tmp_path: Path) -> None:
    program = f"""
from oastfs.core.errors import StoreError
from oastfs.store import open_store
from oastfs.store.lmdb_driver import presence
presence._JOIN_SECONDS = 0.3
try:
    open_store("lmdb://{tmp_path}/store")
except StoreError as error:
    print(error)
"""

    async def body() -> None:
        await keep(store)
        # Nothing else runs on this loop meanwhile, as if the process were stopped.
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert "did not show its changes for 0.3 s" in done.stdout, done.stderr
        assert is_kept(store) and await change(store) == 6

    run(store, body)


def test_nothing_is_kept_while_another_process_has_the_store(store: LmdbStore, tmp_path: Path) -> None:
    program = f"""
import sys
from oastfs.store import open_store
from tests.unit.store.lmdb_driver.stores import value
store = open_store("lmdb://{tmp_path}/store")
for line in sys.stdin:
    print(value(store), flush=True)
"""

    async def body() -> None:
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdin is not None and other.stdout is not None
            stdin, stdout = other.stdin, other.stdout

            def ask() -> int:
                stdin.write("\n")
                stdin.flush()
                return int(stdout.readline())

            assert await asyncio.to_thread(ask) == 2
            for number in range(3, 20):
                assert await change(store) == number
                assert not is_kept(store)
                assert ask() == number
            stdin.close()
            assert other.wait(SECONDS) == 0
        await keep(store)

    run(store, body)


def test_a_map_that_grows_takes_it_along(tmp_path: Path) -> None:
    small = open_store(f"lmdb://{tmp_path}/store", create=True, map_bytes=1 << 20)
    assert isinstance(small, LmdbStore)
    small.write(increment)

    async def body() -> None:
        for number in range(1, 60):
            await change(small, partial(put, number))
            assert await change(small) == number + 1
            assert value(small) == number + 1

    run(small, body)
    assert small.read(lambda tx: [key[0] for key, _ in tx.scan(CONTENT)]) == list(range(1, 60))
    small.close()
    again = opened(tmp_path / "store")
    assert value(again) == 60
    again.close()


def put(number: int, tx: Transaction) -> None:
    tx.put(CONTENT, (number,), Content(number.to_bytes(4, "big") * 10_000))


def test_what_cannot_be_committed_is_not_lost(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants to see it is told; once it can be, it is there."""
    opened_environment = store.environment

    def refuse(*arguments: object) -> Any:
        raise StoreError("no more transactions")

    async def body() -> None:
        await keep(store)
        store._committer.kept.take().abort()  # it failed in a group, say
        with monkeypatch.context() as patch:
            patch.setattr(opened_environment, "begin_write", refuse)
            with pytest.raises(StoreError, match="no more transactions"):
                await change(store)
            with pytest.raises(StoreError, match="no more transactions"):
                await asyncio.to_thread(value, store)
            with pytest.raises(StoreError, match="no more transactions"):
                value(store)
        assert value(store) == 5
        assert await change(store) == 6
        assert await asyncio.to_thread(value, store) == 6

    run(store, body)


def test_threads_and_a_loop_at_once(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone sees what was answered before."""
    monkeypatch.setattr(kept, "WANTED_SECONDS", 0.0)
    monkeypatch.setattr(kept, "SHOWN_SECONDS", 0.0)
    stop = threading.Event()
    problems: list[BaseException] = []
    answered = [2]

    def look(writes: bool) -> None:
        try:
            while not stop.is_set():
                least = answered[0]
                assert value(store) >= least
                if writes:
                    answered[0] = max(answered[0], store.write(increment))
                time.sleep(0.001)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=look, args=(writes,)) for writes in (False, False, True)]

    async def body() -> None:
        for thread in threads:
            thread.start()
        ends = time.monotonic() + 3
        kept_some = False
        while time.monotonic() < ends and not problems:
            least = await change(store)
            kept_some = kept_some or is_kept(store)
            assert value(store) >= least
            answered[0] = max(answered[0], least)
        stop.set()
        assert kept_some
        for thread in threads:
            await asyncio.to_thread(thread.join, SECONDS)

    run(store, body)
    assert not problems
    wait_until(lambda: not any(thread.is_alive() for thread in threads), "the threads", SECONDS)


def test_two_loops(store: LmdbStore) -> None:
    """Each sees what the other keeps."""
    answered = [2]
    turns = [0]

    async def count_up(loops: int) -> None:
        store.attend(asyncio.get_running_loop())
        for _ in range(50):
            least = answered[0]
            assert value(store) >= least
            answered[0] = max(answered[0], await change(store))
            await asyncio.sleep(0.001)
        turns[0] += 1
        while turns[0] < loops:  # a loop that attends does not end before it has shown what it keeps
            await asyncio.sleep(0.001)
        await asyncio.to_thread(value, store)

    other = threading.Thread(target=lambda: asyncio.run(count_up(2)))
    other.start()
    asyncio.run(count_up(2))
    other.join(SECONDS)
    assert value(store) == 102


def test_a_disk_that_is_nearly_full_keeps_nothing(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be able to refuse what it has no room for."""
    monkeypatch.setattr(environment, "CLAIM_ROOM_BYTES", 1 << 62)

    async def body() -> None:
        for number in range(3, 10):
            assert await change(store) == number
            assert not is_kept(store)

    run(store, body)


def test_a_filesystem_without_the_lock_keeps_nothing(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "no such lock")

    async def body() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("fcntl.fcntl", refuse)
            for number in range(3, 10):
                assert await change(store) == number
                assert not is_kept(store)
            store.environment._presence.stay()

    run(store, body)
