"""set_lock, get_lock, renew_locks and release_locks."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    InvalidArgument,
    LockHeld,
    LocksLost,
    StaleHandle,
    TooManyLocks,
)
from oastfs.core.limits import LOCK_RANGES_MAX
from oastfs.core.types import LOCK_END, FileLock, LockKind, LockType
from oastfs.namenode import safe_mode
from oastfs.namenode.fsck import check
from oastfs.namenode.jobs.leases import LeaseExpiry
from oastfs.namenode.jobs.locks import LockExpiry
from oastfs.namenode.namespace import Namespace
from oastfs.store import schema
from oastfs.store.schema import FILE_LOCK
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import ROOT, Clock

READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK


def posix(kind: LockType, start: int = 0, end: int = LOCK_END, owner: int = 1) -> FileLock:
    return FileLock(LockKind.POSIX, kind, owner, 100 + owner % 100, start, end)


def flock(kind: LockType, owner: int = 1) -> FileLock:
    return FileLock(LockKind.FLOCK, kind, owner, 7)


@pytest.fixture
def inode_id(namespace: Namespace) -> int:
    return namespace.write_file(ROOT, "/f", b"content").inode_id


def rows(namespace: Namespace) -> list[tuple[object, ...]]:
    """(holder, kind, owner's halves, ranges) of all rows."""
    return namespace.store.read(lambda tx: [(*key[1:], row.ranges) for key, row in tx.scan(FILE_LOCK)])


def test_a_lock_excludes_others_until_it_is_given_back(namespace: Namespace, inode_id: int) -> None:
    status = namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE), True)
    assert status is not None and status.length == 7
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m2", posix(READ), True)
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m1", posix(READ, owner=2))
    assert namespace.set_lock(ROOT, inode_id, "m1", posix(UNLOCK)) is None
    namespace.set_lock(ROOT, inode_id, "m2", posix(READ), True)
    namespace.set_lock(ROOT, inode_id, "m1", posix(READ, owner=2), True)
    assert rows(namespace) == [
        ("m1", 2, 0, 2, ((0, LOCK_END, 0),)),
        ("m2", 2, 0, 1, ((0, LOCK_END, 0),)),
    ]


def test_the_kinds_know_nothing_of_each_other(namespace: Namespace, inode_id: int) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", flock(WRITE), True)
    namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE), True)
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m2", flock(READ))


def test_ranges_split_and_join(namespace: Namespace, inode_id: int) -> None:
    owner = (1 << 64) - 1
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 99, owner), True)
    namespace.set_lock(ROOT, inode_id, "m1", posix(UNLOCK, 40, 49, owner))
    namespace.set_lock(ROOT, inode_id, "m1", posix(READ, 90, 109, owner))
    assert rows(namespace) == [("m1", 2, 2**32 - 1, 2**32 - 1, ((0, 39, 1), (50, 89, 1), (90, 109, 0)))]
    namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE, 40, 49), True)
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 200, owner))
    assert rows(namespace)[0] == ("m1", 2, 2**32 - 1, 2**32 - 1, ((0, 39, 1), (50, 89, 1), (90, 109, 0)))
    namespace.set_lock(ROOT, inode_id, "m2", posix(UNLOCK))
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 200, owner))
    assert rows(namespace) == [("m1", 2, 2**32 - 1, 2**32 - 1, ((0, 200, 1),))]


def test_who_stands_against_a_lock_is_told(namespace: Namespace, inode_id: int) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 10, 19, 5), True)
    assert namespace.get_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 9)) is None
    assert namespace.get_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 99, 5)) is None, "its own"
    found = namespace.get_lock(ROOT, inode_id, "m2", posix(READ, 0, 99, 5))
    assert found == FileLock(LockKind.POSIX, WRITE, 0, 105, 10, 19)


@pytest.mark.parametrize("owner", [5, 2**64 - 1])
def test_owners_of_ones_own_are_told(namespace: Namespace, inode_id: int, owner: int) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 10, 19, owner), True)
    found = namespace.get_lock(ROOT, inode_id, "m1", posix(READ, 0, 99, 6))
    assert found is not None and found.owner == owner


def test_locks_of_a_silent_mount_stop_to_count(namespace: Namespace, inode_id: int, clock: Clock) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE), True)
    clock.advance(59)
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m2", posix(READ, 5, 5), True)
    clock.advance(2)
    assert namespace.get_lock(ROOT, inode_id, "m2", posix(READ)) is None
    namespace.set_lock(ROOT, inode_id, "m2", posix(READ, 5, 5), True)
    assert [row[0] for row in rows(namespace)] == ["m2"]
    with pytest.raises(LocksLost):
        namespace.renew_locks(ROOT, "m1")
    with pytest.raises(LocksLost):
        namespace.set_lock(ROOT, inode_id, "m1", posix(READ, 9, 9))
    namespace.set_lock(ROOT, inode_id, "m1", posix(UNLOCK))


