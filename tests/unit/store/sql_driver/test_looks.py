"""Reads of one statement, and those that share one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from oastfs.core.errors import TransactionMisuse
from oastfs.store import open_store
from oastfs.store.schema import CONTENT, COUNTER, Content, Counter
from oastfs.store.sql_driver.looks import UNDER_WAY_MAX
from oastfs.store.sql_driver.threaded import THREADS
from oastfs.store.transaction import Store, Transaction
from tests.harness.postgresql import PostgresServer
from tests.unit.store.sql_driver.test_tasks import submitted

ROWS = 40
WAIT_SECONDS = 120.0


def fill(tx: Transaction) -> None:
    for number in range(ROWS):
        tx.put(COUNTER, (f"row{number}",), Counter(number))
        tx.put(CONTENT, (number,), Content(b"%d" % number))


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.empty_store() as name:
        yield postgresql.url(name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    store.write(fill)
    yield store
    store.close()


@pytest.fixture
def attended(store: Store) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs a coroutine on a loop that the store attends to."""

    async def main(body: Callable[[], Awaitable[Any]]) -> Any:
        store.attend(asyncio.get_running_loop())
        try:
            return await asyncio.wait_for(body(), WAIT_SECONDS)
        finally:
            await asyncio.to_thread(store.close)

    def run(body: Callable[[], Awaitable[Any]]) -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main(body))

    return run


def both(number: int) -> Callable[[Transaction], tuple[int, bytes]]:
    """A counter and a content, which have the same number."""

    def operation(tx: Transaction) -> tuple[int, bytes]:
        tx.prefetch({COUNTER: [(f"row{number}",)], CONTENT: [(number,)]})
        counter, content = tx.get(COUNTER, (f"row{number}",)), tx.get(CONTENT, (number,))
        assert counter is not None and content is not None
        return counter.value, content.data

    return operation


def increase(number: int) -> Callable[[Transaction], None]:
    def operation(tx: Transaction) -> None:
        row = tx.get(COUNTER, (f"row{number}",))
        assert row is not None
        tx.put(COUNTER, (f"row{number}",), Counter(row.value + 1))
        tx.put(CONTENT, (number,), Content(b"%d" % (row.value + 1)))

    return operation


def test_reads_that_come_together_share_a_trip(attended: Any, store: Store) -> None:
    async def body() -> None:
        trips = []
        for _ in range(3):
            before = store.trips()
            reads = [submitted(store.submit_read, both(number)) for number in range(THREADS)]
            assert await asyncio.gather(*reads) == [(number, b"%d" % number) for number in range(THREADS)]
            trips.append(store.trips() - before)
        # The first ones go alone, as nobody knows yet that others come. Then all others go together.
        assert trips == [UNDER_WAY_MAX + 1, 1, 1]

    attended(body)


def test_more_reads_than_tasks(attended: Any, store: Store) -> None:
    """How many trips they share depends on which answers come together."""

    async def body() -> None:
        reads = [submitted(store.submit_read, both(number)) for number in range(ROWS)]
        assert await asyncio.gather(*reads) == [(number, b"%d" % number) for number in range(ROWS)]

    attended(body)


def test_each_sees_what_was_committed_before_it_came(attended: Any, store: Store) -> None:
    """With others' looks under way all the time, nobody is told what was before."""

    async def body() -> None:
        done = False

        async def read_on(number: int) -> None:
            last = 0
            while not done:
                value, data = await submitted(store.submit_read, both(number))
                assert b"%d" % value == data and value >= last
                last = value

        readers = [asyncio.create_task(read_on(number % 4)) for number in range(8)]
        for turn in range(1, 100):
            number = turn % 4
            before, _ = await submitted(store.submit_read, both(number))
            await submitted(store.submit, increase(number))
            assert (await submitted(store.submit_read, both(number)))[0] == before + 1
        done = True
        await asyncio.gather(*readers)

    attended(body)


def test_what_fails_for_one_does_not_for_others(attended: Any, store: Store) -> None:
    async def body() -> None:
        def wrong(tx: Transaction) -> None:
            tx.get(COUNTER, (5,))

        reads = [submitted(store.submit_read, both(number)) for number in range(4)]
        failing = submitted(store.submit_read, wrong)
        reads += [submitted(store.submit_read, both(number)) for number in range(4, 8)]
        assert [value for value, _ in await asyncio.gather(*reads)] == list(range(8))
        with pytest.raises(TransactionMisuse):
            await failing

    attended(body)


def test_what_was_read_first_is_held_to_what_comes_later(store: Store, url: str) -> None:
    """A change between the look and what else is wanted: the operation is run again, not told halves."""
    runs = []

    def operation(tx: Transaction) -> tuple[int, bytes]:
        tx.prefetch({COUNTER: [("row1",)]})
        counter = tx.get(COUNTER, ("row1",))
        runs.append(counter)
        if len(runs) == 1:
            other.write(increase(1))
        content = tx.get(CONTENT, (1,))
        assert counter is not None and content is not None
        return counter.value, content.data

    other = open_store(url)
    assert store.read(operation) == (2, b"2")
    assert len(runs) == 2
    # What does not change is not read by another run.
    del runs[:]
    runs.append(None)
    assert store.read(operation) == (2, b"2")
    assert len(runs) == 2
    other.close()


def test_a_scan_goes_with_what_was_read_before(store: Store, url: str) -> None:
    other = open_store(url)
    runs = 0

    def operation(tx: Transaction) -> tuple[int, bytes]:
        nonlocal runs
        runs += 1
        tx.prefetch({COUNTER: [("row1",)]})
        counter = tx.get(COUNTER, ("row1",))
        if runs == 1:
            other.write(increase(1))
        found = {key: row.data for key, row in tx.scan(CONTENT, (1,))}
        assert counter is not None
        return counter.value, found[(1,)]

    assert store.read(operation) == (2, b"2")
    assert runs == 2
    other.close()


def test_trips_of_reads(store: Store) -> None:
    """A look is one; what goes on after it is as many as if it had begun with a snapshot."""

    def look_and_more(tx: Transaction) -> None:
        tx.prefetch({COUNTER: [("row1",), ("row2",)]})
        tx.get(COUNTER, ("row2",))
        tx.get(CONTENT, (1,))
        tx.get(CONTENT, (2,))

    def page(tx: Transaction) -> None:
        tx.prefetch({COUNTER: [("row1",), ("row2",)]}, more=True)
        list(tx.scan(CONTENT, limit=5))

    trips = []
    for operation in (both(1), look_and_more, page):
        before = store.trips()
        store.read(operation)
        trips.append(store.trips() - before)
    assert trips == [1, 3, 2]


def test_a_read_leaves_no_transaction_open(empty_database: str, postgresql: PostgresServer) -> None:
    """In a database of its own: sessions of a store that was closed just now may not have ended yet."""
    store = open_store(empty_database, create=True)
    store.write(fill)
    for number in range(4):
        store.read(both(number))
    states = postgresql.execute(
        "SELECT state FROM pg_stat_activity WHERE application_name = 'oastfs' AND state LIKE 'idle in%' "
        f"AND datname = '{empty_database.rpartition('/')[2]}'"
    )
    assert states == []
    store.close()
