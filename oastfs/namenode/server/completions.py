"""Brings results from the store's threads back to the event loop: one wake-up for a group of them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from oastfs.namenode.server.connection import RpcConnection

Finish = Callable[[], RpcConnection]
"""Puts one answer in line, on the loop's thread; tells whose connection is to be flushed."""


class Completions:
    """``post`` from any thread; the loop's thread, on which it is made, does the rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._done: deque[Finish] = deque()
        self._waking = False

    def post(self, finish: Finish) -> None:
        """Have ``finish`` called on the loop's thread."""
        self._done.append(finish)
        # A wake-up that is under way will find this one, too: it clears the flag before it looks.
        if not self._waking:
            self._waking = True
            try:
                if threading.get_ident() == self._thread:
                    self._loop.call_soon(self._drain)  # without the system calls that wake it
                else:
                    self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                pass  # the loop is closed: nobody is left to be answered

    def _drain(self) -> None:
        self._waking = False
        done = self._done
        touched: set[RpcConnection] = set()
        while done:
            touched.add(done.popleft()())
        for connection in touched:
            connection.flush()
            connection.go_on()
