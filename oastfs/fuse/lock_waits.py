"""Those who wait for a lock: one thread tries for all of them, again and again.

When something is unlocked in this mount, all who wait for that file try at once, in the order in which they
came; what other mounts unlock is found by trying after pauses that grow. No other request is held up. Who
would wait for ever, because programs here wait for each other, is told so.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from oastfs.core.errors import LockHeld
from oastfs.fuse.lock_circles import RecordWait, find_circle

PAUSE_SECONDS_FIRST: Final = 0.001
PAUSE_SECONDS_MAX: Final = 0.1
CIRCLE_SECONDS: Final = 1.0
"""How often each looks for a circle, after the first time: of several who have what it wants one shows."""
_INTERRUPTED_MAX: Final = 1024

Answer = Callable[[int], None]
"""Answers a request with an errno, or 0."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiter:
    number: int
    unique: int
    inode_id: int
    attempt: Callable[[], None]
    answer: Answer
    record: RecordWait | None
    circle_due: float = 0.0
    pause: float = PAUSE_SECONDS_FIRST
    due: float = 0.0
    trying: bool = False
    again: bool = False
    """Somebody unlocked while it was trying."""
    interrupted: bool = False


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    number: int
    waiter: _Waiter = field(compare=False)


class LockWaits:
    """Waiting requests, by the kernel's number for them."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiter] = {}
        self._turns: list[_Turn] = []
        self._interrupted: dict[int, None] = {}
        """Requests that are not waiting, or not yet: the kernel says it once only."""
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def has(self, inode_id: int) -> bool:
        """Whether anybody waits for locks of this file."""
        return any(one.inode_id == inode_id for one in list(self._waiting.values()))

    def add(
        self,
        unique: int,
        inode_id: int,
        attempt: Callable[[], None],
        answer: Answer,
        record: RecordWait | None = None,
    ) -> None:
        """Try until ``attempt`` does not raise LockHeld, then answer: 0, or the errno of what it raised.

        EDEADLK if it is for a ``record`` lock and would never come to an end.
        """
        with self._changed:
            refused = errno.EIO if self._ended else 0
            if unique in self._interrupted:
                del self._interrupted[unique]
                refused = errno.EINTR
            if not refused:
                waiter = _Waiter(next(self._numbers), unique, inode_id, attempt, answer, record)
                self._waiting[unique] = waiter
                self._schedule(waiter, time.monotonic())
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="oastfs-lock-waits", daemon=True)
                    self._thread.start()
        if refused:
            answer(refused)

    def interrupt(self, unique: int) -> None:
        """A signal came for whoever waits: the wait ends with EINTR."""
        with self._changed:
            waiter = self._waiting.get(unique)
            if waiter is None:
                if len(self._interrupted) >= _INTERRUPTED_MAX:
                    del self._interrupted[next(iter(self._interrupted))]
                self._interrupted[unique] = None
                return
            waiter.interrupted = True
            if waiter.trying:
                return  # and is answered after that
            del self._waiting[unique]
        waiter.answer(errno.EINTR)

    def unlocked(self, inode_id: int) -> None:
        """Somebody here has unlocked something of the file."""
        if not self._waiting:
            return
        with self._changed:
            now = time.monotonic()
            for waiter in self._waiting.values():
                if waiter.inode_id == inode_id:
                    waiter.pause = PAUSE_SECONDS_FIRST
                    if waiter.trying:
                        waiter.again = True
                    else:
                        self._schedule(waiter, now)

    def end(self) -> None:
        """The mount ends: nobody is given anything any more. Not EINTR, since no signal came."""
        with self._changed:
            self._ended = True
            left = [waiter for waiter in self._waiting.values() if not waiter.trying]
            for waiter in left:
                del self._waiting[waiter.unique]
            self._changed.notify()
        for waiter in left:
            waiter.answer(errno.EIO)

    def _schedule(self, waiter: _Waiter, due: float) -> None:
        waiter.due = due
        heapq.heappush(self._turns, _Turn(due, waiter.number, waiter))
        self._changed.notify()

    def _run(self) -> None:
        while (waiter := self._next()) is not None:
            code = _outcome(waiter.attempt)
            if code is None and self._is_in_circle(waiter):
                code = errno.EDEADLK
            with self._changed:
                waiter.trying = False
                if code is None:
                    code = self._again(waiter)
                if code is not None:
                    del self._waiting[waiter.unique]
            if code is not None:
                waiter.answer(code)

    def _next(self) -> _Waiter | None:
        """Whose turn it is; None at the end."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                while self._turns and self._is_over(self._turns[0]):
                    heapq.heappop(self._turns)
                if self._turns and self._turns[0].due <= now:
                    waiter = heapq.heappop(self._turns).waiter
                    waiter.trying = True
                    return waiter
                self._changed.wait(self._turns[0].due - now if self._turns else None)
            return None

    def _is_over(self, turn: _Turn) -> bool:
        """Whether it has another turn by now, or waits no more."""
        return turn.due != turn.waiter.due or self._waiting.get(turn.waiter.unique) is not turn.waiter

    def _is_in_circle(self, waiter: _Waiter) -> bool:
        """Whether it waits for itself in the end, as far as that is looked for now."""
        now = time.monotonic()
        if waiter.record is None or now < waiter.circle_due:
            return False
        waiter.circle_due = now + CIRCLE_SECONDS
        try:
            circle = find_circle(waiter.record, {one.owner: one for one in self._records()})
        except OSError:
            return False  # it may still wait
        return bool(circle) and set(circle) <= set(self._records())

    def _records(self) -> list[RecordWait]:
        return [one.record for one in list(self._waiting.values()) if one.record is not None]

    def _again(self, waiter: _Waiter) -> int | None:
        """Give it another turn, or say why it gets none."""
        if waiter.interrupted:
            return errno.EINTR
        if self._ended:
            return errno.EIO
        pause = 0.0 if waiter.again else waiter.pause * random.uniform(0.5, 1.0)
        waiter.again = False
        waiter.pause = min(waiter.pause * 2, PAUSE_SECONDS_MAX)
        self._schedule(waiter, time.monotonic() + pause)
        return None


def _outcome(attempt: Callable[[], None]) -> int | None:
    """0, an errno, or None if the lock is not to be had now."""
    try:
        attempt()
    except LockHeld:
        return None
    except OSError as error:
        return error.errno or errno.EIO
    except Exception:
        _log.exception("waiting for a lock failed")
        return errno.EIO
    return 0
