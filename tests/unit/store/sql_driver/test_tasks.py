"""The SQL stores on an event loop: operations wait as tasks, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg2
import pytest
import uvloop

from oastfs.core.errors import NotFound, StoreError
from oastfs.store import open_store
from oastfs.store.schema import COUNTER, Counter
from oastfs.store.sql_driver import tasks
from oastfs.store.transaction import Store, Transaction
from tests.harness.postgresql import PostgresServer

WAIT_SECONDS = 20.0


@pytest.fixture(params=["one server", "shards"])
def urls(request: pytest.FixtureRequest, postgresql: PostgresServer) -> Iterator[list[str]]:
    if request.param == "shards":
        yield request.getfixturevalue("shards")
        return
    with postgresql.empty_store() as name:
        yield [postgresql.url(name)]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def attended(
    request: pytest.FixtureRequest, urls: list[str]
) -> Iterator[Callable[[Callable[[Store], Awaitable[Any]]], Any]]:
    """Runs a coroutine with a store that attends to its loop."""
    store = open_store(urls)

    async def main(body: Callable[[Store], Awaitable[Any]]) -> Any:
        store.attend(asyncio.get_running_loop())
        assert store.reads_awaitable
        try:
            return await asyncio.wait_for(body(store), WAIT_SECONDS)
        finally:
            await asyncio.to_thread(store.close)

    def run(body: Callable[[Store], Awaitable[Any]]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main(body))

    yield run
    store.close()


def submitted(how: Callable[..., None], operation: Callable[[Transaction], Any]) -> asyncio.Future[Any]:
    """What the operation gives, by ``Store.submit`` or ``submit_read``; it comes on the loop's thread."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    thread = threading.get_ident()

    def done(result: Any, error: BaseException | None) -> None:
        assert threading.get_ident() == thread
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    how(operation, done)
    return future


def count(name: str, delay_seconds: float = 0.0) -> Callable[[Transaction], int]:
    def operation(tx: Transaction) -> int:
        row = tx.get(COUNTER, (name,))
        if delay_seconds:
            tasks.sleep(delay_seconds)
        value = 1 if row is None else row.value + 1
        tx.put(COUNTER, (name,), Counter(value))
        return value

    return operation


def value_of(name: str) -> Callable[[Transaction], int]:
    def operation(tx: Transaction) -> int:
        row = tx.get(COUNTER, (name,))
        return 0 if row is None else row.value

    return operation


def test_changes_of_one_row_and_of_many(attended: Any) -> None:
    async def body(store: Store) -> None:
        one = [submitted(store.submit, count("one", 0.002)) for _ in range(40)]
        many = [submitted(store.submit, count(f"row{number}")) for number in range(100)]
        assert sorted(await asyncio.gather(*one)) == list(range(1, 41))
        assert await asyncio.gather(*many) == [1] * 100
        reads = [submitted(store.submit_read, value_of(f"row{number}")) for number in range(100)]
        assert await asyncio.gather(*reads) == [1] * 100
        assert await submitted(store.submit_read, value_of("one")) == 40

    attended(body)


def test_errors_reach_the_caller(attended: Any) -> None:
    def fail(tx: Transaction) -> None:
        tx.get(COUNTER, ("one",))
        raise NotFound("not here")

    async def body(store: Store) -> None:
        for how in (store.submit, store.submit_read):
            with pytest.raises(NotFound):
                await submitted(how, fail)

    attended(body)


def test_what_an_operation_submits_comes_after_it(attended: Any) -> None:
    order = []

    async def body(store: Store) -> None:
        ended = asyncio.get_running_loop().create_future()

        def operation(tx: Transaction) -> None:
            tx.get(COUNTER, ("one",))
            store.submit(count("two"), lambda result, error: ended.set_result(result))
            order.append("in the operation")

        await submitted(store.submit_read, operation)
        assert order == ["in the operation"]
        assert await ended == 1

    attended(body)


def test_the_loop_goes_on_while_a_row_is_locked(attended: Any, urls: list[str]) -> None:
    async def body(store: Store) -> None:
        assert await submitted(store.submit, count("one")) == 1
        locked = [_lock_counters(url) for url in urls]
        try:
            change = submitted(store.submit, count("one"))
            begun = time.monotonic()
            for _ in range(20):
                assert await submitted(store.submit_read, value_of("one")) == 1
                await asyncio.sleep(0.005)
            assert not change.done()
            assert time.monotonic() - begun < WAIT_SECONDS / 2
        finally:
            for connection in locked:
                connection.rollback()
                connection.close()
        assert await change == 2

    attended(body)


def _lock_counters(url: str) -> Any:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.cursor().execute("SELECT 1 FROM oastfs.counter FOR UPDATE")
    return connection


def test_lost_connections(attended: Any, urls: list[str]) -> None:
    """They are found to be gone when they are used, and the operations are run again on others."""

    async def body(store: Store) -> None:
        for attempt in range(1, 4):
            await asyncio.gather(*(submitted(store.submit_read, value_of("one")) for _ in range(10)))
            for url in urls:
                _end_sessions(url)
            assert await submitted(store.submit, count("one")) == attempt
            reads = [submitted(store.submit_read, value_of("one")) for _ in range(10)]
            assert await asyncio.gather(*reads) == [attempt] * 10

    attended(body)


def _end_sessions(url: str) -> None:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    connection.close()


def test_threads_beside_the_loop(attended: Any) -> None:
    """Who calls from a thread of his own waits on it."""

    async def body(store: Store) -> None:
        def on_thread() -> list[int]:
            return [store.write(count("one")) for _ in range(20)]

        threads = [asyncio.to_thread(on_thread) for _ in range(3)]
        on_loop = [submitted(store.submit, count("one")) for _ in range(20)]
        found = [one for some in await asyncio.gather(*threads) for one in some]
        assert sorted(found + await asyncio.gather(*on_loop)) == list(range(1, 81))

    attended(body)


def test_closing_waits_for_what_was_submitted(attended: Any) -> None:
    async def body(store: Store) -> None:
        changes = [submitted(store.submit, count(f"row{number}", 0.01)) for number in range(20)]
        await asyncio.to_thread(store.close)
        assert await asyncio.gather(*changes) == [1] * 20
        with pytest.raises(StoreError):
            store.submit(count("late"), lambda result, error: None)

    attended(body)
