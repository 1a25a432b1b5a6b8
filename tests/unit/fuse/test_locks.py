"""Locks of two mounts on one filesystem, without a kernel: who is kept out, what is seen, what ends."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.errors import LockHeld, LocksLost
from oastfs.core.types import LOCK_END, FileLock, LockKind, LockType
from oastfs.fuse.effects import Change, run
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.lock_session import unlocking
from oastfs.fuse.locks import Locks
from oastfs.fuse.options import MountConfig
from tests.harness.waiting import wait_until
from tests.unit.fuse.conftest import ROOT

READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK
POSIX, FLOCK = LockKind.POSIX, LockKind.FLOCK


class Mount:
    """One mount's logic, its operations carried out at once."""

    def __init__(self, url: str, filesystem: Filesystem, path: Path) -> None:
        self.inodes = InodeFilesystem(filesystem, MountConfig(url, str(path)))
        assert self.inodes.locks is not None
        self.locks: Locks = self.inodes.locks

    def do(self, operation: Any) -> Any:
        return run(self.inodes.metadata, operation) if hasattr(operation, "send") else operation

    def set(self, inode_id: int, lock: FileLock, handle: int = 0) -> None:
        self.do(self.locks.set(inode_id, handle, lock))

    def query(self, inode_id: int, lock: FileLock) -> FileLock | None:
        found: FileLock | None = self.do(self.locks.query(inode_id, lock))
        return found

    def close(self, inode_id: int, owner: int) -> None:
        self.do(self.locks.close(inode_id, owner, None))

    def open(self, inode_id: int) -> None:
        self.do(self.inodes.files.open(inode_id, os.O_RDWR, False))


@pytest.fixture
def one(filesystem: Filesystem, metadata_url: str, tmp_path: Path) -> Iterator[Mount]:
    mount = Mount(metadata_url, filesystem, tmp_path / "one")
    yield mount
    mount.locks.end()


@pytest.fixture
def other(filesystem: Filesystem, metadata_url: str, tmp_path: Path) -> Iterator[Mount]:
    with connect(metadata_url, caller=ROOT) as elsewhere:
        mount = Mount(metadata_url, elsewhere, tmp_path / "other")
        yield mount
        mount.locks.end()


@pytest.fixture
def inode_id(filesystem: Filesystem) -> int:
    return filesystem.write_bytes("/f", b"before").inode_id


def posix(kind: LockType, start: int = 0, end: int = LOCK_END, owner: int = 1) -> FileLock:
    return FileLock(POSIX, kind, owner, 100 + owner, start, end)


def flock(kind: LockType, owner: int = 1) -> FileLock:
    return FileLock(FLOCK, kind, owner)


@pytest.mark.parametrize("make", [posix, flock])
def test_a_lock_keeps_out_the_other_mount_until_it_is_given_back(
    one: Mount, other: Mount, inode_id: int, make: Callable[[LockType], FileLock]
) -> None:
    one.set(inode_id, make(WRITE))
    with pytest.raises(LockHeld):
        other.set(inode_id, make(READ))
    one.set(inode_id, make(UNLOCK))
    assert inode_id not in one.locks.held
    other.set(inode_id, make(READ))
    one.set(inode_id, make(READ))


def test_who_has_it_is_told_but_not_of_one_s_own(one: Mount, other: Mount, inode_id: int) -> None:
    one.set(inode_id, posix(WRITE, 10, 19))
    assert one.query(inode_id, posix(WRITE)) is None
    found = other.query(inode_id, posix(READ))
    assert found is not None
    assert (found.pid, found.start, found.end, found.type) == (101, 10, 19, WRITE)
    assert other.query(inode_id, posix(WRITE, 0, 9)) is None


def test_what_was_written_is_sent_before_the_lock_and_seen_after_it(
    one: Mount, other: Mount, inode_id: int
) -> None:
    """By a handle that was open before, as well."""
    for mount in (one, other):
        mount.open(inode_id)
        assert mount.inodes.files.read(inode_id, 0, 10) == b"before"
    one.set(inode_id, posix(WRITE))
    one.inodes.files.write(inode_id, 0, b"AFTER", False)
    assert other.inodes.files.read(inode_id, 0, 10) == b"before"
    one.set(inode_id, posix(UNLOCK))
    other.set(inode_id, posix(READ))
    assert other.inodes.files.read(inode_id, 0, 10) == b"AFTERe"
    other.set(inode_id, posix(UNLOCK))
    for mount in (one, other):
        mount.do(mount.inodes.files.release(inode_id))


def test_a_process_that_closes_the_file_has_no_record_locks_there(
    one: Mount, other: Mount, inode_id: int
) -> None:
    one.set(inode_id, posix(WRITE, 0, 9, owner=1))
    one.set(inode_id, posix(WRITE, 10, 19, owner=2))
    one.set(inode_id, flock(WRITE, owner=3))
    one.close(inode_id, 1)
    other.set(inode_id, posix(WRITE, 0, 9))
    for lock in (posix(WRITE, 10, 19), flock(READ)):
        with pytest.raises(LockHeld):
            other.set(inode_id, lock)
    one.close(inode_id, 2)
    one.do(one.locks.release(inode_id, 0, 3, lambda: None))
    other.set(inode_id, posix(WRITE, 10, 19))
    other.set(inode_id, flock(READ))
    assert not one.locks.held