def test_a_mount_that_renews_keeps_its_locks(namespace: Namespace, inode_id: int, clock: Clock) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE), True)
    for _ in range(8):
        clock.advance(15)
        namespace.renew_locks(ROOT, "m1")
    with pytest.raises(LockHeld):
        namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE), True)
    clock.advance(50)
    with pytest.raises(LocksLost):  # before others are given what it has: clocks differ
        namespace.set_lock(ROOT, inode_id, "m1", posix(READ))
    namespace.renew_locks(ROOT, "m1")
    namespace.set_lock(ROOT, inode_id, "m1", posix(READ))


def test_all_locks_of_a_mount_end_at_once(namespace: Namespace, inode_id: int) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE), True)
    namespace.set_lock(ROOT, inode_id, "m1", flock(WRITE))
    namespace.release_locks(ROOT, "m1")
    assert rows(namespace) == []
    namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE), True)
    with pytest.raises(LocksLost):
        namespace.renew_locks(ROOT, "m1")


def test_the_job_removes_what_counts_no_more(namespace: Namespace, inode_id: int, clock: Clock) -> None:
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 9), True)
    clock.advance(40)
    namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE, 10, 19), True)
    clock.advance(30)
    assert LockExpiry(namespace).run_all(clock()) == 1
    assert [row[0] for row in rows(namespace)] == ["m2"]
    clock.advance(40)
    LeaseExpiry(namespace).run_all(clock())  # which forgets leases that nobody renews
    assert LockExpiry(namespace).run_all(clock()) == 1
    assert rows(namespace) == []


def test_what_cannot_be_locked(namespace: Namespace, inode_id: int) -> None:
    with pytest.raises(StaleHandle):
        namespace.set_lock(ROOT, inode_id + (1 << 20), "m1", posix(WRITE), True)
    namespace.set_lock(ROOT, inode_id + (1 << 20), "m1", posix(UNLOCK))
    directory = namespace.mkdirs(ROOT, "/d").inode_id
    with pytest.raises(InvalidArgument):
        namespace.set_lock(ROOT, directory, "m1", posix(WRITE), True)
    for lock in (posix(WRITE, 5, 4), posix(WRITE, -1, 4), posix(WRITE, 0, 4, -1)):
        with pytest.raises(InvalidArgument):
            namespace.set_lock(ROOT, inode_id, "m1", lock, True)
    with pytest.raises(LocksLost):
        namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE))


def test_ranges_of_one_owner_are_bounded(namespace: Namespace, inode_id: int) -> None:
    full = tuple((2 * byte, 2 * byte, 1) for byte in range(LOCK_RANGES_MAX))
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 0), True)
    key = (inode_id, "m1", 2, 0, 1)
    namespace.store.write(lambda tx: tx.put(FILE_LOCK, key, schema.FileLock(1, full)))
    with pytest.raises(TooManyLocks):
        namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 10**6, 10**6))
    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 10**6))
    assert rows(namespace)[0][4] == ((0, 10**6, 1),)


def test_locks_are_no_changes_to_safe_mode(namespace: Namespace, inode_id: int) -> None:
    namespace.safe_mode(ROOT, "enter")
    namespace.set_lock(ROOT, inode_id, "m1", posix(READ), True)
    namespace.renew_locks(ROOT, "m1")
    namespace.release_locks(ROOT, "m1")
    assert namespace.store.read(safe_mode.is_on)
    namespace.safe_mode(ROOT, "leave")


def test_fsck_finds_and_mends_locks_that_cannot_be(namespace: Namespace, inode_id: int) -> None:
    from oastfs.namenode.fsck import repair

    namespace.set_lock(ROOT, inode_id, "m1", posix(WRITE, 0, 9), True)
    namespace.set_lock(ROOT, inode_id, "m2", posix(WRITE, 10, 19), True)
    assert not check(namespace.store).problems
    wrong = {("m2", 2, 0, 1): ((5, 19, 1),), ("m3", 1, 0, 1): ((9, 5, 1),)}

    def break_it(tx: Transaction) -> None:
        for key, ranges in wrong.items():
            tx.put(FILE_LOCK, (inode_id, *key), schema.FileLock(1, ranges))

    namespace.store.write(break_it)
    assert {one.code for one in check(namespace.store).problems} == {"bad-lock", "lock-conflict"}
    repair(namespace.store)
    assert [row[0] for row in rows(namespace)] == ["m1"]
