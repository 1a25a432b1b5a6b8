"""Changes that come together are committed together, on the event loop's own thread.

Two threads that take turns at the interpreter's lock, one running changes and the other hearing of them, cost
more than one that does both. And each group costs a sync and a commit, as much as two changes.

Where reads come as well, the loop serves them while a group is synced, and the changes that come
meanwhile are the next group.

Where nothing but changes comes, a group waits LINGER_SECONDS, after each that came, for who was in one of
the last two and probably comes again. Otherwise callers would fall into two halves, each of which comes
while the other's changes are synced. While it waits the loop goes on, turn by turn. Where nobody came,
the next groups do not wait. For the sync the loop waits itself: nobody is left to be served.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from oastfs.namenode.server.connection import RpcConnection
from oastfs.store.transaction import Store, Transaction

LINGER_SECONDS: Final = 0.0002
_UNLINGERED_MAX: Final = 64
"""Groups that do not wait, at most, after one that waited in vain."""
_clock = time.perf_counter

Operation = Callable[[Transaction], Any]
Done = Callable[[Any, BaseException | None], None]


class Turns:
    """For the event loop's thread, and for operations that do not take long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._store = store
        self._waiting: list[tuple[Operation, Done]] = []
        self._callers: set[RpcConnection] = set()
        """Whose changes are waiting; after that, those of the group before, and of the one before that."""
        self._before: set[RpcConnection] = set()
        self._earlier: set[RpcConnection] = set()
        self._until = 0.0
        self._heard = 0
        """How many changes were waiting when it was last looked."""
        self._came = False
        self._unlingered = self._pause = 0
        self._syncing = False
        """A group is synced meanwhile."""
        self.served = False
        """Set by who serves anything but a change."""

    def add(self, caller: RpcConnection, operation: Operation, done: Done) -> None:
        """Have a short operation carried out soon; ``done`` as of ``Store.submit``, or on this thread."""
        if not self._store.is_quick():
            self._store.submit(operation, done)
            return
        self._waiting.append((operation, done))
        self._callers.add(caller)
        if len(self._waiting) == 1:
            self._heard, self._came = 0, False
            if not self._syncing:
                self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Everything has been heard that had come."""
        if self.served:
            self._commit(wait=False)
        elif self._is_worth_waiting():
            os.sched_yield()  # callers on this machine may want the processor
            self._loop.call_soon(self._turn)
        else:
            self._commit(wait=True)

    def _is_worth_waiting(self) -> bool:
        if self._callers >= self._before and self._callers >= self._earlier:
            return False
        if self._unlingered:
            self._unlingered -= 1
            return False
        now, heard = _clock(), len(self._waiting)
        if heard > self._heard:
            self._came = self._heard > 0
            self._heard, self._until = heard, now + LINGER_SECONDS
        if now < self._until:
            return True
        self._pause = 0 if self._came else min(2 * self._pause + 1, _UNLINGERED_MAX)
        self._unlingered = self._pause
        return False

    def _commit(self, wait: bool) -> None:
        jobs, self._waiting = self._waiting, []
        self._earlier, self._before, self._callers = self._before, self._callers, set()
        self.served = False
        self._syncing = True
        operation, done = jobs[-1]

        def last(result: Any, error: BaseException | None) -> None:
            try:
                done(result, error)
            finally:
                self._answered()

        jobs[-1] = operation, last
        try:
            self._store.submit_together(jobs, wait)
        except Exception as error:  # none of them was begun
            for _, tell in jobs:
                tell(None, error)

    def _answered(self) -> None:
        """Go on, on the loop's thread. From any thread."""
        if threading.get_ident() == self._thread:
            self._go_on()
            return
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        """A group has been answered, and those that came meanwhile are the next one."""
        self._syncing = False
        if self._waiting:
            self._loop.call_soon(self._turn)
