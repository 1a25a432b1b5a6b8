"""Waiting for something, with a deadline and a message that says what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    probe: Callable[[], T],
    what: str,
    seconds: float = 30.0,
    interval_seconds: float = 0.05,
    tolerate: tuple[type[BaseException], ...] = (OSError,),
) -> T:
    """The first true value of ``probe``; AssertionError naming ``what`` after ``seconds``.

    Errors in ``tolerate`` count as "not yet"; the last one is told if time runs out.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = probe()
            if value:
                return value
            last = value
        except tolerate as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}; last seen: {last!r}")
        time.sleep(interval_seconds)