def test_record_locks_of_a_reader_s_handle_end_with_it(one: Mount, other: Mount, inode_id: int) -> None:
    """Nobody tells of such a handle that a process closes it, until the file has had record locks."""
    handle = one.locks.handle_of(inode_id)
    assert handle
    one.set(inode_id, posix(READ, owner=1), handle)
    assert one.locks.handle_of(inode_id) == 0
    one.set(inode_id, posix(READ, owner=2), 0)
    one.do(one.locks.release(inode_id, handle, None, lambda: None))
    found = other.query(inode_id, posix(WRITE))
    assert found is not None
    assert found.pid == 102
    one.close(inode_id, 2)
    assert other.query(inode_id, posix(WRITE)) is None


def test_closing_what_has_no_locks_asks_nobody(one: Mount, inode_id: int) -> None:
    asked = list(one.locks.close(inode_id, 1, None))
    asked += list(one.locks.release(inode_id, 0, 1, lambda: None))
    assert asked == []


def test_a_flock_that_cannot_be_exchanged_is_given_up_and_a_record_lock_is_not(
    one: Mount, other: Mount, inode_id: int
) -> None:
    """As on Linux. Two who have a lock for reading and want one for writing would wait for ever otherwise."""
    for mount in (one, other):
        mount.set(inode_id, flock(READ))
        mount.set(inode_id, posix(READ))
    with pytest.raises(LockHeld):
        one.set(inode_id, flock(WRITE))
    other.set(inode_id, flock(WRITE))
    with pytest.raises(LockHeld):
        one.set(inode_id, posix(WRITE))
    with pytest.raises(LockHeld):
        other.set(inode_id, posix(WRITE))
    one.set(inode_id, posix(UNLOCK))
    other.set(inode_id, posix(WRITE))


def test_who_waits_gets_it_from_either_mount(one: Mount, other: Mount, inode_id: int) -> None:
    answers: list[tuple[str, int]] = []
    one.set(inode_id, posix(WRITE, owner=1))
    one.locks.wait(inode_id, 0, posix(WRITE, owner=2), 1, lambda code: answers.append(("one", code)))
    other.locks.wait(inode_id, 0, posix(WRITE, owner=3), 1, lambda code: answers.append(("other", code)))
    assert one.locks.has_waiters(inode_id)
    assert not answers
    one.set(inode_id, posix(UNLOCK, owner=1))
    wait_until(lambda: answers, "one of those who wait to get it", interval_seconds=0.005)
    if answers[0][0] == "one":
        one.close(inode_id, 2)
    else:
        other.close(inode_id, 3)
    wait_until(lambda: len(answers) == 2, "the other to get it", interval_seconds=0.005)
    assert sorted(answers) == [("one", 0), ("other", 0)]


def test_waits_end_with_a_signal_or_the_mount(one: Mount, other: Mount, inode_id: int) -> None:
    answers: dict[int, int] = {}
    one.set(inode_id, posix(WRITE))
    for unique in (1, 2):
        answer = partial(answers.__setitem__, unique)
        other.locks.wait(inode_id, 0, posix(WRITE, owner=unique), unique, answer)
    other.locks.interrupt(1)
    wait_until(lambda: 1 in answers, "the signal to end the wait")
    other.locks.end_waits()
    wait_until(lambda: 2 in answers, "the end to end the wait")
    assert answers == {1: errno.EINTR, 2: errno.EIO}
    assert not other.locks.held


def test_who_lost_its_locks_is_told_until_it_unlocks(
    filesystem: Filesystem, one: Mount, other: Mount, inode_id: int
) -> None:
    elsewhere = filesystem.write_bytes("/g", b"").inode_id
    one.set(inode_id, posix(WRITE, 0, 9))
    filesystem.metadata.release_locks(ROOT, one.locks._session.holder)  # as after a minute's silence
    other.set(inode_id, posix(WRITE, 0, 99))
    for lock in (posix(READ, 200, 209), posix(WRITE, 0, 9)):
        with pytest.raises(LocksLost):
            one.set(inode_id, lock)
    one.set(elsewhere, posix(WRITE, owner=2))  # another owner, who had none, is not concerned
    one.set(inode_id, unlocking((inode_id, POSIX, 1)))
    with pytest.raises(LockHeld):
        one.set(inode_id, posix(WRITE, 0, 9))
    one.set(inode_id, posix(READ, 200, 209))


def test_the_end_of_a_mount_ends_its_locks(one: Mount, other: Mount, inode_id: int) -> None:
    one.set(inode_id, posix(WRITE))
    one.set(inode_id, flock(WRITE))
    one.locks.end()
    other.set(inode_id, posix(WRITE))
    other.set(inode_id, flock(WRITE))


def test_who_waits_for_a_lock_sends_nothing_late(
    one: Mount, other: Mount, inode_id: int, filesystem: Filesystem
) -> None:
    """Who tries for a lock sends what its holder has written, which must not arrive when others have it."""
    for mount in (one, other):
        mount.open(inode_id)
    one.set(inode_id, flock(WRITE, 1))
    one.inodes.files.write(inode_id, 0, b"1", False)
    trying = one.locks.set(inode_id, 0, flock(WRITE, 2))
    late = next(trying)
    assert isinstance(late, Change) and late.verb == "write_inline"
    giving_back = threading.Thread(target=one.set, args=(inode_id, flock(UNLOCK, 1)))
    giving_back.start()
    giving_back.join(0.2)
    with pytest.raises(LockHeld):
        other.set(inode_id, flock(WRITE, 3))
    step: Any = trying.send(one.inodes.metadata.call(late.verb, late.caller, *late.arguments))
    with pytest.raises(LockHeld):
        one.inodes.metadata.call(step.verb, step.caller, *step.arguments)
    trying.close()
    giving_back.join(20)
    other.set(inode_id, flock(WRITE, 3))
    assert other.inodes.files.read(inode_id, 0, 1) == b"1"
