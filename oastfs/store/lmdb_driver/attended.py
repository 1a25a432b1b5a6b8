"""Groups of event loops' threads that are synced meanwhile, and answered on the loop when they have been."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from oastfs.core.errors import StoreError
from oastfs.store.lmdb_driver.job import Job
from oastfs.store.lmdb_driver.journal import Journal


class Attended:
    """What is being synced for the event loops that attend the store."""

    def __init__(self, journal: Journal, before_leaving: Callable[[], None]) -> None:
        self._journal = journal
        self._before_leaving = before_leaving
        self._telling = threading.Lock()
        self._syncing: deque[tuple[int, list[Job]]] = deque()
        """Groups that are answered when so much of the log is durable."""
        self.loops: dict[int, asyncio.AbstractEventLoop] = {}
        """By the descriptors by which they hear of syncs."""

    def attend(self, loop: asyncio.AbstractEventLoop) -> int:
        """Have this loop, on whose thread this is called, answer its groups when they have been synced, until
        ``leave`` is called with what this returns."""
        watched = os.dup(self._journal.synced_descriptor())
        loop.add_reader(watched, self.tell)
        self.loops[watched] = loop
        return watched

    def leave(self, watched: int) -> None:
        """A loop attends the store no longer, once ``before_leaving`` was called on it. From any thread."""
        loop = self.loops.pop(watched, None)
        if loop is None:
            return  # of the process that this one was forked from

        def forget() -> None:
            loop.remove_reader(watched)
            os.close(watched)
            self._before_leaving()

        try:
            loop.call_soon_threadsafe(forget)
        except RuntimeError:  # it is closed
            os.close(watched)

    def begin(self, group: list[Job]) -> bool:
        """Have a group made durable meanwhile; whether it need not be any more, and can be told."""
        try:
            number = self._journal.begin_sync()
        except StoreError as error:
            number = 0
            for job in group:
                job.error = job.error or error
        self._syncing.append((number, group))
        # The descriptor tells of each sync once: another thread may have heard of this one before that.
        return not number or self._is_synced(number)

    def _is_synced(self, number: int) -> bool:
        """Whether what was to be synced is, or never will be."""
        try:
            return self._journal.synced() >= number
        except StoreError:
            return True

    def finish(self) -> None:
        """Wait for what is being synced, and answer."""
        with suppress(StoreError):  # they are told
            self._journal.sync()
        self.tell()

    def tell(self) -> None:
        """Answer the groups that have been synced meanwhile."""
        failure: StoreError | None = None
        synced = 0
        try:
            synced = self._journal.synced()
        except StoreError as error:
            failure = error
        synced_groups: list[list[Job]] = []
        with self._telling:
            while self._syncing and (failure or self._syncing[0][0] <= synced):
                synced_groups.append(self._syncing.popleft()[1])
        for group in synced_groups:
            for job in group:
                job.error = job.error or failure
                job.tell()
