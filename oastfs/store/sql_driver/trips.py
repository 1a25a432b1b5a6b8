"""Sending to the server and awaiting its answer, by psycopg 2 or 3.

psycopg 2 is used without blocking: what was sent is awaited by whoever needs it, which may be a task of an
event loop, and several servers may work at the same time. psycopg 3 blocks, and nothing is sent before its
answer is wanted.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Any, Final, Protocol

from oastfs.store.sql_driver.tasks import Hub, current_hub

_OK, _READ = 0, 1
"""psycopg2.extensions.POLL_OK and POLL_READ."""
_SENT_AT_ONCE_BYTES: Final = 16 * 1024
"""What a socket takes that has nothing else to send."""
_READABLE: Final = select.POLLIN | select.POLLERR | select.POLLHUP
_WRITABLE: Final = select.POLLOUT | select.POLLERR | select.POLLHUP


class Trip(Protocol):
    """One connection's way to its server."""

    def start(self, text: str, arguments: Sequence[Any]) -> None:
        """Send it."""

    def finish(self) -> None:
        """Await the answer. Raises the driver's errors."""

    def rows(self) -> list[tuple[Any, ...]]:
        """Of the last statement."""

    def is_broken(self) -> bool:
        """After a failure: whether nothing more can be sent."""

    def take_notices(self) -> None:
        """Have the notices that came with the answer in the connection's list."""

    def close(self) -> None:
        """Nothing follows."""


def is_psycopg3(connection: Any) -> bool:
    """Whether it is one of psycopg 3."""
    return type(connection).__module__.partition(".")[0] == "psycopg"


def trip_of(connection: Any) -> Trip:
    """For a connection of either."""
    return _Blocking(connection) if is_psycopg3(connection) else _Polling(connection)


class _Polling:
    """psycopg 2, on an asynchronous connection."""

    def __init__(self, connection: Any) -> None:
        cursor = self._cursor = connection.cursor()
        self.start = cursor.execute
        self.rows = cursor.fetchall
        self._poll = connection.poll
        self._connection = connection
        self._poller = select.poll()
        self._poller.register(connection.fileno(), _READABLE)
        self._descriptor = -1
        """Ours, of the same socket, for a loop to watch: the driver closes its own if the server is gone."""
        self._hub: Hub | None = None

    def finish(self) -> None:
        # What is small has left already: then there is nothing to ask before something has come.
        state = _READ if len(self._cursor.query) < _SENT_AT_ONCE_BYTES else self._poll()
        while state != _OK:
            hub = current_hub()
            if hub is not None:
                self._wait_in(hub, state)
            elif state == _READ:
                self._poller.poll()
            else:
                self._wait_writable()
            state = self._poll()

    def is_broken(self) -> bool:
        # A server that resets the connection leaves it open for the driver, with a query under way for ever.
        connection = self._connection
        try:
            return bool(connection.closed or connection.info.status or connection.isexecuting())
        except Exception:
            return True

    def take_notices(self) -> None:
        # Those behind the first statement's result are put there when the driver is asked once more.
        self._poll()

    def _wait_writable(self) -> None:
        """More is to be sent than the socket takes at once."""
        poller = select.poll()
        poller.register(self._connection.fileno(), _WRITABLE)
        poller.poll()

    def _wait_in(self, hub: Hub, state: int) -> None:
        if hub is not self._hub:
            self.close()
            self._hub = hub
            self._descriptor = os.dup(self._connection.fileno())
        hub.wait_for(self._descriptor, _READABLE if state == _READ else _WRITABLE)

    def close(self) -> None:
        if self._hub is not None:
            self._hub.forget(self._descriptor)
            os.close(self._descriptor)
            self._hub = None


class _Blocking:
    """psycopg 3."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._waiting: tuple[str, Sequence[Any]] = "", ()

    def start(self, text: str, arguments: Sequence[Any]) -> None:
        self._waiting = text, arguments

    def finish(self) -> None:
        self._cursor.execute(*self._waiting)
        while self._cursor.nextset():
            pass

    def rows(self) -> list[tuple[Any, ...]]:
        return self._cursor.fetchall()  # type: ignore[no-any-return]  # drivers have no types

    def is_broken(self) -> bool:
        return bool(self._connection.closed)

    def take_notices(self) -> None:
        return

    def close(self) -> None:
        return
