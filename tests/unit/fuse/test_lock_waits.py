"""Those who wait for a lock: tried for in order, answered once, and no more after a signal or the end."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from oastfs.core.errors import LockHeld, LocksLost, StoreError
from oastfs.fuse.lock_circles import RecordWait
from oastfs.fuse.lock_waits import CIRCLE_SECONDS, PAUSE_SECONDS_MAX, LockWaits
from tests.harness.waiting import wait_until

FILE, OTHER_FILE = 7, 8


class Lock:
    """A lock that one may have at a time, and what was answered to those who asked for it."""

    def __init__(self) -> None:
        self.taken = True
        self.error: Exception | None = None
        self.tries: list[int] = []
        self.answers: list[tuple[int, int]] = []

    def wait(
        self, waits: LockWaits, unique: int, inode_id: int = FILE, record: RecordWait | None = None
    ) -> None:
        """Wait in the name of a request."""
        waits.add(unique, inode_id, lambda: self._take(unique), lambda code: self._told(unique, code), record)

    def was_tried_for(self, times: int) -> bool:
        """Whether it was tried for so many times."""
        return len(self.tries) == times

    def _take(self, unique: int) -> None:
        self.tries.append(unique)
        if self.error is not None:
            raise self.error
        if self.taken:
            raise LockHeld
        self.taken = True

    def _told(self, unique: int, code: int) -> None:
        self.answers.append((unique, code))


@pytest.fixture
def waits() -> Iterator[LockWaits]:
    waits = LockWaits()
    yield waits
    waits.end()


@pytest.fixture
def lock() -> Lock:
    return Lock()


def test_who_waits_is_answered_when_the_lock_is_free(waits: LockWaits, lock: Lock) -> None:
    lock.wait(waits, 1)
    wait_until(lambda: lock.tries, "a first try", interval_seconds=0.001)
    assert waits.has(FILE)
    assert not waits.has(OTHER_FILE)
    lock.taken = False
    # Nobody says that it was unlocked, as when another mount has done it.
    wait_until(lambda: lock.answers, "an answer", interval_seconds=0.001)
    assert lock.answers == [(1, 0)]
    assert not waits.has(FILE)


def test_what_is_unlocked_here_goes_to_who_came_first(
    waits: LockWaits, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 1e6)  # nobody tries again by himself
    for unique in (3, 1, 2):
        lock.wait(waits, unique)
    wait_until(lambda: lock.tries == [3, 1, 2], "a try of each", interval_seconds=0.001)
    waits.unlocked(OTHER_FILE)
    for tries in (6, 8, 9):  # each time by all who are left
        lock.taken = False
        waits.unlocked(FILE)
        wait_until(partial(lock.was_tried_for, tries), "all to try", interval_seconds=0.001)
    wait_until(lambda: len(lock.answers) == 3, "three answers", interval_seconds=0.001)
    assert lock.answers == [(3, 0), (1, 0), (2, 0)]
    assert lock.tries == [3, 1, 2, 3, 1, 2, 1, 2, 2]


def test_tries_become_rare_and_go_on(waits: LockWaits, lock: Lock) -> None:
    lock.wait(waits, 1)
    wait_until(lambda: len(lock.tries) >= 10, "ten tries", interval_seconds=0.001)
    before = len(lock.tries)
    assert not threading.Event().wait(4 * PAUSE_SECONDS_MAX)
    assert 1 <= len(lock.tries) - before <= 8


def test_a_signal_ends_the_wait_once(waits: LockWaits, lock: Lock) -> None:
    lock.wait(waits, 1)
    lock.wait(waits, 2)
    wait_until(lambda: len(lock.tries) >= 2, "a try of each", interval_seconds=0.001)
    waits.interrupt(1)
    wait_until(lambda: lock.answers, "an answer", interval_seconds=0.001)
    waits.interrupt(1)
    lock.taken = False
    wait_until(lambda: len(lock.answers) == 2, "the other's answer", interval_seconds=0.001)
    assert lock.answers == [(1, errno.EINTR), (2, 0)]


def test_a_signal_that_comes_before_the_wait(waits: LockWaits, lock: Lock) -> None:
    """The kernel says it once, perhaps while the lock is being tried for at once."""
    waits.interrupt(1)
    lock.wait(waits, 1)
    assert lock.answers == [(1, errno.EINTR)]
    assert not lock.tries
    lock.taken = False
    lock.wait(waits, 1)  # numbers come again
    wait_until(lambda: len(lock.answers) == 2, "an answer", interval_seconds=0.001)
    assert lock.answers[1] == (1, 0)


def test_a_signal_during_a_try_that_succeeds(waits: LockWaits) -> None:
    """It has the lock, so it is told so."""
    trying, go_on, answers = threading.Event(), threading.Event(), list[int]()

    def attempt() -> None:
        trying.set()
        assert go_on.wait(30)

    waits.add(1, FILE, attempt, answers.append)
    assert trying.wait(30)
    waits.interrupt(1)
    assert not answers
    go_on.set()
    wait_until(lambda: answers, "an answer", interval_seconds=0.001)
    assert answers == [0]


@pytest.mark.parametrize("event", ["signal", "end"])
def test_what_happens_during_a_try_that_fails(waits: LockWaits, event: str) -> None:
    trying, go_on, answers = threading.Event(), threading.Event(), list[int]()

    def attempt() -> None:
        trying.set()
        assert go_on.wait(30)
        raise LockHeld

    waits.add(1, FILE, attempt, answers.append)
    assert trying.wait(30)
    if event == "signal":
        waits.interrupt(1)
    else:
        waits.end()
    go_on.set()
    wait_until(lambda: answers, "an answer", interval_seconds=0.001)
    assert answers == [errno.EINTR if event == "signal" else errno.EIO]


def test_what_is_unlocked_during_a_try_is_tried_for_at_once(
    waits: LockWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could be overlooked by who had just found it taken."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 1e6)  # nobody tries again by himself
    trying, go_on, answers, tries = threading.Event(), threading.Event(), list[int](), list[int]()

    def attempt() -> None:
        tries.append(1)
        if len(tries) == 1:
            trying.set()
            assert go_on.wait(30)
            raise LockHeld

    waits.add(1, FILE, attempt, answers.append)
    assert trying.wait(30)
    waits.unlocked(FILE)
    go_on.set()
    wait_until(lambda: answers, "an answer", interval_seconds=0.001)
    assert (answers, len(tries)) == ([0], 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [(LocksLost(), errno.EIO), (OSError(errno.ENOLCK, ""), errno.ENOLCK), (KeyError(), errno.EIO)],
)
def test_another_error_ends_the_wait(waits: LockWaits, lock: Lock, error: Exception, code: int) -> None:
    lock.error = error
    lock.wait(waits, 1)
    wait_until(lambda: lock.answers, "an answer", interval_seconds=0.001)
    assert lock.answers == [(1, code)]
    lock.error, lock.taken = None, False
    lock.wait(waits, 2)  # the thread goes on
    wait_until(lambda: len(lock.answers) == 2, "an answer", interval_seconds=0.001)
    assert lock.answers[1] == (2, 0)


def test_at_the_end_nobody_is_given_anything(waits: LockWaits, lock: Lock) -> None:
    lock.wait(waits, 1)
    lock.wait(waits, 2, OTHER_FILE)
    wait_until(lambda: len(lock.tries) >= 2, "a try of each", interval_seconds=0.001)
    waits.end()
    wait_until(lambda: len(lock.answers) == 2, "two answers", interval_seconds=0.001)
    lock.taken = False
    lock.wait(waits, 3)
    assert sorted(lock.answers) == [(1, errno.EIO), (2, errno.EIO), (3, errno.EIO)]


def test_who_closes_a_circle_is_told(waits: LockWaits) -> None:
    first, second = Lock(), Lock()
    first.wait(waits, 1, record=RecordWait(10, lambda: 20))
    wait_until(lambda: first.tries, "a first try", interval_seconds=0.001)
    second.wait(waits, 2, record=RecordWait(20, lambda: 10))
    wait_until(lambda: second.answers, "an answer", interval_seconds=0.001)
    assert second.answers == [(2, errno.EDEADLK)]
    first.taken = False
    waits.unlocked(FILE)
    wait_until(lambda: first.answers, "an answer", interval_seconds=0.001)
    assert first.answers == [(1, 0)]


def test_a_circle_that_shows_later_is_found(waits: LockWaits, lock: Lock) -> None:
    """Of two who have what is waited for, one is known at first; the other, who waits, later."""
    blocker = [30]
    lock.wait(waits, 1, record=RecordWait(10, lambda: blocker[0]))
    lock.wait(waits, 2, record=RecordWait(20, lambda: 10))
    wait_until(lambda: {1, 2} <= set(lock.tries[1:]), "tries of both", interval_seconds=0.001)
    assert not lock.answers
    blocker[0] = 20
    wait_until(lambda: lock.answers, "one to be told", 10 * CIRCLE_SECONDS)
    assert [code for _, code in lock.answers] == [errno.EDEADLK]
    before = len(lock.tries)
    wait_until(lambda: len(lock.tries) > before, "a try of the other", interval_seconds=0.001)
    assert waits.has(FILE)


def test_whose_blocker_cannot_be_found_goes_on_to_wait(waits: LockWaits, lock: Lock) -> None:
    def fail() -> int:
        raise StoreError("away")

    lock.wait(waits, 1, record=RecordWait(10, fail))
    wait_until(lambda: len(lock.tries) >= 3, "three tries", interval_seconds=0.001)
    lock.taken = False
    wait_until(lambda: lock.answers, "an answer", interval_seconds=0.001)
    assert lock.answers == [(1, 0)]
