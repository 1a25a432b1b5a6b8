"""The one retry loop. Nothing else in OastFS runs a transaction again.

A driver raises ``Conflict`` when an attempt had no effect and may be made again: the map had to grow, two
transactions could not be put in an order, a lock was lost. Every other error goes to the caller.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from oastfs.core.errors import StoreError, StoreUnavailable
from oastfs.store.transaction import Transaction

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.25


class Conflict(StoreError):
    """The attempt changed nothing and may be made again; ``at_once`` if waiting would not help."""

    def __init__(self, message: str, *, at_once: bool = False) -> None:
        super().__init__(message)
        self.at_once = at_once


class First(StoreError):
    """Raised by an operation: a change has to be committed before it.

    The store commits ``change``, waits until every transaction has ended that began without a sight of it,
    and then runs the operation again.
    """

    def __init__(self, change: Callable[[Transaction], None]) -> None:
        super().__init__("another change comes first")
        self.change = change


def run(
    attempt: Callable[[], T],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> T:
    """The result of the first attempt without a Conflict.

    Pauses double from 1 ms to 250 ms, each shortened by chance so that rivals do not meet again.
    Raises StoreUnavailable once ``deadline_seconds`` have passed.
    """
    started = clock()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return attempt()
        except Conflict as conflict:
            if clock() - started > deadline_seconds:
                raise StoreUnavailable(
                    f"gave up after {deadline_seconds:g} s: {conflict.message}"
                ) from conflict
            if not conflict.at_once:
                sleep(pause * (0.5 + jitter() / 2))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
