"""Verbs that the mount's operations wait for, on a database: the serving thread waits for none.

An event loop reads the kernel's requests and the database's answers. What an operation waits for runs in a
task of the store's on the same thread (``store/sql_driver/tasks.py``), so nothing is handed from thread to
thread, and reads that come together share a statement. Other threads (workers, which may wait) take part by
submitting.
"""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from typing import Any

import uvloop

from oastfs.fuse.effects import Change
from oastfs.fuse.kernel.changes import Done
from oastfs.namenode.namespace import Namespace


class Tasks:
    """What is under way on one namespace. To be made and run on the serving thread."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._is_read = namespace.is_read
        self._under_way = 0
        self._lock = threading.Lock()
        self._is_ending = False
        namespace.store.attend(self._loop)

    def run(self, descriptor: int, take: Callable[[], bool], let_workers_end: Callable[[], None]) -> None:
        """Have what comes to ``descriptor`` taken until ``take`` says that nothing more will.

        Then the workers are let end, on a thread, since they may be waiting for what is under way here.
        """
        # By an epoll of its own: the loop has no word for those whose other side is gone.
        requests = select.epoll()
        requests.register(descriptor, select.EPOLLIN)

        def ready() -> None:
            if not take():
                self._loop.remove_reader(requests.fileno())
                threading.Thread(target=end, name="oastfs-mount-end", daemon=True).start()

        def end() -> None:
            let_workers_end()
            self._loop.call_soon_threadsafe(self._end_when_idle)

        self._loop.add_reader(requests.fileno(), ready)
        try:
            self._loop.run_forever()
        finally:
            requests.close()
            self._loop.close()

    def _end_when_idle(self) -> None:
        self._is_ending = True
        if not self._under_way:
            self._loop.stop()

    def add(self, change: Change, done: Done) -> None:
        """Have it carried out; ``done`` is called on the serving thread, where nothing may wait."""
        with self._lock:
            self._under_way += 1

        def answered(result: Any, error: BaseException | None) -> None:
            try:
                done(result, error)
            finally:
                self._ended()

        try:
            if self._is_read(change.verb):
                self._namespace.submit_read(change.verb, change.caller, change.arguments, answered)
            else:
                self._namespace.submit(change.verb, change.caller, change.arguments, answered)
        except Exception as error:
            answered(None, error)

    def _ended(self) -> None:
        with self._lock:
            self._under_way -= 1
        if self._is_ending and not self._under_way:
            self._loop.call_soon_threadsafe(self._loop.stop)
