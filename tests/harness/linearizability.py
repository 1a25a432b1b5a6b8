"""Is there an order? A search for one in which operations that overlapped could have happened one by one.

After Wing and Gong, with Lowe's memory of what was tried, and as late as can be: events are gone through in
order of time, and nothing happens until an answer comes whose operation must have happened by then. It alone
is tried first, then others before it that were called already: those that are answered first, first, and
those that nobody heard of last. So what is pending is little at any time, and a place in the search (the
event, what is pending, the state) is small, however long the history. An operation that only reads happens
as soon as its answer is right: that takes no other one's chance away.

An operation without an answer may have happened at any time after its call, or never.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

S = TypeVar("S")
_LOOKS_AT_CLOCK_EVERY: Final = 64


@dataclass(frozen=True)
class Operation:
    """What one client did. Times are of one clock."""

    name: Any
    called_at: int
    answered_at: int | None
    """None: nobody heard of it."""
    only_reads: bool = False
    """It leaves every state as it is."""


class Undecided(AssertionError):
    """There was no time to try everything."""


def find_order(
    operations: Sequence[Operation],
    initial: S,
    step: Callable[[S, Any], S | None],
    key: Callable[[S], Hashable] = lambda state: state,
    seconds: float = math.inf,
) -> list[Operation] | None:
    """An order that explains all answers, or None if there is none. Undecided, if this takes longer.

    ``step(state, name)`` gives the state after an operation, None if it cannot have had its answer then.
    """
    return _Search(operations, step, key, seconds).run(initial)


@dataclass
class _Place(Generic[S]):
    """An answer whose operation has not happened, in a state."""

    at: int
    """The answer among the events; all of them are over if it is behind the last."""
    state: S
    pending: frozenset[int]
    """Called, and not happened."""
    happened: list[int]
    """What has led here from the place before."""
    choices: Iterator[int]
    """What may happen next."""


class _Search(Generic[S]):
    def __init__(
        self,
        operations: Sequence[Operation],
        step: Callable[[S, Any], S | None],
        key: Callable[[S], Hashable],
        seconds: float,
    ) -> None:
        self._operations = operations
        self._step = step
        self._key = key
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._events = _in_time(operations)
        self._tried: set[int] = set()
        """Hashes of places: a place itself takes kilobytes, and there may be millions."""
        self._steps = self._furthest = 0

    def run(self, initial: S) -> list[Operation] | None:
        place = self._go_on(0, initial, set(), [])
        path = [place]
        while place.at < len(self._events):
            self._require_time()
            following = self._next(place)
            if following is not None:
                path.append(following)
            else:
                path.pop()
                if not path:
                    return None
            place = path[-1]
        return [self._operations[number] for one in path for number in one.happened]

    def _next(self, place: _Place[S]) -> _Place[S] | None:
        """A place behind this one that was not tried, None if there is none."""
        for number in place.choices:
            after = self._step(place.state, self._operations[number].name)
            if after is None:
                continue
            pending = set(place.pending)
            pending.remove(number)
            following = self._go_on(place.at, after, pending, [number])
            mark = hash((following.at, following.pending, self._key(following.state)))
            if mark not in self._tried:
                self._tried.add(mark)
                return following
        return None

    def _go_on(self, at: int, state: S, pending: set[int], happened: list[int]) -> _Place[S]:
        """To the next answer whose operation has not happened."""
        operations = self._operations
        for number in [one for one in pending if operations[one].only_reads]:
            self._happen_if_it_may(number, state, pending, happened)
        while at < len(self._events):
            number, is_answer = self._events[at]
            if is_answer and number in pending:
                break
            if not is_answer:
                pending.add(number)
                if operations[number].only_reads:
                    self._happen_if_it_may(number, state, pending, happened)
            at += 1
        self._furthest = max(self._furthest, at)
        return _Place(at, state, frozenset(pending), happened, iter(self._choices(at, pending)))

    def _happen_if_it_may(self, number: int, state: S, pending: set[int], happened: list[int]) -> None:
        if self._step(state, self._operations[number].name) is not None:
            pending.remove(number)
            happened.append(number)

    def _choices(self, at: int, pending: set[int]) -> list[int]:
        """The operation that must have happened, and those that may have before it; the likely ones first."""
        if at == len(self._events):
            return []
        due = self._events[at][0]
        others = [one for one in pending if one != due and not self._operations[one].only_reads]
        return [due, *sorted(others, key=lambda one: (self._answered_at(one), -one))]

    def _answered_at(self, number: int) -> float:
        answered_at = self._operations[number].answered_at
        return math.inf if answered_at is None else answered_at

    def _require_time(self) -> None:
        self._steps += 1
        if self._steps % _LOOKS_AT_CLOCK_EVERY or time.monotonic() < self._deadline:
            return
        raise Undecided(
            f"after {self._seconds:g} s and {self._steps} steps it is not known whether there is an order of "
            f"{len(self._operations)} operations: there is one up to the first {self._furthest} of "
            f"{len(self._events)} calls and answers"
        )


def _in_time(operations: Sequence[Operation]) -> list[tuple[int, bool]]:
    """Calls and answers (which operation, and whether it is its answer). Of one moment, calls come first."""
    timed: list[tuple[int, bool, int]] = []
    for number, operation in enumerate(operations):
        timed.append((operation.called_at, False, number))
        if operation.answered_at is not None:
            timed.append((operation.answered_at, True, number))
    return [(number, is_answer) for _, is_answer, number in sorted(timed)]
