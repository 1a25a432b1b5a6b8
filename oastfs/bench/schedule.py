"""Arrivals at a rate, whatever the answers take: load as many independent users make it.

A caller that waits for each answer before it asks again (a closed loop) asks less just when the system is
slow, and its latencies leave out what others would have waited: coordinated omission. Here every operation
has a time at which it is due, fixed beforehand, and its latency counts from then: time that it waits for a
free caller is part of it.
"""

from __future__ import annotations

import ctypes
import random
from array import array
from itertools import count

_PR_SET_TIMERSLACK = 29


def arrival_times_ns(rate: float, seconds: float, seed: str) -> array[int]:
    """When operations are due, in nanoseconds from the start: a Poisson process, which the seed decides."""
    rng = random.Random(seed)
    times, now, end = array("Q"), 0.0, seconds * 1e9
    mean_ns = 1e9 / rate
    while (now := now + rng.expovariate(1.0) * mean_ns) < end:
        times.append(int(now))
    return times


class Arrivals:
    """The arrivals of one process, for whichever of its callers is free first."""

    def __init__(self, times_ns: array[int]) -> None:
        self._times = times_ns
        self._turn = count()

    def __len__(self) -> int:
        return len(self._times)

    def next_due_ns(self) -> int | None:
        """When the next operation is due, from the start; None when there are no more. From any thread."""
        turn = next(self._turn)  # a count hands out each number once, without a lock
        return self._times[turn] if turn < len(self._times) else None


def exact_timers() -> None:
    """Have this thread, and those it starts, wake when they asked to, and not up to 50 us later."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
