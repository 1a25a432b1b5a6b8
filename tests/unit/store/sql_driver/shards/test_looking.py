"""Looks at several shards: what is old needs no second one, and what is not is never told in halves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
import uvloop

from oastfs.store.schema import DIRECTORY, Directory
from oastfs.store.sql_driver.looks import Asked, Horizon, Keys, Seen
from oastfs.store.sql_driver.shards import recovery as recovery_module
from oastfs.store.sql_driver.shards.store import ShardedStore
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction
from tests.unit.store.sql_driver.shards.pairs import (
    KEYS,
    count_up,
    looked,
    nothing_in_doubt,
    set_all,
    sharded,
    values,
)
from tests.unit.store.sql_driver.test_tasks import submitted

WAIT_SECONDS = 120.0

pytestmark = pytest.mark.usefixtures("nothing_beside")


@pytest.fixture
def store(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardedStore]:
    monkeypatch.setattr(recovery_module, "PERIOD_SECONDS", 3600.0)
    store = sharded(shards)
    store.write(lambda tx: set_all(tx, 1))
    # A look at each shard: from now on it is known that what is there is old.
    assert store.read(looked) == [1, 1, 1]
    yield store
    assert nothing_in_doubt(store)
    store.close()


@pytest.fixture
def other(shards: list[str]) -> Iterator[ShardedStore]:
    store = sharded(shards)
    yield store
    store.close()


def trips(store: ShardedStore, operation: Callable[[Transaction], Any]) -> list[int]:
    before = [server.traffic.trips for server in store.servers]
    store.read(operation)
    return [server.traffic.trips - one for server, one in zip(store.servers, before, strict=True)]


def put(key: tuple[int], value: int) -> Callable[[Transaction], None]:
    return lambda tx: tx.put(DIRECTORY, key, Directory(value, value))


def test_old_rows_are_looked_at_once(store: ShardedStore) -> None:
    assert trips(store, looked) == [1, 1, 1]
    assert trips(store, lambda tx: looked(tx, KEYS[:1])) == [0, 1, 0]


def test_young_rows_have_the_others_looked_at_again(store: ShardedStore, other: ShardedStore) -> None:
    other.write(put(KEYS[1], 2))
    assert trips(store, looked) == [2, 2, 1]
    assert trips(store, looked) == [1, 1, 1], "by now they are old"
    other.write(lambda tx: set_all(tx, 3))
    assert trips(store, looked) == [2, 2, 2]
    assert trips(store, looked) == [1, 1, 1]


def test_what_is_not_there_has_the_others_looked_at_again(store: ShardedStore) -> None:
    missing = ((4,), KEYS[1])
    assert trips(store, lambda tx: looked(tx, missing)) == [0, 1, 2]
    assert store.read(lambda tx: looked(tx, missing)) == [0, 1]


def test_only_what_was_used_counts(store: ShardedStore) -> None:
    def operation(tx: Transaction) -> None:
        tx.prefetch({DIRECTORY: [*KEYS, (4,)]})
        assert all(tx.get(DIRECTORY, key) for key in KEYS)

    assert trips(store, operation) == [1, 1, 1]


def test_a_server_that_has_forgotten_something(store: ShardedStore) -> None:
    """As one that was restored: what was known of its transactions is worth nothing."""
    for server in store.servers:
        known = server.looks.horizon
        server.looks.horizon = known._replace(number=known.number + 1_000_000)
    assert trips(store, looked) == [2, 2, 2]
    assert trips(store, looked) == [1, 1, 1]


def test_what_was_known_of_a_server_before_its_connections_ended(
    store: ShardedStore, shards: list[str]
) -> None:
    """It may have been started anew, and then it gives numbers out again that came to nothing."""
    with psycopg2.connect(shards[1].replace("+psycopg2", "")) as killer, killer.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    killer.close()
    assert store.read(looked) == [1, 1, 1]  # run again, and so in a snapshot
    assert trips(store, looked) == [2, 1, 2], "the others' rows are to be looked at again"
    assert trips(store, looked) == [1, 1, 1]


class Interrupted:
    """A shard's looks, with something done as a look is asked for, and each answered at once."""

    def __init__(self, looks: Any, before: Callable[[], Any]) -> None:
        self._looks = looks
        self._before = before
        self.batches, self.connections = looks.batches, looks.connections
        self.in_order = looks.in_order

    @property
    def horizon(self) -> Horizon:
        return self._looks.horizon  # type: ignore[no-any-return]  # Looks, or one of these

    def ask(self, wanted: Keys) -> Asked:
        self._before()
        return _Answered(self._looks.see(wanted))


class _Answered:
    is_sent = True

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def wait(self) -> Seen:
        return self._seen

    def close(self) -> None:
        return


