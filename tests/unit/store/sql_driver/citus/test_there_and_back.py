"""On a real Citus: what changed and changed back is not shown beside what it was never there with.

Snapshots of two workers are of two moments, so an operation that has read rows of both reads them again. Here
others change them just where values cannot tell that: between the operation's two reads, and then between the
snapshots that the two workers take for the second look.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from oastfs.store import open_store
from oastfs.store.schema import OPEN_FILE, OpenFile
from oastfs.store.sql_driver.citus import objects
from oastfs.store.sql_driver.citus.store import CitusStore
from oastfs.store.sql_driver.citus.transaction import CitusTransaction
from oastfs.store.sql_driver.watched import Rows
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction
from tests.harness.citus import CitusCluster
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.long

HOLDER = "holder"
Look = Callable[[Transaction, Key], int | None]
State = tuple[int | None, int | None]
"""When the two files were opened; None: such a row is not there."""


class Case(NamedTuple):
    """What the rows are, one after the other."""

    first: State
    meanwhile: list[State]
    """After the first row was read."""
    back: State
    """After the second one's worker was looked at again."""
    seen: State
    """By who believes the values: never there."""


CASES = [
    Case((1, 1), [(2, 1), (2, 5)], (1, 6), (1, 5)),
    Case((None, 1), [(2, 1), (2, 5)], (None, 6), (None, 5)),
    Case((None, 1), [(1, None)], (None, 1), (None, None)),
    Case((1, None), [(None, 1)], (1, None), (1, 1)),
]


def by_key(tx: Transaction, key: Key) -> int | None:
    row = tx.get(OPEN_FILE, key)
    return row.opened_ns if row else None


def together(tx: Transaction, key: Key) -> int | None:
    tx.prefetch({OPEN_FILE: [key, (key[0], "another")]})
    return by_key(tx, key)


def of_many(tx: Transaction, key: Key) -> int | None:
    (row,) = tx.get_many(OPEN_FILE, [key])
    return row.opened_ns if row else None


def by_scan(tx: Transaction, key: Key) -> int | None:
    return next((row.opened_ns for _, row in tx.scan(OPEN_FILE, key[:1])), None)


def by_index(tx: Transaction, key: Key) -> int | None:
    rows = tx.scan(OPEN_FILE, (HOLDER,), index=OPEN_FILE.indexes[0])
    return next((row.opened_ns for found, row in rows if found == key), None)


def in_all(tx: Transaction, key: Key) -> int | None:
    return next((row.opened_ns for found, row in tx.scan(OPEN_FILE) if found == key), None)


@pytest.fixture
def store(citus_database: str) -> Iterator[CitusStore]:
    yield from opened(citus_database)


@pytest.fixture
def other(citus_database: str) -> Iterator[CitusStore]:
    yield from opened(citus_database)


def opened(url: str) -> Iterator[CitusStore]:
    store = open_store(url)
    assert isinstance(store, CitusStore)
    yield store
    store.close()


@pytest.fixture
def keys(store: CitusStore, citus_cluster: CitusCluster) -> tuple[Key, Key]:
    """Of a row on the first worker, and of one on the second."""
    database = str(store._server.connections.shown).rpartition("/")[2]
    found: dict[str, Key] = {}
    for number in range(1, 64):
        port = citus_cluster.coordinator.execute(
            "SELECT nodeport FROM citus_shards WHERE shardid = "
            f"get_shard_id_for_distribution_column('oastfs.open_file', {number})",
            database,
        )[0][0]
        found.setdefault(str(port), (number, HOLDER))
    first, second = (found[str(worker.port)] for worker in citus_cluster.workers)
    return first, second


def become(store: CitusStore, keys: tuple[Key, Key], state: State) -> None:
    """In one transaction."""

    def change(tx: Transaction) -> None:
        for key, value in zip(keys, state, strict=True):
            row = tx.get(OPEN_FILE, key)
            if (row.opened_ns if row else None) == value:
                continue
            if value is None:
                tx.delete(OPEN_FILE, key)
            else:
                tx.put(OPEN_FILE, key, OpenFile(True, value))

    store.write(change)


