"""Locks of files on every store: as a plain table of bytes has it, and never two who exclude each other."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest

from oastfs.core.errors import LockHeld
from oastfs.core.types import SUPERUSER, FileLock, LockKind, LockType
from oastfs.namenode import file_locks
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import check
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import FILE_LOCK
from oastfs.store.transaction import Store
from tests.contract.conftest import StoreFactory

READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK
HOLDERS: Final = ("m1", "m2", "m2-longer")
BYTES: Final = 24
STEPS: Final = 150
ROUNDS: Final = 25
NOW_NS: Final = 2_000_000_000 * 10**9

Owner = tuple[str, LockKind, int]
Table = dict[Owner, list[LockType]]
"""What each owner has of each byte; UNLOCK for nothing."""


@pytest.fixture
def namespace(store: Store) -> Iterator[Namespace]:
    format_store(store, FormatOptions(inline_limit=1024))
    yield Namespace(store, clock_ns=lambda: NOW_NS)  # nobody falls silent, however slow the machine is
    check(store).raise_if_problems()


def excluded(table: Table, owner: Owner, lock: FileLock) -> bool:
    """Whether another owner has anything that stands against the lock."""
    return any(
        WRITE in (has, lock.type) and has is not UNLOCK
        for other, row in table.items()
        if other != owner and other[1] == owner[1]
        for has in row[lock.start : lock.end + 1]
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_locks_are_given_as_a_table_of_bytes_has_it(namespace: Namespace, seed: int) -> None:
    chance = random.Random(seed)
    inode_id = namespace.write_file(SUPERUSER, "/f", b"content").inode_id
    beside = namespace.write_file(SUPERUSER, "/g", b"content").inode_id
    for holder in HOLDERS:  # what is locked of other files is not in anybody's way
        namespace.set_lock(SUPERUSER, beside, holder, FileLock(LockKind.POSIX, READ, 1), True)
    owners = list(product(HOLDERS, LockKind, (1, (1 << 64) - 1)))
    table: Table = {owner: [UNLOCK] * BYTES for owner in owners}
    for step in range(STEPS):
        owner = chance.choice(owners)
        start, end = sorted(chance.choices(range(BYTES), k=2))
        lock = FileLock(owner[1], chance.choice((READ, WRITE, UNLOCK)), owner[2], 7, start, end)
        refused = lock.type is not UNLOCK and excluded(table, owner, lock)
        if lock.type is not UNLOCK:
            found = namespace.get_lock(SUPERUSER, inode_id, owner[0], lock)
            assert (found is not None) == refused, (step, owner, lock)
        try:
            namespace.set_lock(SUPERUSER, inode_id, owner[0], lock)
            assert not refused, (step, owner, lock)
            table[owner][lock.start : lock.end + 1] = [lock.type] * (lock.end + 1 - lock.start)
        except LockHeld:
            assert refused, (step, owner, lock)
    held = {owner: row for owner, row in table.items() if set(row) != {UNLOCK}}
    assert stored(namespace.store, inode_id) == held


def stored(store: Store, inode_id: int) -> Table:
    """What the rows of a file say."""
    table: Table = {}
    for key, row in store.read(lambda tx: list(tx.scan(FILE_LOCK, (inode_id,)))):
        owner = str(key[1]), LockKind(int(key[2])), int(key[3]) << 32 | int(key[4])
        bytes_ = table[owner] = [UNLOCK] * BYTES
        for start, end, kind in row.ranges:
            bytes_[start : end + 1] = [LockType(kind)] * (end + 1 - start)
    return table


def test_a_holder_s_locks_are_found_by_its_name(namespace: Namespace) -> None:
    """All of them, in whatever files, and nobody else's: not those of a name that begins alike."""
    for number in range(20):
        inode_id = namespace.write_file(SUPERUSER, f"/{number}", b"").inode_id
        for holder in HOLDERS:
            lock = FileLock(LockKind.FLOCK, READ, number)
            namespace.set_lock(SUPERUSER, inode_id, holder, lock, True)
    store = namespace.store
    assert store.write(lambda tx: file_locks.sweep(tx, "m2", 15)) == 15
    namespace.release_locks(SUPERUSER, "m2")
    left = [key[1] for key, _ in store.read(lambda tx: list(tx.scan(FILE_LOCK)))]
    assert sorted(left) == ["m1"] * 20 + ["m2-longer"] * 20


def test_of_those_who_lock_at_once_one_gets_it(store_factory: StoreFactory) -> None:
    """Several namenodes, each with its own handle on the store."""
    first = store_factory()
    format_store(first, FormatOptions(inline_limit=1024))
    inode_id = Namespace(first).write_file(SUPERUSER, "/f", b"").inode_id
    inside: set[str] = set()
    failures: list[BaseException] = []
    entered: list[str] = []

    def work(holder: str, namespace: Namespace) -> None:
        lock = FileLock(LockKind.POSIX, WRITE, 1, 7, 0, 9)
        try:
            for _ in range(ROUNDS):
                while True:
                    try:
                        namespace.set_lock(SUPERUSER, inode_id, holder, lock, True)
                        break
                    except LockHeld:
                        continue
                assert not inside, f"{holder} was let in beside {inside}"
                inside.add(holder)
                entered.append(holder)
                inside.remove(holder)
                namespace.set_lock(SUPERUSER, inode_id, holder, FileLock(LockKind.POSIX, UNLOCK, 1))
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=(holder, Namespace(store_factory())), daemon=True)
        for holder in HOLDERS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), f"after two minutes: {len(entered)} were let in, {failures}"
    assert not failures
    assert len(entered) == ROUNDS * len(HOLDERS)
    check(first).raise_if_problems()
