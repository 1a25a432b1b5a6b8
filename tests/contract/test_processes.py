"""Many threads and many processes on one store, and processes that are killed without warning."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from oastfs.store.schema import COUNTER, INODE, PLACE
from oastfs.store.transaction import Store, Transaction
from tests.contract import rows
from tests.contract.conftest import StoreFactory
from tests.contract.rows import increment

SPAWN = multiprocessing.get_context("spawn")


def counted(store: Store) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    return 0 if row is None else row.value


def test_threads_lose_no_update(store: Store) -> None:
    def work() -> list[int]:
        return [store.write(increment) for _ in range(50)]

    with ThreadPoolExecutor(32) as pool:
        threads = [pool.submit(work) for _ in range(32)]
    results = [number for thread in threads for number in thread.result()]
    assert sorted(results) == list(range(1, 1601))
    assert counted(store) == 1600


def test_readers_see_whole_transactions_while_others_write(store: Store) -> None:
    stop = threading.Event()
    torn: list[Any] = []

    def write() -> None:
        while not stop.is_set():
            store.write(lambda tx: [increment(tx, name) for name in ("a", "b")])

    def read(tx: Transaction) -> tuple[Any, Any]:
        return tx.get(COUNTER, ("a",)), tx.get(COUNTER, ("b",))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in writers:
        thread.start()

    def look() -> None:
        for _ in range(500):
            first, second = store.read(read)
            if first != second:
                torn.append((first, second))

    readers = [threading.Thread(target=look) for _ in range(4)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    stop.set()
    for thread in writers:
        thread.join()
    assert torn == []


def test_processes_lose_no_update(store_factory: StoreFactory) -> None:
    store = store_factory()
    processes = [SPAWN.Process(target=rows.count_up, args=(store_factory.url, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for _ in range(100):
        store.write(increment)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert counted(store) == 400


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.long)])
def test_killed_writers_lose_nothing_that_was_acknowledged(store_factory: StoreFactory, rounds: int) -> None:
    """Kill -9 in the middle of writing, again and again; the store stays open here, and usable."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    store = store_factory()
    for number in range(rounds):
        writers = [_start_writer(store_factory.url, number * 10 + each) for each in range(2)]
        enough = chance.randrange(1, 150)
        last = [_next(acknowledged) for _, acknowledged in writers]
        while last[0] < enough:
            last[0] = _next(writers[0][1])
            store.write(increment)
        for process, _ in writers:
            process.kill()
        for each, (process, acknowledged) in enumerate(writers):
            process.join(30)
            assert process.exitcode == -signal.SIGKILL
            _check_pairs(store, number * 10 + each, _last(acknowledged, last[each]))
        store.write(increment)


def _next(acknowledged: Connection) -> int:
    """The next number that a writer acknowledges."""
    assert acknowledged.poll(60), "the writer acknowledges nothing"
    return int(acknowledged.recv())


def _start_writer(url: str | list[str], name: int) -> tuple[BaseProcess, Connection]:
    here, there = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=rows.write_until_killed, args=(url, name, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _last(acknowledged: Connection, last: int) -> int:
    """The last number that came through the pipe of a process that has ended, after ``last``."""
    while wait([acknowledged], 10):
        try:
            last = acknowledged.recv()
        except EOFError:
            return last
    raise AssertionError("the pipe of an ended process stays open")


def _check_pairs(store: Store, process: int, last: int) -> None:
    """All that was acknowledged is there, at most one more, and each row has its partner."""

    def read(tx: Transaction) -> tuple[list[int], list[int]]:
        files = [row.id for _, row in tx.scan(INODE, (process,))]
        places = [int(key[0]) & 0xFFFFFFFF for key, row in tx.scan(PLACE) if row.parent_id == process]
        return files, places

    files, places = store.read(read)
    assert files == places
    assert files == list(range(1, len(files) + 1))
    assert len(files) - last in (0, 1)


def test_killed_readers_leave_the_store_usable(store_factory: StoreFactory) -> None:
    store = store_factory()
    for _ in range(3):
        here, there = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=rows.read_until_killed, args=(store_factory.url, there), daemon=True)
        process.start()
        there.close()
        assert here.poll(60), "the reader did not begin"
        process.kill()
        process.join(30)
        assert store.write(increment) > 0
    other = store_factory()
    assert counted(other) == 3


# --- forks ------------------------------------------------------------------------------------------


def in_child(body: Any) -> int:
    """Run ``body`` in a forked child; its exit code: 0 for a true result."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if body() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_a_forked_child_uses_the_store_and_harms_nothing(store: Store) -> None:
    store.write(increment)
    stop = threading.Event()
    problems: list[BaseException] = []

    def keep_busy() -> None:
        try:
            while not stop.is_set():
                store.write(increment)
                counted(store)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=keep_busy) for _ in range(3)]
    for thread in threads:
        thread.start()

    def body() -> bool:
        before = counted(store)
        after = store.write(increment)
        store.close()
        return after > before >= 1

    codes = [in_child(body) for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert codes == [0] * 10
    assert counted(store) == store.write(increment) - 1


def test_a_child_may_fork_and_may_end_like_any_program(store: Store) -> None:
    store.write(increment)

    def grandchild() -> bool:
        return store.write(increment) == 3

    def child() -> bool:
        return store.write(increment) == 2 and in_child(grandchild) == 0

    assert in_child(child) == 0
    pid = os.fork()
    if pid == 0:
        # Not os._exit: the interpreter takes everything down, and must leave the parent's store alone.
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
    assert store.write(increment) == 4
    assert counted(store) == 4


def test_snapshots_of_the_parent_survive_its_children(store: Store) -> None:
    """A child that ends must not free the reader slots of its parent."""
    store.write(increment)
    partition = COUNTER.partition(("n",))
    beside_n = next(str(name) for name in itertools.count() if COUNTER.partition((str(name),)) == partition)

    def read(tx: Transaction) -> tuple[int, Any]:
        # The snapshot is as of the first look at the latest, where all rows are on one server.
        assert tx.get(COUNTER, (beside_n,)) is None
        code = in_child(lambda: store.write(increment) == 2)
        for _ in range(5):
            in_child(lambda: store.write(increment) > 2)
        return code, tx.get(COUNTER, ("n",))

    code, row = store.read(read)
    assert code == 0
    assert row is not None and row.value == 1
    assert counted(store) == 7


def test_spawned_workers_may_be_given_the_address(store_factory: StoreFactory) -> None:
    store = store_factory()
    with SPAWN.Pool(2) as pool:
        pool.starmap(rows.count_up, [(store_factory.url, 20)] * 4)
    assert counted(store) == 80
