"""What the store costs by itself: reads, scans, durable writes, bytes per inode.

Run: ``pytest bench/test_store.py``. A round's time divided by its ``rows`` or ``operations`` (extra
info) is the cost of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.store import open_store
from oastfs.store.ids import IdAllocator
from oastfs.store.schema import CONTENT, DIRECTORY, INODE, PLACE, ROOT_ID, Content, Directory, Inode, Place
from oastfs.store.transaction import Store, Transaction

NOW_NS = 1_750_000_000_123_456_789
DIRECTORIES = 200
FILES = 500
"""In each directory."""


def an_inode(number: int, mode: int = 0o100644) -> Inode:
    return Inode(number, mode, 1000, 1000, 12_345, NOW_NS, NOW_NS, NOW_NS)


def load(store: Store, directory: int, files: int) -> None:
    """A directory of files, as creates leave it."""

    def write(tx: Transaction) -> None:
        tx.put(DIRECTORY, (directory,), Directory(NOW_NS, NOW_NS))
        for number in range(files):
            inode_id = (directory * files + number) << 10 | directory % 1024
            name = f"sample-{number:06}.jpg"
            tx.put(INODE, (directory, name), an_inode(inode_id))
            tx.put(PLACE, (inode_id,), Place(directory, name))

    store.write(write)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A tree of 100,000 files, four levels deep."""
    store = open_store(f"lmdb://{tmp_path_factory.mktemp('bench')}/store", create=True)

    def chain(tx: Transaction) -> None:
        tx.put(INODE, (0, ""), an_inode(ROOT_ID, 0o40755))
        tx.put(INODE, (ROOT_ID, "data"), an_inode(2, 0o40755))
        tx.put(INODE, (2, "train"), an_inode(3, 0o40755))
        tx.put(INODE, (3, "class"), an_inode(5, 0o40755))

    store.write(chain)
    for directory in range(5, 5 + DIRECTORIES):
        load(store, directory, FILES)
    yield store
    store.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    yield store
    store.close()


def test_snapshot(loaded: Store, benchmark: Any) -> None:
    """Beginning and ending a read transaction."""
    benchmark(lambda: loaded.read(lambda tx: None))


def test_point_read(loaded: Store, benchmark: Any) -> None:
    """One row, within a transaction that is there."""
    key = (5, "sample-000250.jpg")
    loaded.read(lambda tx: benchmark(tx.get, INODE, key))


def test_path_of_four_reads(loaded: Store, benchmark: Any) -> None:
    """A snapshot and the rows of /data/train/class/sample: what a stat at depth 4 asks of the store."""
    names = ("data", "train", "class", "sample-000250.jpg")

    def walk(tx: Transaction) -> Inode:
        get = tx.get
        inode = get(INODE, (0, ""))
        for name in names:
            assert inode is not None
            inode = get(INODE, (inode.id, name))
        assert inode is not None
        return inode

    benchmark(lambda: loaded.read(walk))


def test_scan(loaded: Store, benchmark: Any) -> None:
    """A listing of 100,000 entries, decoded."""
    benchmark.extra_info["rows"] = DIRECTORIES * FILES

    def scan() -> None:
        count = loaded.read(lambda tx: sum(1 for _ in tx.scan(INODE)))
        assert count == DIRECTORIES * FILES + 4

    benchmark(scan)


def test_scan_of_a_page(loaded: Store, benchmark: Any) -> None:
    """One page of a directory: 100 entries after a name."""
    after = ("sample-000200.jpg",)
    benchmark.extra_info["rows"] = 100
    benchmark(lambda: loaded.read(lambda tx: list(tx.scan(INODE, (7,), after, 100))))


def creates(store: Store, ids: IdAllocator) -> Callable[[str], None]:
    """The reads and writes of creating a small file: three gets, an id, four puts."""

    def create(name: str) -> None:
        def operation(tx: Transaction) -> None:
            tx.get(INODE, (0, ""))
            directory = tx.get(DIRECTORY, (ROOT_ID,))
            assert tx.get(INODE, (ROOT_ID, name)) is None and directory is not None
            inode_id = ids.take(tx, 7)
            tx.put(INODE, (ROOT_ID, name), an_inode(inode_id))
            tx.put(PLACE, (inode_id,), Place(ROOT_ID, name))
            tx.put(CONTENT, (inode_id,), Content(b"x" * 100))
            tx.put(DIRECTORY, (ROOT_ID,), Directory(NOW_NS, NOW_NS, directory.subdirectories))

        store.write(operation)

    store.write(lambda tx: tx.put(DIRECTORY, (ROOT_ID,), Directory(NOW_NS, NOW_NS)))
    return create


@pytest.mark.bound_by("sync")
@pytest.mark.parametrize("threads", [1, 4, 32])
def test_durable_creates(empty: Store, benchmark: Any, threads: int) -> None:
    """Creates, each answered after its sync."""
    create = creates(empty, IdAllocator(empty, "inode"))
    each = 3200 // threads if threads > 1 else 300
    benchmark.extra_info["operations"] = each * threads
    rounds = iter(range(1000))

    def run() -> None:
        turn = next(rounds)

        def work(thread: int) -> None:
            for number in range(each):
                create(f"{turn}-{thread}-{number}")

        workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.bound_by("sync")
def test_submitted_creates(empty: Store, benchmark: Any) -> None:
    """Durable puts submitted by one thread, 64 at a time in flight, as a server's event loop does."""
    in_flight = threading.Semaphore(64)
    benchmark.extra_info["operations"] = 3000
    rounds = iter(range(1000))

    def run() -> None:
        turn = next(rounds)
        for number in range(3000):
            name = f"{turn}-{number}"
            in_flight.acquire()
            empty.submit(
                lambda tx, name=name: tx.put(INODE, (ROOT_ID, name), an_inode(1)),  # type: ignore[misc]
                lambda result, error: in_flight.release(),
            )
        empty.write(lambda tx: None)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("group", [1, 32])
def test_bytes_per_inode(empty: Store, benchmark: Any, group: int) -> None:
    """Bytes on disk for each of 100,000 inodes made ``group`` at a time in many directories."""
    count = 100_000
    before = empty.usage()[0]

    def run() -> None:
        ids = IdAllocator(empty, "inode")
        for first in range(0, count, 5000):

            def write(tx: Transaction, first: int = first) -> None:
                for number in range(first, first + 5000):
                    parent = number // group % 1000 << 10 | 7
                    inode_id = ids.take(tx, 7)
                    name = f"sample-{number:06}.jpg"
                    tx.put(INODE, (parent, name), an_inode(inode_id))
                    tx.put(PLACE, (inode_id,), Place(parent, name))

            empty.write(write)

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["bytes_per_inode"] = round((empty.usage()[0] - before) / count)
