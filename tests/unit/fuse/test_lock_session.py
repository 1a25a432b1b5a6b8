"""What a mount has locked: believed in while it renews, lost as a whole, and taken up under a new name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import LockHeld, LocksLost
from oastfs.core.types import FileLock, LockKind, LockType
from oastfs.fuse import lock_session
from oastfs.fuse.lock_session import LockSession, Owner, unlocking
from tests.harness.waiting import wait_until
from tests.unit.fuse.conftest import ROOT

Take = Callable[[int], Owner]


@pytest.fixture
def session(filesystem: Filesystem) -> Iterator[LockSession]:
    numbers = count(1)
    session = LockSession(filesystem.metadata, lambda: f"mount-{next(numbers)}")
    yield session
    session.close()


@pytest.fixture
def inode_id(filesystem: Filesystem) -> int:
    return filesystem.write_bytes("/f", b"content").inode_id


@pytest.fixture
def take(filesystem: Filesystem, session: LockSession, inode_id: int) -> Take:
    """Lock a byte for an owner of that number."""

    def taken(number: int) -> Owner:
        holder, begin = session.begin()
        lock = FileLock(LockKind.POSIX, LockType.WRITE, number, 1, number, number)
        filesystem.metadata.set_lock(ROOT, inode_id, holder, lock, begin)
        owner = (inode_id, LockKind.POSIX, number)
        session.gained(owner, holder)
        return owner

    return taken


def stands(filesystem: Filesystem, inode_id: int) -> bool:
    """Whether somebody has the file locked, as another mount sees it."""
    whole = FileLock(LockKind.POSIX, LockType.WRITE, 99)
    return filesystem.metadata.get_lock(ROOT, inode_id, "another mount", whole) is not None


def test_only_the_first_lock_begins(session: LockSession, take: Take) -> None:
    assert session.begin() == ("mount-1", True)
    one = take(1)
    assert session.has(one)
    assert session.begin() == ("mount-1", False)
    session.gone(one)
    assert not session.has(one)
    assert not session.held
    assert session.begin() == ("mount-1", True)


def test_what_is_held_is_renewed(
    filesystem: Filesystem, session: LockSession, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_session, "RENEWAL_SECONDS", 0.01)
    owner = take(1)
    filesystem.metadata.release_locks(ROOT, "mount-1")  # as if it had not been heard of for a minute
    wait_until(lambda: session.has_lost(owner), "the session to hear of it")
    assert session.holder == "mount-2"


def test_locks_are_lost_all_at_once_and_new_ones_are_under_a_new_name(
    filesystem: Filesystem, session: LockSession, take: Take, inode_id: int
) -> None:
    owners = [take(1), take(2)]
    filesystem.metadata.release_locks(ROOT, "mount-1")
    session.renew()
    assert all(session.has_lost(owner) and not session.has(owner) for owner in owners)
    assert session.begin() == ("mount-2", True)
    third = take(3)
    assert not session.has_lost(third)
    session.renew()
    assert session.has(third)
    for owner in owners:  # who unlocks all of it begins anew
        session.gone(owner)
        assert not session.has_lost(owner)
    assert session.has(third)


def test_a_lock_that_is_given_while_all_are_lost(session: LockSession, take: Take, inode_id: int) -> None:
    """Nobody renews what was given to the old name."""
    take(1)
    holder, _ = session.begin()
    session.lose(holder)
    late = (inode_id, LockKind.FLOCK, 5)
    with pytest.raises(LocksLost):
        session.gained(late, holder)
    assert session.has_lost(late)
    session.lose(holder)  # of whom nothing is left: the new name stays
    assert session.holder == "mount-2"


def test_the_end_gives_everything_back(
    filesystem: Filesystem, session: LockSession, take: Take, inode_id: int
) -> None:
    take(1)
    assert stands(filesystem, inode_id)
    with pytest.raises(LockHeld):
        lock = FileLock(LockKind.POSIX, LockType.WRITE, 2, 1, 0, 9)
        filesystem.metadata.set_lock(ROOT, inode_id, "another mount", lock, True)
    session.close()
    assert not stands(filesystem, inode_id)


def test_unlocking_takes_in_the_whole_file(
    filesystem: Filesystem, session: LockSession, take: Take, inode_id: int
) -> None:
    filesystem.metadata.set_lock(ROOT, inode_id, session.holder, unlocking(take(1)), False)
    assert not stands(filesystem, inode_id)
