"""Commits on several shards: whoever dies between whichever steps, all of it is there or nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from oastfs.store import failpoints, open_store
from oastfs.store.failpoints import RECOVERY, TWO_PHASE
from oastfs.store.schema import DIRECTORY, Directory
from oastfs.store.sql_driver.shards import recovery as recovery_module
from oastfs.store.sql_driver.shards.branch import Branch
from oastfs.store.sql_driver.shards.store import ShardedStore
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction
from tests.harness.postgresql import PostgresServer, ShardServers
from tests.harness.waiting import wait_until
from tests.unit.store.sql_driver.shards.pairs import (
    KEYS,
    Background,
    count_up,
    go_on,
    looked,
    nothing_in_doubt,
    run_until,
    set_all,
    sharded,
    values,
)

BEFORE_DECISION = ("two-phase.begun", "two-phase.prepared-one", "two-phase.prepared")


@pytest.fixture
def store(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardedStore]:
    # Readers and writers are to find what is in doubt; recovery does so only when a test asks for it.
    monkeypatch.setattr(recovery_module, "PERIOD_SECONDS", 3600.0)
    store = sharded(shards)
    yield store
    failpoints.disarm()
    store.recovery.settle_all(0)
    assert nothing_in_doubt(store)
    store.close()


@pytest.mark.parametrize("name", TWO_PHASE)
def test_a_process_that_dies_between_two_steps(store: ShardedStore, shards: list[str], name: str) -> None:
    store.write(lambda tx: set_all(tx, 7))
    assert run_until(shards, name) == -signal.SIGKILL
    committed = name not in BEFORE_DECISION
    wait_until(lambda: _server_noticed(store), "the servers to notice the death", 30)
    for keys in (KEYS, KEYS[::-1], *((key,) for key in KEYS)):
        for how in (looked, values):
            seen = store.read(partial(how, keys=keys))
            assert seen == [8 if committed else 7] * len(keys)
    store.recovery.settle_all(0)
    assert nothing_in_doubt(store)
    assert store.read(values) == [8 if committed else 7] * 3
    assert store.write(count_up) == (9 if committed else 8)


@pytest.mark.parametrize("point", RECOVERY)
@pytest.mark.parametrize("name", ["two-phase.prepared", "two-phase.decided"])
def test_recovery_that_dies_too(store: ShardedStore, shards: list[str], name: str, point: str) -> None:
    store.write(lambda tx: set_all(tx, 7))
    assert run_until(shards, name) == -signal.SIGKILL
    wait_until(lambda: _server_noticed(store), "the servers to notice the death", 30)
    failpoints.arm(point, "raise")
    with pytest.raises(failpoints.Failed):
        store.recovery.settle_all(0)
    failpoints.disarm()
    store.recovery.settle_all(0)
    assert nothing_in_doubt(store)
    assert store.read(values) == [8 if name == "two-phase.decided" else 7] * 3


def _server_noticed(store: ShardedStore) -> bool:
    """No transaction of the dead process is left open on a server; prepared ones do not count."""
    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    )
    return all(
        server.connections.ask(lambda connection: connection.exec_driver_sql(question).scalar()) == 0
        for server in store.servers
    )


@pytest.mark.parametrize("name", ["two-phase.prepared-one", "two-phase.prepared"])
def test_one_that_was_given_up_cannot_commit_any_more(
    store: ShardedStore, shards: list[str], name: str
) -> None:
    """A process that stands still is taken for dead; when it goes on, its call is run again."""
    store.write(lambda tx: set_all(tx, 7))
    assert run_until(shards, name, "stop") is None
    store.recovery.settle_all(0)
    assert store.read(values) == [7, 7, 7]
    assert store.write(count_up) == 8
    assert go_on() == 0
    assert store.read(values) == [9, 9, 9]


def test_one_that_stands_still_after_its_decision(store: ShardedStore, shards: list[str]) -> None:
    store.write(lambda tx: set_all(tx, 7))
    assert store.read(looked) == [7, 7, 7]
    assert run_until(shards, "two-phase.decided", "stop") is None
    assert store.read(looked) == store.read(values) == [8, 8, 8]
    assert store.write(count_up) == 9
    assert go_on() == 0
    assert store.read(values) == [9, 9, 9]


@pytest.mark.parametrize("how", [looked, values])
def test_a_decision_that_is_forgotten_while_a_reader_asks_for_it(
    store: ShardedStore, shards: list[str], monkeypatch: pytest.MonkeyPatch, how: Callable[..., list[int]]
) -> None:
    """The reader comes between the decision and its end, and asks what was decided when all is over."""
    other = sharded(shards)
    store.write(lambda tx: set_all(tx, 7))
    keys = (KEYS[1], KEYS[0])  # the coordinator's first
    store.read(partial(how, keys=keys))
    asked, is_over = threading.Event(), threading.Event()
    ask = store.recovery.decision

    def ask_late(branch: Branch) -> bool | None:
        asked.set()
        assert is_over.wait(60), "the writer hangs"
        return ask(branch)

    seen: list[list[int]] = []
    reader = threading.Thread(target=lambda: seen.append(store.read(partial(how, keys=keys))))

    def read() -> None:
        store.read(partial(looked, keys=keys[:1]))  # from now on that row counts as old
        monkeypatch.setattr(store.recovery, "decision", ask_late)
        reader.start()
        assert asked.wait(60), "the reader has not found the branch"

    failpoints.arm("two-phase.decided", read)
    assert other.write(count_up) == 8
    other.recovery.forget_finished()
    is_over.set()
    reader.join(60)
    assert seen == [[8, 8]]
    other.close()


def test_a_failure_before_the_decision_leaves_nothing(store: ShardedStore) -> None:
    store.write(lambda tx: set_all(tx, 7))
    for name in BEFORE_DECISION:
        failpoints.arm(name, "raise")
        with pytest.raises(failpoints.Failed):
            store.write(count_up)
        failpoints.disarm()
        assert nothing_in_doubt(store)
        assert store.read(values) == [7, 7, 7]


def test_rivals_on_several_shards_lose_no_update(store: ShardedStore, shards: list[str]) -> None:
    """Two handles: what one process knows of its own rows does not help here."""
    other = sharded(shards)
    counted: list[int] = []
    background = Background(
        lambda: counted.append(store.write(count_up)), lambda: counted.append(other.write(count_up))
    )
    wait_until(lambda: background.rounds > 40 or background.errors, "rounds", 120)
    background.finish()
    other.close()
    assert sorted(counted) == list(range(1, len(counted) + 1))
    assert store.read(values) == [len(counted)] * 3


@pytest.mark.parametrize("how", [values, looked])
def test_no_half_is_ever_seen(store: ShardedStore, shards: list[str], how: Callable[..., list[int]]) -> None:
    """Readers in whichever order, singly or all at once, while others change; time never goes back."""
    other = sharded(shards)
    last = [0]

    def read(keys: tuple[Any, ...]) -> None:
        seen = store.read(lambda tx: how(tx, keys))
        assert len(set(seen)) == 1, seen

    def read_one_by_one() -> None:
        for key in KEYS:
            (value,) = store.read(partial(how, keys=(key,)))
            assert value >= last[0], (key, value, last)
            last[0] = value

    def read_scans() -> None:
        def scan(tx: Transaction) -> set[int]:
            return {row.mtime_ns for _, row in tx.scan(DIRECTORY)}

        assert len(store.read(scan)) <= 1

    background = Background(
        lambda: other.write(count_up),
        lambda: read(KEYS),
        lambda: read(KEYS[::-1]),
        read_one_by_one,
        read_scans,
    )
    wait_until(lambda: background.rounds > 400 or background.errors, "rounds", 120)
    background.finish()
    other.close()


def test_a_changed_row_is_read_again_and_at_last_in_a_freeze(store: ShardedStore, shards: list[str]) -> None:
    """Somebody changes what was seen first, at each attempt: until nobody can."""
    other = sharded(shards)
    store.write(lambda tx: set_all(tx, 1))
    attempts: list[list[int]] = []

    def read(tx: Transaction) -> list[int]:
        first = values(tx, KEYS[:1])
        if len(attempts) < 10:
            other.write(count_up)
        attempts.append(first + values(tx, KEYS[1:]))
        return attempts[-1]

    assert len(set(store.read(read))) == 1
    assert len(attempts) == 4
    assert all(len(set(one)) == 2 for one in attempts[:-1])
    other.close()


def test_a_coordinator_that_is_killed(shards: list[str], shard_servers: ShardServers) -> None:
    """PostgreSQL crashes under a commit: the change is there on all shards, and the caller knows."""
    server = PostgresServer()
    urls = [*shard_servers.create_databases()[:2], server.url(server.create_database())]
    store = open_store(urls, create=True)
    assert isinstance(store, ShardedStore)
    try:
        store.write(lambda tx: set_all(tx, 1))
        for name, value in (("two-phase.prepared", 2), ("two-phase.decided", 3)):

            def crash() -> None:
                failpoints.disarm()
                server.stop(signal.SIGQUIT)
                server.start()

            failpoints.arm(name, crash)
            assert store.write(count_up) == value
            assert store.read(values) == [value] * 3
        store.recovery.settle_all(0)
        assert nothing_in_doubt(store)
    finally:
        failpoints.disarm()
        store.close()
        server.remove()


def test_decisions_are_removed(
    store: ShardedStore, shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decisions() -> int:
        question = "SELECT count(*) FROM oastfs.decision"
        return sum(
            int(server.connections.ask(lambda connection: connection.exec_driver_sql(question).scalar()))
            for server in store.servers
        )

    store.write(lambda tx: set_all(tx, 1))
    assert decisions() == 1
    store.recovery.forget_finished()
    assert decisions() == 0
    # Those of the dead, once they are old and carried out.
    assert run_until(shards, "two-phase.decided") == -signal.SIGKILL
    assert run_until(shards, "two-phase.finished") == -signal.SIGKILL
    store.recovery.clean()
    assert decisions() >= 1
    monkeypatch.setattr(recovery_module, "_FORGET_SECONDS", {True: 0.0, False: 3600.0})
    store.recovery.clean()
    store.recovery.settle_all(0)
    store.recovery.clean()
    assert decisions() == 0
    assert store.read(values) == [3, 3, 3]


def test_locks_on_other_shards_hold(store: ShardedStore, shards: list[str]) -> None:
    """A row that is only locked, on another shard than what is written, is as it was seen at the commit."""
    other = sharded(shards)
    store.write(lambda tx: set_all(tx, 1))
    attempts: list[int] = []

    def write(tx: Transaction) -> int:
        row = tx.get(DIRECTORY, KEYS[0], Lock.EXCLUSIVE)
        assert row is not None
        if not attempts:
            other.write(lambda tx: tx.put(DIRECTORY, KEYS[0], Directory(5, 5)))
        attempts.append(row.mtime_ns)
        tx.put(DIRECTORY, KEYS[1], Directory(row.mtime_ns, 0))
        return row.mtime_ns

    assert store.write(write) == 5
    assert attempts == [1, 5]
    other.close()


def test_a_conflict_is_none_of_the_operation_s_errors(store: ShardedStore, shards: list[str]) -> None:
    """An operation that goes on after an error (a batch does) is run again all the same."""
    store.write(lambda tx: set_all(tx, 7))
    assert run_until(shards, "two-phase.decided") == -signal.SIGKILL

    def read(tx: Transaction) -> list[int]:
        seen = []
        for key in KEYS:
            try:
                seen += values(tx, (key,))
            except OSError:
                seen.append(-1)
        return seen

    assert store.read(read) == [8, 8, 8]


def test_a_server_that_is_away_is_none_of_the_operation_s_errors(shard_servers: ShardServers) -> None:
    server = PostgresServer()
    urls = [*shard_servers.create_databases()[:2], server.url(server.create_database())]
    store = open_store(urls, create=True)
    try:
        store.write(lambda tx: set_all(tx, 7))
        attempts: list[int] = []

        def read(tx: Transaction) -> int:
            attempts.append(1)
            if len(attempts) == 2:
                server.start()
            try:
                return sum(values(tx))
            except OSError:
                return -1

        server.crash()
        assert store.read(read) == 21
        assert len(attempts) >= 2
    finally:
        store.close()
        server.remove()


def test_failure_points_have_names() -> None:
    with pytest.raises(ValueError, match="no failure point"):
        failpoints.arm("two-phase.typo", "kill")
    with pytest.raises(ValueError, match="does not"):
        failpoints.arm(TWO_PHASE[0], "explode")
