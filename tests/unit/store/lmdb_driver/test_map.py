"""The map grows while the store is used, here and from other processes, and starts as large as it can."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.schema import CONTENT, Content
from oastfs.store.transaction import Store, Transaction

SMALL = 1 << 20
SPAWN = multiprocessing.get_context("spawn")


def open_small(directory: Path) -> LmdbStore:
    store = open_store(f"lmdb://{directory}/store", create=True, map_bytes=SMALL)
    assert isinstance(store, LmdbStore)
    return store


def put(store: Store, number: int, size_bytes: int = 65536) -> None:
    store.write(lambda tx: tx.put(CONTENT, (number,), Content(number.to_bytes(4, "big") * (size_bytes // 4))))


def numbers(store: Store) -> list[int]:
    def read(tx: Transaction) -> list[int]:
        found = []
        for key, row in tx.scan(CONTENT):
            assert row.data[:4] == int(key[0]).to_bytes(4, "big")
            found.append(int(key[0]))
        return found

    return store.read(read)


def test_it_grows_under_readers_and_writers(tmp_path: Path) -> None:
    store = open_small(tmp_path)
    stop = threading.Event()
    problems: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                numbers(store)
        except BaseException as error:
            problems.append(error)

    def work(first: int) -> None:
        try:
            for number in range(first, first + 100):
                put(store, number)
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=look) for _ in range(2)]
    writers = [threading.Thread(target=work, args=(first,)) for first in (0, 1000, 2000)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert problems == []
    assert numbers(store) == [*range(100), *range(1000, 1100), *range(2000, 2100)]
    assert store.usage()[0] > 300 * 65536
    store.close()


def test_one_transaction_larger_than_the_map(tmp_path: Path) -> None:
    store = open_small(tmp_path)
    attempts = []

    def write(tx: Transaction) -> None:
        attempts.append(True)
        for number in range(200):
            tx.put(CONTENT, (number,), Content(number.to_bytes(4, "big") * 16384))

    store.write(write)
    assert numbers(store) == list(range(200))
    assert len(attempts) > 1
    store.close()


def test_growing_waits_for_a_snapshot_that_is_read(tmp_path: Path) -> None:
    store = open_small(tmp_path)
    put(store, 1)
    began, growing = threading.Event(), threading.Event()

    def read(tx: Transaction) -> list[Any]:
        first = tx.get(CONTENT, (1,))
        began.set()
        assert growing.wait(30)
        # The barrier is up, but this snapshot is what it waits for.
        return [first, tx.get(CONTENT, (1,)), store.read(lambda nested: nested.get(CONTENT, (1,)))]

    results: list[Any] = []
    reader = threading.Thread(target=lambda: results.extend(store.read(read)))
    reader.start()
    assert began.wait(30)

    def fill() -> None:
        for number in range(2, 40):
            put(store, number)

    writer = threading.Thread(target=fill)
    writer.start()
    while store.environment.barrier is None:
        assert writer.is_alive(), "the map never grew"
    growing.set()
    reader.join(30)
    writer.join(30)
    assert results[0] is not None and results[0] == results[1] == results[2]
    assert numbers(store) == list(range(1, 40))
    store.close()


def fill_elsewhere(directory: Path) -> None:
    """Body of another process: make the store some megabytes larger."""
    store = open_small(directory)
    for number in range(100, 300):
        put(store, number)
    store.close()


def test_it_adopts_what_another_process_grew(tmp_path: Path) -> None:
    store = open_small(tmp_path)
    put(store, 1)
    process = SPAWN.Process(target=fill_elsewhere, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    results: list[list[int]] = []
    readers = [threading.Thread(target=lambda: results.append(numbers(store))) for _ in range(4)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join(30)
    assert results == [[1, *range(100, 300)]] * 4
    put(store, 2)

    process = SPAWN.Process(target=fill_elsewhere, args=(tmp_path,))
    process.start()
    process.join(60)
    put(store, 3)
    assert numbers(store) == [1, 2, 3, *range(100, 300)]
    store.close()


def test_little_address_space_means_a_smaller_map(tmp_path: Path) -> None:
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from oastfs.store import open_store
from oastfs.store.schema import CONTENT, Content
store = open_store("lmdb://{tmp_path}/store", create=True)
store.write(lambda tx: tx.put(CONTENT, (1,), Content(b"x")))
print(store.environment.map_bytes)
store.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 64 << 20 <= int(done.stdout) < 2 << 30
