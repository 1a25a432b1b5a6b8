"""When changes go to the store, and on whose thread they are committed. For direct mode.

Two ways. With the store's own thread, the serving thread goes on answering others while a group is
synced; each group costs some switches between threads, which in Python are dear. Or the serving thread
commits itself, all changes that have come together once no request waits any more: more changes a
second when all callers wait for changes, but everybody else would wait for the sync, too.

So the serving thread commits as long as nobody asks but those who make changes, and leaves it to the
store's thread for a while as soon as anybody else does.

An operation may make several changes one after the other: what follows the first, when that is answered, adds
the next. So there may be changes to commit again after a commit, and the serving thread may only go to
wait for requests when there are none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from oastfs.core.types import Caller
from oastfs.fuse.effects import Change
from oastfs.namenode.namespace import Namespace

PASSES_MAX: Final = 64
"""After so many further requests what waits is committed, though more requests wait."""
QUIET_CHANGES: Final = 64
"""For so many changes after somebody else asked, the store's thread commits."""
GENERATION_COMMITS: Final = 32
"""Who made no change for one to two times so many commits is somebody else."""

Done = Callable[[Any, BaseException | None], None]


class Changes:
    """Changes on their way to the store. Its methods but ``add`` are for the serving thread."""

    def __init__(self, namespace: Namespace) -> None:
        self.waiting: list[tuple[str, Caller, tuple[Any, ...], Done]] = []
        self.recent: set[int] = {0}
        """The threads that made changes lately; 0 is the kernel itself."""
        self.asked_alone = True
        """Whether the last two requests were of the same thread."""
        self._asking = 0
        self._namespace = namespace
        self._thread = 0
        self._present: set[int] = {0}
        self._quiet = self._passes = self._commits = 0

    def begin(self) -> None:
        """This is the serving thread."""
        self._thread = threading.get_ident()

    def add(self, change: Change, done: Done) -> None:
        """Have a change made; ``done`` is called once it is durable, on some thread."""
        call = (change.verb, change.caller, change.arguments, done)
        if threading.get_ident() != self._thread:
            self._submit(call)
            return
        self._present.add(self._asking)
        self.recent.add(self._asking)
        if self._quiet:
            self._quiet -= 1
            self._submit(call)
        else:
            self.waiting.append(call)

    def asked(self, thread: int) -> None:
        """A request of this thread is at hand, before what waits is committed."""
        self.asked_alone = thread == self._asking
        self._asking = thread
        if thread not in self.recent:
            self._somebody_else()
        elif self.waiting:
            self._passes += 1
            if self._passes == PASSES_MAX:
                self.commit()

    def commit(self) -> bool:
        """Commit what waits, if anything does; whether it did. Then more may wait."""
        if not self.waiting:
            return False
        self._passes = 0
        self._commits += 1
        if self._commits % GENERATION_COMMITS == 0:
            self.recent, self._present = self._present, {0}
        calls, self.waiting = self.waiting, []
        try:
            self._namespace.submit_together(calls)
        except Exception as error:  # none of them was begun
            for call in calls:
                call[3](None, error)
        return True

    def _somebody_else(self) -> None:
        """A request of a thread that makes no changes: it shall not wait for a sync."""
        self._quiet = QUIET_CHANGES
        calls, self.waiting = self.waiting, []
        for call in calls:
            self._submit(call)

    def _submit(self, call: tuple[str, Caller, tuple[Any, ...], Done]) -> None:
        try:
            self._namespace.submit(*call)
        except Exception as error:
            call[3](None, error)
