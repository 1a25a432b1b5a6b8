"""Threads that accept connections and serve them, one at a time each.

HDFS's clients open a connection for every block that they write, and to begin a thread for each would cost as
much as all else about a small block. So threads wait in accept(2) themselves, serve what they were given, and
come back. The kernel wakes one for each connection. When none is left waiting another one is begun, and those
that come back to enough others end.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 0.1
"""After a failed accept, such as for want of file descriptors."""
_WAITING_MAX: Final = 8


class Acceptors:
    """All threads of one listening socket."""

    def __init__(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        """``serve`` is called with each connection, and closes it."""
        self._listener = listener
        self._serve = serve
        self._lock = threading.Lock()
        self._waiting = 0
        self._stopping = False
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        """Begin to accept."""
        self._add_waiting()

    def stop(self) -> None:
        """Accept no more; connections that are being served go on."""
        self._stopping = True
        # shutdown wakes accept(2); close alone does not.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # a Unix listener may refuse, and wakes all the same
        self._listener.close()

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that have not ended."""
        with self._lock:
            return list(self._threads)

    def _add_waiting(self) -> None:
        """Begin a thread, unless another one waits."""
        with self._lock:
            if self._waiting or self._stopping:
                return
            self._waiting = 1
            thread = threading.Thread(target=self._run, name="connection", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            log.warning("no thread for further connections could be started: they wait for one to end")
            with self._lock:
                self._waiting -= 1
                self._threads.discard(thread)

    def _run(self) -> None:
        try:
            while (accepted := self._accept()) is not None:
                self._add_waiting()
                try:
                    self._serve(accepted)
                except OSError as error:
                    log.info("a connection ended as it began", error=str(error))
                with self._lock:
                    if self._stopping or self._waiting >= _WAITING_MAX:
                        return
                    self._waiting += 1
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _accept(self) -> socket.socket | None:
        """The next connection; the caller waits no longer. None at the end."""
        while not self._stopping:
            try:
                accepted, _ = self._listener.accept()
            except OSError as error:
                if not self._stopping:
                    log.warning("a connection could not be accepted", error=str(error))
                    time.sleep(PAUSE_SECONDS)
                continue
            with self._lock:
                self._waiting -= 1
            return accepted
        return None
