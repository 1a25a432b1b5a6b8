"""Telling that this process stood still: calls may have lain unread and been carried out elsewhere."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from oastfs.namenode.namespace import RETRY_WAIT_NS

_STALLED_NS: Final = 10**9
"""How long after a stall the calls that come are taken for old ones."""
_LOOK_SECONDS: Final = RETRY_WAIT_NS / 10**9 / 3
_clock_ns = time.perf_counter_ns


class StallWatch:
    """Looks at the clock every now and then on the event loop: too late means that the loop stood still."""

    __slots__ = ("_closed", "_looked_ns", "_stalled_until_ns")

    def __init__(self) -> None:
        self._looked_ns = 0
        self._stalled_until_ns = 0
        self._closed = False

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on until ``close``."""
        if not self._closed:
            self.is_stalled(_clock_ns())
            loop.call_later(_LOOK_SECONDS, self.watch, loop)

    def close(self) -> None:
        """Look no more. From any thread."""
        self._closed = True

    def is_stalled(self, now_ns: int) -> bool:
        """Whether calls that are read now may have lain unread while this process stood still.

        Their clients may have had them carried out by another namenode meanwhile.
        """
        if now_ns - self._looked_ns > RETRY_WAIT_NS:
            self._stalled_until_ns = now_ns + _STALLED_NS
        self._looked_ns = now_ns
        return now_ns < self._stalled_until_ns
