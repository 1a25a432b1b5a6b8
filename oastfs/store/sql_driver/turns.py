"""Whose turn it is at a row, among the transactions of this process.

PostgreSQL lets the first of two transactions that change a row win, and the other one has done its work in
vain. Within a process that is easily avoided: who is about to change a row takes the turn at it, and
whoever comes later waits and then begins anew, with a snapshot that has the change. A busy row is thus
changed by one transaction after the other, in the order of arrival.

Turns are taken all at once or not at all, so nobody waits who holds one: no deadlock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterable

from oastfs.store.sql_driver.tasks import Event, new_event


class Turns:
    """The rows that are being changed by this process, and who waits for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[Hashable] = set()
        self._waiting: deque[Turn] = deque()

    def give(self, turn: Turn) -> bool:
        """Have the turn get its rows, if all are free; no one is overtaken who waits for one of them."""
        with self._lock:
            if any(not turn.rows.isdisjoint(waiting.rows) for waiting in self._waiting):
                return False
            return self._give(turn)

    def _give(self, turn: Turn) -> bool:
        if not self._taken.isdisjoint(turn.rows):
            return False
        self._taken.update(turn.rows)
        turn.held = True
        return True

    def queue(self, turn: Turn) -> None:
        """As ``give``, at some time: then the turn is told."""
        with self._lock:
            if self._give(turn):
                turn.tell()
            else:
                self._waiting.append(turn)

    def end(self, turn: Turn) -> None:
        """The rows are free for the next in line."""
        with self._lock:
            if not turn.held:
                try:
                    self._waiting.remove(turn)
                except ValueError:
                    pass
                return
            turn.held = False
            self._taken.difference_update(turn.rows)
            if not self._waiting:
                return
            blocked: set[Hashable] = set()
            left: deque[Turn] = deque()
            for waiting in self._waiting:
                if blocked.isdisjoint(waiting.rows) and self._give(waiting):
                    waiting.tell()
                else:
                    blocked.update(waiting.rows)
                    left.append(waiting)
            self._waiting = left


class Turn:
    """One transaction's place in line, over all its attempts."""

    __slots__ = ("come", "held", "rows", "turns")

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.rows: frozenset[Hashable] = frozenset()
        self.held = False
        self.come: Event | None = None

    def take(self, rows: Iterable[Hashable]) -> bool:
        """Whether all these rows are ours to change now; ours before stay so only then."""
        wanted = frozenset(rows)
        if self.held:
            if wanted <= self.rows:
                return True
            self.end()
        self.rows = wanted
        return self.turns.give(self)

    def wait(self, seconds: float) -> bool:
        """Wait for the rows that could not be taken. False if it takes too long."""
        self.come = new_event()
        self.turns.queue(self)
        return self.come.wait(seconds)

    def tell(self) -> None:
        """The rows that were waited for are ours."""
        if self.come is not None:
            self.come.set()

    def end(self) -> None:
        """Let others have the rows."""
        self.turns.end(self)
