"""Circles of programs each of whom waits for a record lock that the next one has (EDEADLK of fcntl(2)).

As Linux does for local files, a process is taken for one that does nothing else while it waits, and who
closes the circle is refused. Only programs of this mount are known: none through another one is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class RecordWait:
    """A wait for a record lock: whose it is, and how to find out who has what is waited for."""

    owner: int
    find_blocker: Callable[[], int]
    """One who has it, or a part of it; 0 if that is nobody of this mount. May take long."""


def find_circle(last: RecordWait, waiting: Mapping[int, RecordWait]) -> list[RecordWait]:
    """The waits of which ``last`` makes a circle; none if it does not.

    ``waiting`` has the waits of all owners from before. Whoever waits gives nothing back, so there is a
    circle if they all still wait afterwards.
    """
    circle = [last]
    while len(circle) <= len(waiting) + 1:
        blocker = circle[-1].find_blocker()
        if blocker == last.owner:
            return circle
        following = waiting.get(blocker)
        if following is None:
            return []
        circle.append(following)
    return []  # others wait for each other: one of them is told
