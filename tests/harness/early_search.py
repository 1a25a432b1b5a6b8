"""The other search for an order: each operation as early as can be.

After Wing and Gong, with Lowe's memory of what was tried: at each point one of the operations that were
called before the first answer still outstanding may come next, if the model agrees with what it was answered.
What has been tried (which operations are done, and the state then) is not tried again.

It is the plainer one, and ``linearizability``'s mostly the faster one; but where calls that nobody heard of
have happened soon after they were called, and others only saw it much later, this one finds in seconds what
that one does not find in minutes. An operation without an answer may have happened at any time after its
call, or never.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from tests.harness.linearizability import Operation, Undecided

S = TypeVar("S")
_LOOKS_AT_CLOCK_EVERY: Final = 1024


class _Event:
    """A call or an answer, in a list in order of time."""

    __slots__ = ("answer", "bit", "following", "operation", "previous")

    def __init__(self, operation: Operation | None, bit: int) -> None:
        self.operation = operation
        """None for an answer."""
        self.bit = bit
        self.answer: _Event | None = None
        self.previous: _Event = self
        self.following: _Event | None = None

    def take(self) -> None:
        """Leave the list, with the answer."""
        for event in (self, self.answer):
            if event is not None:
                event.previous.following = event.following
                if event.following is not None:
                    event.following.previous = event.previous

    def put_back(self) -> None:
        """Undo ``take``."""
        for event in (self.answer, self):
            if event is not None:
                event.previous.following = event
                if event.following is not None:
                    event.following.previous = event


def find_order_early(
    operations: Sequence[Operation],
    initial: S,
    step: Callable[[S, Any], S | None],
    key: Callable[[S], Hashable] = lambda state: state,
    seconds: float = math.inf,
) -> list[Operation] | None:
    """As ``linearizability.find_order``."""
    head = _in_time(operations)
    unanswered = sum(1 << at for at, one in enumerate(operations) if one.answered_at is None)
    everything = (1 << len(operations)) - 1
    state, done = initial, 0
    tried: set[int] = set()  # hashes: what they stand for would take kilobytes each, and gigabytes in all
    path: list[tuple[_Event, S]] = []
    event = head.following
    deadline, steps = time.monotonic() + seconds, 0
    while done | unanswered != everything:
        steps += 1
        if steps % _LOOKS_AT_CLOCK_EVERY == 0 and time.monotonic() > deadline:
            raise Undecided(
                f"after {seconds:g} s it is not known "
                f"whether there is an order of {len(operations)} operations"
            )
        if event is not None and event.operation is not None:
            after = step(state, event.operation.name)
            if after is not None:
                mark = hash((done | event.bit, key(after)))
                if mark not in tried:
                    tried.add(mark)
                    path.append((event, state))
                    state, done = after, done | event.bit
                    event.take()
                    event = head.following
                    continue
            event = event.following
            continue
        # The first answer outstanding: its operation must have happened, and could not.
        if not path:
            return None
        last, state = path.pop()
        done &= ~last.bit
        last.put_back()
        event = last.following
    return [one.operation for one, _ in path if one.operation is not None]


def _in_time(operations: Sequence[Operation]) -> _Event:
    """Calls and answers as a list; its head is no event. A call comes before an answer of the same moment."""
    timed: list[tuple[int, int, _Event]] = []
    for at, operation in enumerate(operations):
        call = _Event(operation, 1 << at)
        timed.append((operation.called_at, 0, call))
        if operation.answered_at is not None:
            call.answer = _Event(None, 1 << at)
            timed.append((operation.answered_at, 1, call.answer))
    timed.sort(key=lambda one: one[:2])
    head = last = _Event(None, 0)
    for _, _, event in timed:
        last.following, event.previous = event, last
        last = event
    return head