@pytest.mark.parametrize("together", [True, False])
def test_changes_between_the_looks(store: ShardedStore, other: ShardedStore, together: bool) -> None:
    """Both rows are changed when one has been looked at: in one transaction, or in one after the other."""
    changes = 0

    def change() -> None:
        nonlocal changes
        changes += 1
        if changes > 2:
            return
        if together:
            other.write(count_up)
        else:
            for key in KEYS:
                other.write(put(key, changes + 1))

    runs: list[list[int]] = []

    def operation(tx: Transaction) -> list[int]:
        # The first key's shard is asked first.
        runs.append(looked(tx))
        return runs[-1]

    for number in (2, 0):
        store.servers[number].looks = Interrupted(  # type: ignore[assignment]  # around the real ones
            store.servers[number].looks, change if number == 2 else lambda: None
        )
    store.servers[1].looks = Interrupted(  # type: ignore[assignment]  # around the real ones
        store.servers[1].looks, lambda: None
    )
    seen = store.read(operation)
    assert len(runs) > 1 and len(set(runs[0])) == 2, "the first attempt saw halves"
    assert len(set(seen)) == 1 and seen[0] >= 2


def swapped(here: tuple[int], there: tuple[int]) -> Callable[[Transaction], None]:
    """The row that is one of these becomes the other: exactly one of them is there."""

    def swap(tx: Transaction) -> None:
        for old, new in ((here, there), (there, here)):
            if (row := tx.get(DIRECTORY, old, Lock.EXCLUSIVE)) is not None:
                tx.delete(DIRECTORY, old)
                tx.put(DIRECTORY, new, row)
                return

    return swap


@pytest.mark.parametrize("there_first", [False, True], ids=["absent", "there"])
@pytest.mark.parametrize("how", [looked, values])
def test_a_row_that_goes_there_and_back_between_the_looks(
    store: ShardedStore, other: ShardedStore, how: Callable[..., list[int]], there_first: bool
) -> None:
    """Each look finds it where the one before has not, or never finds it: nobody is told so."""
    keys = KEYS[0], KEYS[2]
    other.write(lambda tx: tx.delete(DIRECTORY, keys[0 if there_first else 1]))
    other.write(swapped(*keys))
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        swaps += 1
        if swaps <= 12:
            other.write(swapped(*keys))

    looks_asked = 0

    def between() -> None:
        nonlocal looks_asked
        looks_asked += 1
        if looks_asked > 1:
            swap()

    for server in store.servers:
        server.looks = Interrupted(server.looks, between)  # type: ignore[assignment]  # around the real ones
    attempts: list[list[int]] = []

    def operation(tx: Transaction) -> list[int]:
        if how is looked:
            attempts.append(looked(tx, keys))
        else:
            first = values(tx, keys[:1])
            swap()
            attempts.append(first + values(tx, keys[1:]))
            swap()
        return attempts[-1]

    seen = store.read(operation)
    assert [0, 0] in attempts or any(all(one) for one in attempts), f"no attempt saw halves: {attempts}"
    assert sorted(seen) == [0, 1], "it is in one place"


def test_rows_that_are_missing_on_two_shards(store: ShardedStore, other: ShardedStore) -> None:
    """As long as nobody changes anything on one of the shards, that is told at the second look."""
    missing = ((4,), (5,))
    assert trips(store, lambda tx: looked(tx, missing)) == [0, 2, 2]

    def elsewhere() -> None:
        other.write(put((7,), 1))  # on shard 1, as (4,) is

    for number, before in ((1, lambda: None), (2, elsewhere)):
        # Shard 1, which is asked first, has answered when it is changed: one that notices has another look.
        store.servers[number].looks = Interrupted(  # type: ignore[assignment]  # around the real ones
            store.servers[number].looks, before
        )
    assert trips(store, lambda tx: looked(tx, missing)) == [0, 2, 3]
    assert store.read(lambda tx: looked(tx, missing)) == [0, 0]


def test_many_readers_on_a_loop(store: ShardedStore, other: ShardedStore) -> None:
    """They share looks, while somebody changes all rows; each sees all of a change, and none goes back."""

    async def main() -> None:
        store.attend(asyncio.get_running_loop())
        over = False

        async def read_on(keys: tuple[Any, ...]) -> int:
            last = rounds = 0
            while not over:
                seen = await submitted(store.submit_read, lambda tx: looked(tx, keys))
                assert len(set(seen)) == 1 and seen[0] >= last, (seen, last)
                last = seen[0]
                rounds += 1
                await asyncio.sleep(0.001)
            return rounds

        readers = [asyncio.create_task(read_on(keys)) for keys in (KEYS, KEYS[::-1], KEYS[:2], KEYS[1:]) * 3]
        for _ in range(25):
            value = await asyncio.to_thread(other.write, count_up)
            assert await submitted(store.submit_read, looked) == [value] * 3
        over = True
        assert all(await asyncio.gather(*readers))
        await asyncio.to_thread(store.close)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), WAIT_SECONDS))
