"""On a real Citus: what is being committed is not read by halves, and figures are of all workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from oastfs.core.errors import OutcomeUnknown, WrongStore
from oastfs.store import open_store
from oastfs.store.schema import COUNTER, Counter
from oastfs.store.sql_driver import server
from oastfs.store.sql_driver.citus import objects
from oastfs.store.sql_driver.citus.store import CitusStore
from oastfs.store.sql_driver.session import READ
from oastfs.store.transaction import Transaction
from tests.harness.citus import CitusCluster
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.long

ROWS = 100


@pytest.fixture
def store(citus_database: str) -> Iterator[CitusStore]:
    opened = open_store(citus_database)
    assert isinstance(opened, CitusStore)
    opened.write(fill)
    yield opened
    opened.close()


def fill(tx: Transaction) -> None:
    for number in range(ROWS):
        tx.put(COUNTER, (str(number),), Counter(value=1))


def name_of(store: CitusStore) -> str:
    return str(store._server.connections.shown).rpartition("/")[2]


def worker_of(cluster: CitusCluster, database: str, partition: int) -> int:
    """The port of the worker that has a partition."""
    found = cluster.coordinator.execute(
        "SELECT nodeport FROM citus_shards WHERE shardid = "
        f"get_shard_id_for_distribution_column('oastfs.counter', {partition})",
        database,
    )
    return int(str(found[0][0]))


def keys_on_two_workers(cluster: CitusCluster, store: CitusStore) -> tuple[str, str]:
    """Keys whose rows are on the first worker and on the second."""
    found: dict[int, str] = {}
    for number in range(ROWS):
        port = worker_of(cluster, name_of(store), COUNTER.partition((str(number),)))
        found.setdefault(port, str(number))
    first, second = (found[worker.port] for worker in cluster.workers)
    return first, second


class Reading(threading.Thread):
    """Reads a row elsewhere."""

    def __init__(self, store: CitusStore, key: str) -> None:
        super().__init__(daemon=True)
        self._store, self._key = store, key
        self.told: list[Any] = []

    def run(self) -> None:
        self.told.append(self._store.read(lambda tx: tx.get(COUNTER, (self._key,))))


def test_who_reads_waits_for_what_is_being_committed_on_several_workers(
    store: CitusStore, citus_cluster: CitusCluster
) -> None:
    first, second = keys_on_two_workers(citus_cluster, store)
    held, free = Reading(store, first), Reading(store, second)

    def hold(connection: Any) -> None:
        connection.exec_driver_sql(objects.hold_text({COUNTER.partition((first,)), 4095}))
        held.start()
        free.start()
        free.join(30)
        assert free.told == [Counter(value=1)], "what nobody commits is read"
        held.join(0.3)
        assert held.told == []

    store._server.ask(hold)
    held.join(30)
    assert held.told == [Counter(value=1)]


@contextmanager
def at_commit(cluster: CitusCluster, database: str, key: str, what: str) -> Iterator[None]:
    """The worker that has a row does something when a session that changed it is to commit or prepare."""
    partition = COUNTER.partition((key,))
    worker = next(one for one in cluster.workers if one.port == worker_of(cluster, database, partition))
    shard = cluster.coordinator.execute(
        f"SELECT get_shard_id_for_distribution_column('oastfs.counter', {partition})", database
    )[0][0]
    table = f"oastfs.counter_{shard}"
    set_up = "SET citus.enable_ddl_propagation = off; SET citus.enable_manual_changes_to_shards = on; "
    worker.execute(
        f"{set_up} CREATE FUNCTION oastfs.at_commit() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN PERFORM {what}; RETURN NULL; END'; "
        f"CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION oastfs.at_commit()",
        database,
    )
    try:
        yield
    finally:
        worker.execute(
            f"{set_up} DROP TRIGGER at_commit ON {table}; DROP FUNCTION oastfs.at_commit()", database
        )


@pytest.mark.parametrize("count", [1, 2], ids=["one worker", "two workers"])
def test_a_worker_that_fails_as_it_commits(
    store: CitusStore, citus_cluster: CitusCluster, count: int
) -> None:
    """Nobody is told that nothing was changed where that is not known."""
    keys = keys_on_two_workers(citus_cluster, store)[:count]

    def change(tx: Transaction) -> None:
        for key in keys:
            assert tx.get(COUNTER, (key,)) is not None
            tx.put(COUNTER, (key,), Counter(value=7))

    end = "pg_terminate_backend(pg_backend_pid())"
    with at_commit(citus_cluster, name_of(store), keys[0], end), pytest.raises(OutcomeUnknown):
        store.write(change)
    found = store.read(lambda tx: {tx.get(COUNTER, (key,)) for key in keys})
    assert len(found) == 1, "half of it"
    store.write(change)
    assert store.read(lambda tx: {tx.get(COUNTER, (key,)) for key in keys}) == {Counter(value=7)}


def test_a_worker_that_dies_in_the_middle_of_a_commit(store: CitusStore, citus_cluster: CitusCluster) -> None:
    """Between its PREPARE and its COMMIT: nobody reads what others have committed until it is back."""
    first, second = keys_on_two_workers(citus_cluster, store)
    dying = citus_cluster.workers[0]

    def change(tx: Transaction) -> None:
        for key in (first, second):
            assert tx.get(COUNTER, (key,)) is not None
            tx.put(COUNTER, (key,), Counter(value=7))

    writing = threading.Thread(target=store.write, args=(change,), daemon=True)
    with at_commit(citus_cluster, name_of(store), second, "pg_sleep(2)"):
        writing.start()
        wait_until(lambda: citus_cluster.prepared(name_of(store)), "the first worker's PREPARE", 10)
        dying.crash()
        writing.join(30)
    assert not writing.is_alive(), "the commit hangs"
    reading = Reading(store, second)
    reading.start()
    reading.join(1)
    assert reading.told == []
    dying.start()
    reading.join(30)
    assert reading.told == [Counter(value=7)]
    assert store.read(lambda tx: tx.get(COUNTER, (first,))) == Counter(value=7)


def test_warnings_from_before_a_commit_are_not_its_own(
    store: CitusStore, citus_cluster: CitusCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A ROLLBACK of what is over already gives one: nobody is to be held up for that."""
    first, second = keys_on_two_workers(citus_cluster, store)

    def change(tx: Transaction) -> None:
        for key in (first, second):
            assert tx.get(COUNTER, (key,)) is not None
            tx.put(COUNTER, (key,), Counter(value=7))

    with store._server.connections.session(READ) as session:
        session._open = True  # as after a failed COMMIT
    store.write(change)
    assert not caplog.messages
    assert store.read(lambda tx: tx.get(COUNTER, (first,))) == Counter(value=7)


def test_figures_are_of_all_workers(
    store: CitusStore, citus_cluster: CitusCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.count(COUNTER) == ROWS
    sizes = [
        int(str(one.execute("SELECT pg_database_size(current_database())", name_of(store))[0][0]))
        for one in citus_cluster.servers
    ]
    assert store.usage()[0] > sum(sizes) * 0.9 > max(sizes)
    citus_cluster.coordinator.execute("ANALYZE oastfs.counter", name_of(store))
    monkeypatch.setattr(server, "EXACT_BYTES", 0)
    assert store.count(COUNTER) == ROWS, "by the workers' statistics"


def test_a_large_scan_is_of_one_moment(store: CitusStore) -> None:
    """More rows than are looked at twice: the snapshots are taken while nobody commits."""

    def more(tx: Transaction) -> None:
        for number in range(5000):
            tx.put(COUNTER, (f"more {number}",), Counter(value=number))

    store.write(more)
    assert store.read(lambda tx: sum(1 for _ in tx.scan(COUNTER))) == 5000 + ROWS


def test_a_database_without_a_store_is_refused(citus_cluster: CitusCluster) -> None:
    name = citus_cluster.create_database()
    with pytest.raises(WrongStore):
        open_store(citus_cluster.url(name))
