"""Verbs that the mount's operations wait for, through namenodes: the serving thread waits for none of them.

It takes what requests there are, sends the calls that come of them together, and goes on with whichever
operation is answered first. Other threads (workers, which may wait) make a call of their own.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any, Final

from oastfs.client.pipeline import TICK_SECONDS, Pipeline
from oastfs.client.remote import RemoteMetadata
from oastfs.fuse.effects import Change
from oastfs.fuse.kernel.changes import Done

_TICK_MS: Final = int(TICK_SECONDS * 1000)


class Calls:
    """Calls on their way to namenodes. Its methods but ``add`` are for the serving thread."""

    def __init__(
        self,
        metadata: RemoteMetadata,
        descriptor: int,
        run_elsewhere: Callable[[Callable[[], None]], None],
    ) -> None:
        self._metadata = metadata
        self._pipeline = Pipeline(metadata, run_elsewhere)
        self._descriptor = descriptor
        self._thread = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._polled: Any = None
        self._polled_descriptor = self._events = 0

    def begin(self) -> None:
        """This is the serving thread."""
        self._thread = threading.get_ident()

    def end(self) -> None:
        """There will be no more requests."""
        self._pipeline.close()

    def add(self, change: Change, done: Done) -> None:
        """Have a call made; ``done`` is called once it is answered."""
        if threading.get_ident() == self._thread:
            self._pipeline.begin(change.verb, change.caller, change.arguments, done)
            return
        try:
            result = self._metadata.call(change.verb, change.caller, *change.arguments)
        except Exception as error:
            done(None, error)
        else:
            done(result, None)

    def flush_if_idle(self) -> None:
        """Have the namenode begin while further requests are read, if it has nothing else to do."""
        if self._pipeline.idle:
            self._pipeline.flush()

    def wait(self) -> None:
        """Send what has come together, and take answers until there is a request of the kernel."""
        pipeline = self._pipeline
        while True:
            pipeline.flush()
            self._watch()
            ready = self._poll.poll(_TICK_MS if pipeline.waiting else None)
            requested = False
            for descriptor, events in ready:
                if descriptor == self._descriptor:
                    requested = True
                elif events & ~select.POLLOUT:
                    pipeline.receive()
            if not ready:
                pipeline.tick()
            if requested:
                return

    def _watch(self) -> None:
        """Poll the connection that is in use now."""
        connection = self._pipeline.connection
        if connection is not self._polled:
            if self._polled is not None:
                self._poll.unregister(self._polled_descriptor)
            self._polled, self._events = connection, 0
        if connection is not None:
            events = select.POLLIN | (select.POLLOUT if self._pipeline.unsent else 0)
            if events != self._events:
                self._polled_descriptor, self._events = connection.fileno(), events
                self._poll.register(self._polled_descriptor, events)
