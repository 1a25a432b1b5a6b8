"""Connections that nobody may have again: a statement is under way on them, or their server is gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from oastfs.store import open_store
from oastfs.store.schema import COUNTER, Counter
from oastfs.store.sql_driver.trips import _Polling
from oastfs.store.transaction import Store, Transaction
from tests.harness.waiting import wait_until

WAIT_SECONDS = 20.0


@pytest.fixture(params=["psycopg2", "psycopg"])
def store(request: pytest.FixtureRequest, database: str) -> Iterator[Store]:
    store = open_store(database.replace("+psycopg2", f"+{request.param}"))
    store.write(lambda tx: tx.put(COUNTER, ("one",), Counter(1)))
    yield store
    store.close()


def value(tx: Transaction) -> int:
    row = tx.get(COUNTER, ("one",))
    assert row is not None
    return row.value


def change(tx: Transaction) -> None:
    tx.put(COUNTER, ("one",), Counter(value(tx) + 1))


class Blocked:
    """Whoever asks for a counter waits for it, until ``release``."""

    def __init__(self, url: str) -> None:
        self._connection, self._watching = (psycopg2.connect(url.replace("+psycopg2", "")) for _ in range(2))
        self._watching.autocommit = True  # within a transaction, activities stay as they were seen first
        self._connection.cursor().execute("LOCK TABLE oastfs.counter IN ACCESS EXCLUSIVE MODE")

    def await_one(self) -> None:
        """Somebody waits."""
        wait_until(lambda: self._count("") == 1, "a statement that waits")

    def end_waiting(self) -> None:
        """End the connections of those who wait."""
        self._count(", pg_terminate_backend(pid)")

    def release(self) -> None:
        self._connection.rollback()
        self._connection.close()
        self._watching.close()

    def _count(self, besides: str) -> int:
        with self._watching.cursor() as cursor:
            cursor.execute(
                f"SELECT pid{besides} FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return len(cursor.fetchall())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt: a process that runs tests for another one ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", ["read", "write"])
def test_an_interrupted_statement_is_not_left_to_the_next(store: Store, database: str, how: str) -> None:
    operation: Callable[[Transaction], Any] = value if how == "read" else change
    blocked = Blocked(database)

    def interrupt() -> None:
        blocked.await_one()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            getattr(store, how)(operation)
    finally:
        interrupter.join(WAIT_SECONDS)
        blocked.release()
    before = store.trips()
    assert store.read(value) == 1
    assert store.trips() - before == 1, "its connection was lent again"
    store.write(change)
    assert store.read(value) == 2


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_connection_that_ends_under_a_statement(store: Store, database: str, how: str) -> None:
    """The operation is run again on another one; what had begun has changed nothing."""
    operation: Callable[[Transaction], Any] = value if how == "read" else change
    blocked = Blocked(database)
    worker = threading.Thread(target=getattr(store, how), args=(operation,))
    worker.start()
    blocked.await_one()
    blocked.end_waiting()
    blocked.await_one()
    blocked.release()
    worker.join(WAIT_SECONDS)
    assert not worker.is_alive()
    assert store.read(value) == (1 if how == "read" else 2)


def test_a_connection_that_ends_before_its_notices_are_taken(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard's server goes away when the driver has the rows and is asked once more."""
    ends = iter([True])
    take_notices = _Polling.take_notices

    def take_after_the_end(trip: _Polling) -> None:
        if next(ends, False):  # as if the server had been killed: there is no word of farewell
            with socket.socket(fileno=os.dup(trip._connection.fileno())) as theirs:
                theirs.shutdown(socket.SHUT_RDWR)
        take_notices(trip)

    store = open_store(shards)
    try:
        store.write(lambda tx: tx.put(COUNTER, ("one",), Counter(1)))
        for begin in (value, lambda tx: tx.prefetch({COUNTER: [("one",)]}) or value(tx)):
            ends = iter([True])
            monkeypatch.setattr(_Polling, "take_notices", take_after_the_end)
            assert store.read(begin) == 1
            assert next(ends, None) is None, "no notices were taken"
    finally:
        store.close()
