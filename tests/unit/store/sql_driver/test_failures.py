"""A store whose server ends sessions, restarts, or goes away."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from oastfs.core.errors import StoreError, TransactionMisuse
from oastfs.store import open_store
from oastfs.store.run import Conflict
from oastfs.store.schema import COUNTER, LEASE, Counter, Lease
from oastfs.store.sql_driver import threaded
from oastfs.store.sql_driver.failures import InDoubt, Lost, translate
from oastfs.store.table import Lock
from oastfs.store.transaction import Store, Transaction
from tests.contract.rows import increment
from tests.harness.postgresql import PostgresServer
from tests.harness.waiting import wait_until


@pytest.fixture
def opened(database: str) -> Iterator[Store]:
    store = open_store(database)
    yield store
    store.close()


def value(store: Store) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    return 0 if row is None else row.value


def test_ended_sessions_are_replaced(opened: Store, postgresql: PostgresServer, database: str) -> None:
    name = database.rpartition("/")[2]
    for number in range(1, 6):
        assert opened.write(increment) == number
        assert value(opened) == number
        assert postgresql.kill_sessions(name) > 0


def test_a_session_that_ends_inside_an_operation(
    opened: Store, postgresql: PostgresServer, database: str
) -> None:
    """The operation is run again: nothing of it was committed."""
    attempts: list[int] = []

    def operation(tx: Transaction) -> int:
        number = increment(tx)
        attempts.append(number)
        if len(attempts) == 1:
            postgresql.kill_sessions(database.rpartition("/")[2])
        assert tx.get(COUNTER, ("other",)) is None
        return number

    assert opened.write(operation) == 1
    assert attempts == [1, 1]
    assert value(opened) == 1


def test_a_session_that_ends_before_the_commit_is_sent(
    opened: Store, postgresql: PostgresServer, database: str
) -> None:
    """From outside it cannot be told whether the commit arrived, so it is not made again."""

    def operation(tx: Transaction) -> int:
        number = increment(tx)
        postgresql.kill_sessions(database.rpartition("/")[2])
        return number

    with pytest.raises(StoreError, match="not known whether"):
        opened.write(operation)
    assert value(opened) == 0


def test_a_restart_is_waited_for() -> None:
    server = PostgresServer()
    try:
        store = open_store(server.url(server.create_database()), create=True)
        store.write(increment)
        for how in (signal.SIGINT, signal.SIGQUIT):
            server.stop(how)
            restart = threading.Timer(1.0, server.start)
            restart.start()
            before = value(store)
            assert store.write(increment) == before + 1
            restart.join()
        assert value(store) == 3
        store.close()
    finally:
        server.remove()


def test_a_server_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    server = PostgresServer()
    try:
        store = open_store(server.url(server.create_database()), create=True)
        store.write(increment)
        monkeypatch.setattr(threaded, "DEADLINE_SECONDS", 1.0)
        server.stop()
        started = time.monotonic()
        with pytest.raises(StoreError, match="gave up"):
            store.write(increment)
        with pytest.raises(StoreError, match="gave up"):
            value(store)
        assert time.monotonic() - started < 10
        store.close()
    finally:
        server.remove()


def test_snapshots_are_not_left_open(opened: Store, postgresql: PostgresServer, database: str) -> None:
    """A read's transaction is ended soon, also if nothing follows."""
    opened.write(increment)
    assert value(opened) == 1
    name = database.rpartition("/")[2]

    def none_open() -> bool:
        rows = postgresql.execute(
            "SELECT state FROM pg_stat_activity WHERE application_name = 'oastfs' "
            f"AND datname = '{name}' AND state <> 'idle'"
        )
        return rows == []

    wait_until(none_open, "idle sessions", 5)


# --- conflicts --------------------------------------------------------------------------------------