@pytest.fixture
def between_workers(
    store: CitusStore, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Key, Callable[[], None]], None]:
    """Have the worker of a row take its snapshot before the others in each second look, and something done
    then, at the next one."""
    start = CitusTransaction.start_second_look
    left: list[tuple[Key, Callable[[], None]]] = []

    def start_late(tx: CitusTransaction, rows: Rows) -> Any:
        if left and tx._batches is store._server.batches:  # not the other store's
            key, action = left.pop()
            tx.get(OPEN_FILE, key)
            action()
        return start(tx, rows)

    monkeypatch.setattr(CitusTransaction, "start_second_look", start_late)
    return lambda key, action: left.append((key, action))


class Refused(Exception):
    """How an operation that changes something ends instead, because of what it has seen."""

    def __init__(self, seen: State) -> None:
        super().__init__(seen)
        self.seen = seen


@pytest.mark.parametrize(
    ("looks", "refused"),
    [
        ((by_key, by_key), False),
        ((by_key, by_key), True),
        ((together, together), False),
        ((of_many, by_key), False),
        ((by_scan, by_scan), False),
        ((by_scan, by_key), True),
        ((by_key, by_index), False),
        ((by_key, in_all), False),
    ],
    ids=lambda one: "-".join(look.__name__ for look in one) if isinstance(one, tuple) else str(one),
)
def test_there_and_back(
    store: CitusStore,
    other: CitusStore,
    keys: tuple[Key, Key],
    between_workers: Callable[[Key, Callable[[], None]], None],
    looks: tuple[Look, Look],
    refused: bool,
) -> None:
    for case in CASES:
        become(other, keys, case.first)
        between_workers(keys[1], partial(become, other, keys, case.back))
        attempts: list[State] = []

        def operation(tx: Transaction, case: Case = case, attempts: list[State] = attempts) -> State:
            here = looks[0](tx, keys[0])
            if not attempts:
                for state in case.meanwhile:
                    become(other, keys, state)
            attempts.append((here, looks[1](tx, keys[1])))
            return attempts[-1]

        seen = refusal_of(store, operation) if refused else store.read(operation)
        assert attempts[0] == case.seen, case
        assert seen in [case.first, *case.meanwhile, case.back], (case, attempts)
    assert_nothing_locked(store)


def refusal_of(store: CitusStore, operation: Callable[[Transaction], State]) -> State:
    """What an operation saw that would change something, and fails."""

    def fail(tx: Transaction) -> None:
        raise Refused(operation(tx))

    with pytest.raises(Refused) as refusal:
        store.write(fail)
    return refusal.value.seen


def assert_nothing_locked(store: CitusStore) -> None:
    """Sessions keep no lock when a transaction is over."""
    question = sa.text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid IN "
        "(SELECT pid FROM pg_stat_activity WHERE application_name = 'oastfs')"
    )
    wait_until(
        lambda: store._server.ask(lambda connection: connection.execute(question).scalar()) == 0,
        "locks to be let go",
        10,
    )


@pytest.mark.parametrize("partitions", [1, 2], ids=["one changes", "both change"])
def test_what_is_missing_on_two_workers_is_read_while_nobody_commits_there(
    store: CitusStore, keys: tuple[Key, Key], partitions: int
) -> None:
    """Whoever is committing in one of the partitions is waited for, and whoever changes others is not."""

    def read() -> State:
        return store.read(lambda tx: (by_key(tx, keys[0]), by_key(tx, keys[1])))

    assert read() == (None, None)
    before = store.trips()
    assert read() == (None, None)
    assert store.trips() - before == 3, "each row, and both again"
    reading = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    elsewhere = (5, HOLDER)
    assert OPEN_FILE.partition(elsewhere) not in map(OPEN_FILE.partition, keys)

    def hold(connection: Any) -> None:
        statement, values = objects.hold([OPEN_FILE.partition(key) for key in keys[:partitions]])
        connection.exec_driver_sql(statement.prepare.rstrip("; "))
        connection.exec_driver_sql(statement.execute, values)
        for one in reading:
            one.start()
        reading[0].join(1)  # several times as long as one waits before he lets go again
        assert all(one.is_alive() for one in reading)
        store.write(lambda tx: tx.put(OPEN_FILE, elsewhere, OpenFile(True, 1)))
        connection.exec_driver_sql("DEALLOCATE hold")

    store._server.ask(hold)
    for one in reading:
        one.join(30)
        assert not one.is_alive(), "the reader waits for ever"
    assert_nothing_locked(store)
