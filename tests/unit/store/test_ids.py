"""Ids: never twice, whatever is undone, killed or forked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.store import open_store
from oastfs.store.ids import IdAllocator
from oastfs.store.schema import COUNTER, FIRST_INODE_ID, PLACE, Counter, Place
from oastfs.store.table import PARTITION_BITS, PARTITION_MASK
from oastfs.store.transaction import Store, Transaction
from tests.harness.waiting import wait_until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"lmdb://{tmp_path}/store", create=True)
    yield opened
    opened.close()


def counter(store: Store) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("inode",)))
    return 0 if row is None else row.value


def take(store: Store, ids: IdAllocator, partition: int = 0) -> int:
    return store.write(lambda tx: ids.take(tx, partition))


@pytest.mark.parametrize("first", [1, 1023, FIRST_INODE_ID, FIRST_INODE_ID + 1, 10**9])
@pytest.mark.parametrize("partition", [0, 5, PARTITION_MASK])
def test_ids_carry_their_partition_and_start_at_first(store: Store, first: int, partition: int) -> None:
    ids = IdAllocator(store, "inode", first=first)
    found = [take(store, ids, partition) for _ in range(5)]
    assert all(one & PARTITION_MASK == partition and one >= first for one in found)
    assert len(set(found)) == 5


def test_a_single_id_reserves_no_batch(store: Store) -> None:
    take(store, IdAllocator(store, "inode", batch=1000))
    store.write(lambda tx: None)
    assert counter(store) == 2


def test_a_batch_serves_without_touching_the_counter(store: Store) -> None:
    ids = IdAllocator(store, "inode", batch=100)
    found = [take(store, ids) for _ in range(3)]
    wait_until(lambda: ids._next_numbers is not None, "a batch to be reserved", 10)
    before = counter(store)
    found += [take(store, ids) for _ in range(90)]
    assert counter(store) in (before, before + 100), "ids were reserved one by one"
    found += [take(store, ids) for _ in range(900)]
    assert len(set(found)) == len(found)


def test_no_number_is_used_before_the_counter_past_it_is_durable(store: Store) -> None:
    """What is taken from a batch is below the committed counter; else it is in the transaction itself."""
    ids = IdAllocator(store, "inode", batch=10)
    for _ in range(200):

        def operation(tx: Transaction) -> tuple[int, int]:
            taken = ids.take(tx, 0) >> PARTITION_BITS
            row = tx.get(COUNTER, ("inode",))
            assert row is not None
            return taken, row.value

        taken, value = store.write(operation)
        assert taken < value


def test_undone_operations_never_lead_to_a_second_owner(store: Store) -> None:
    ids = IdAllocator(store, "inode", batch=7)
    kept: list[int] = []
    for number in range(300):

        def operation(tx: Transaction, number: int = number) -> int:
            one = ids.take(tx, 1)
            assert tx.get(PLACE, (one,)) is None, "an id was given twice"
            tx.put(PLACE, (one,), Place(1, str(number)))
            if number % 3 == 0:
                raise KeyError(number)
            return one

        try:
            kept.append(store.write(operation))
        except KeyError:
            pass
    assert len(set(kept)) == len(kept) == 200
    assert store.count(PLACE) == 200


def test_threads_and_allocators_share_a_counter(store: Store) -> None:
    found: list[int] = []

    def work() -> None:
        ids = IdAllocator(store, "inode", batch=11)
        for _ in range(100):
            found.append(take(store, ids))

    shared = IdAllocator(store, "inode", batch=5)
    threads = [threading.Thread(target=work) for _ in range(4)]
    threads += [
        threading.Thread(target=lambda: found.extend(take(store, shared) for _ in range(100)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 800


def test_a_child_forgets_the_numbers_of_its_parent(store: Store) -> None:
    ids = IdAllocator(store, "inode", batch=1000)
    before = {take(store, ids) for _ in range(20)}
    wait_until(lambda: counter(store) > 1000, "a batch to be reserved", 10)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in range(50):
                os.write(writing, take(store, ids).to_bytes(8, "big"))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    child = {int.from_bytes(raw[at : at + 8], "big") for at in range(0, len(raw), 8)}
    after = {take(store, ids) for _ in range(50)}
    assert len(child) == 50
    assert not child & (before | after)


def test_a_counter_that_is_there_goes_on(store: Store) -> None:
    store.write(lambda tx: tx.put(COUNTER, ("inode",), Counter(5000)))
    assert take(store, IdAllocator(store, "inode", first=1)) == 5000 << PARTITION_BITS