def test_the_first_of_two_changes_wins_and_the_other_is_made_again(database: str) -> None:
    first, second = open_store(database), open_store(database)
    second.write(lambda tx: tx.put(COUNTER, ("n",), Counter(10)))
    attempts: list[int] = []

    def slow(tx: Transaction) -> int:
        number = increment(tx)
        attempts.append(number)
        if len(attempts) == 1:
            second.write(increment)
        return number

    assert first.write(slow) == 12
    assert attempts == [11, 12]
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("lock", "attempts_expected"), [(Lock.NONE, 1), (Lock.SHARED, 2), (Lock.EXCLUSIVE, 2)]
)
def test_a_locked_row_is_not_changed_meanwhile(database: str, lock: Lock, attempts_expected: int) -> None:
    first, second = open_store(database), open_store(database)
    second.write(increment)
    attempts: list[int] = []

    def operation(tx: Transaction) -> None:
        tx.get(COUNTER, ("n",), lock)
        attempts.append(1)
        if len(attempts) == 1:
            second.write(increment)
        tx.put(LEASE, ("x",), Lease(1))

    first.write(operation)
    assert len(attempts) == attempts_expected
    assert value(first) == 2
    first.close()
    second.close()


def test_two_who_make_the_same_row(database: str) -> None:
    first, second = open_store(database), open_store(database)
    found: list[bool] = []

    def operation(tx: Transaction) -> None:
        found.append(tx.get(LEASE, ("x",)) is not None)
        if len(found) == 1:
            second.write(lambda other: other.put(LEASE, ("x",), Lease(2)))
        if not found[-1]:
            tx.put(LEASE, ("x",), Lease(1))

    first.write(operation)
    assert found == [False, True]
    assert first.read(lambda tx: tx.get(LEASE, ("x",))) == Lease(2)
    first.close()
    second.close()


def test_a_row_that_was_removed_meanwhile_does_not_come_back(database: str) -> None:
    first, second = open_store(database), open_store(database)
    second.write(lambda tx: tx.put(LEASE, ("x",), Lease(1)))
    found: list[bool] = []

    def operation(tx: Transaction) -> None:
        row = tx.get(LEASE, ("x",))
        found.append(row is not None)
        if len(found) == 1:
            second.write(lambda other: other.delete(LEASE, ("x",)))
        if row is not None:
            tx.put(LEASE, ("x",), Lease(5))

    first.write(operation)
    assert found == [True, False]
    assert first.read(lambda tx: tx.get(LEASE, ("x",))) is None
    first.close()
    second.close()


def test_what_errors_mean() -> None:
    class Refusal(Exception):
        def __init__(self, code: str, text: str) -> None:
            super().__init__(text)
            self.pgcode = code

    def meaning(
        code: str, lost: bool = False, committing: bool = False, text: str = "what the server says"
    ) -> type[Exception]:
        return type(translate(Refusal(code, text), lost=lost, committing=committing, database="db"))

    assert meaning("40001") is meaning("40P01") is meaning("23505") is meaning("55P03") is Conflict
    assert meaning("57P01") is meaning("", lost=True) is Lost
    assert meaning("", lost=True, committing=True) is InDoubt
    assert meaning("53100").__name__ == "StoreFull"
    assert meaning("22003") is meaning("") is TransactionMisuse
    assert meaning("42P01").__name__ == "WrongStore"
    assert meaning("57014") is meaning("XX000") is StoreError
    half = "could not commit transaction for shard 102676 on at least one active node"
    assert meaning("XX000", committing=True, text=half) is InDoubt
    essential = "failure on connection marked as essential: 127.0.0.1:5432"
    assert meaning("XX000", committing=True, text=essential) is Conflict


@pytest.mark.parametrize("through", ["read", "write"])
def test_a_lost_session_is_none_of_the_operation_s_errors(
    opened: Store, postgresql: PostgresServer, database: str, through: str
) -> None:
    """An operation that goes on after an error (a batch does) is run again all the same."""
    opened.write(increment)
    attempts: list[int] = []

    def operation(tx: Transaction) -> Counter | None:
        attempts.append(1)
        if len(attempts) == 1:
            tx.get(COUNTER, ("other",))
            postgresql.kill_sessions(database.rpartition("/")[2])
        try:
            return tx.get(COUNTER, ("n",))
        except OSError:
            return None

    assert getattr(opened, through)(operation) == Counter(1)
    assert len(attempts) == 2


# --- another layout, another driver -------------------------------------------------------------------


def test_trips_are_few(database: str) -> None:
    """One row read, and one read and changed: BEGIN and COMMIT travel with what they belong to."""
    store = open_store(database)
    store.write(increment)
    before = store.trips()
    value(store)
    assert store.trips() - before == 1
    store.write(increment)
    assert store.trips() - before == 3
    store.write(lambda tx: tx.put(LEASE, ("x",), Lease(1)))
    assert store.trips() - before == 4
    store.close()
