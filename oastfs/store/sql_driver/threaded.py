"""What every store on SQL servers has in common: who may call it when, submitted writes, closing, forks.

Reads and writes run on the caller's thread, what is submitted on a few threads of the store's own, or, with
an event loop to ``attend``, in tasks on the loop's thread. How an operation is run once is for the subclass:
``_reader`` and ``_writer`` give the attempt that ``store/run`` makes until it has come through.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from oastfs.core.errors import StoreError, TransactionMisuse
from oastfs.store.run import DEADLINE_SECONDS, First, run
from oastfs.store.sql_driver.tasks import Hub, Lane, sleep, who
from oastfs.store.sql_driver.turns import Turn, Turns
from oastfs.store.staged import StagedTransaction
from oastfs.store.transaction import Store, Transaction

T = TypeVar("T")

THREADS: Final = 16
FREE_BYTES: Final = 1 << 50
"""PostgreSQL does not tell how much its disk has left; it tells when there is nothing left."""
_CLOSE_POLL_SECONDS: Final = 0.001

_log = logging.getLogger(__name__)


class ThreadedStore(Store):
    """A handle on one or several databases. Subclasses call ``_begin_process`` when they are ready."""

    reads_inline = False

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def _begin_process(self) -> None:
        """What a forked child needs anew."""
        self._closed = self._closing = False
        self.reads_awaitable = False
        self._turns = Turns()
        self._running: dict[int, int] = {}
        self._callbacks: set[int] = set()
        self._executor: ThreadPoolExecutor | None = None
        self._hub: Hub | None = None
        self._lanes: tuple[Lane, ...] = ()
        """For reads and writes on an event loop, if there is one."""
        self._lock = threading.Lock()
        _stores.add(self)

    def after_fork_in_child(self) -> None:
        """The parent's connections and threads are not ours."""
        closed = self._closed
        self._disown()
        self._begin_process()
        self._closed = self._closing = closed

    @abstractmethod
    def _reader(self, operation: Callable[[Transaction], T]) -> Callable[[], T]:
        """What reads once; it may be called again after a Conflict."""

    @abstractmethod
    def _writer(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> Callable[[], T]:
        """What runs the operation and commits, once; it may be called again after a Conflict."""

    @abstractmethod
    def _await_end_of_older(self) -> None:
        """Return when all transactions have ended that are under way, whichever process's they are."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close what the store has open: nobody uses it any more."""

    @abstractmethod
    def _disown(self) -> None:
        """After a fork: forget connections without a word to their servers."""

    # --- transactions -----------------------------------------------------------------------------------

    def read(self, operation: Callable[[Transaction], T]) -> T:
        self._enter()
        try:
            return run(self._reader(operation), deadline_seconds=DEADLINE_SECONDS, sleep=sleep)
        finally:
            self._leave()

    def write(self, operation: Callable[[Transaction], T]) -> T:
        if who() in self._running or who() in self._callbacks:
            self._require_open()
            raise TransactionMisuse("an operation may not call write: it is in a transaction already")
        return self._write(operation)

    def _write(self, operation: Callable[[Transaction], T]) -> T:
        try:
            return self._write_once(operation)
        except First as first:
            self._write_once(first.change)
        self._enter()
        try:
            self._await_end_of_older()
        finally:
            self._leave()

        def alone(tx: Transaction) -> T:
            assert isinstance(tx, StagedTransaction)
            tx.overlapped = False
            return operation(tx)

        return self._write_once(alone)

    def _write_once(self, operation: Callable[[Transaction], T]) -> T:
        turn = Turn(self._turns)
        deadline = time.monotonic() + DEADLINE_SECONDS
        self._enter()
        try:
            return run(
                self._writer(operation, turn, deadline), deadline_seconds=DEADLINE_SECONDS, sleep=sleep
            )
        finally:
            turn.end()
            self._leave()

    # --- without waiting --------------------------------------------------------------------------------

    @abstractmethod
    def _may_wait_in_tasks(self) -> bool:
        """Whether tasks of an event loop may use the store."""

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._lanes and self._may_wait_in_tasks():
            self._hub = Hub(loop)
            self._lanes = Lane(self._hub, self._threads), Lane(self._hub, self._threads)
            self.reads_awaitable = True

    def submit(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if self._lanes:
            self._require_open()
            self._lanes[1].run(partial(self._run_submitted, self._write, operation, done))
            return
        with self._lock:
            self._require_open()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="oastfs-store")
            self._executor.submit(self._run_submitted, self._write, operation, done)

    def submit_read(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if not self._lanes:
            super().submit_read(operation, done)
            return
        self._require_open()
        self._lanes[0].run(partial(self._run_submitted, self.read, operation, done))

    def _run_submitted(
        self,
        how: Callable[[Callable[[Transaction], T]], T],
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = how(operation)
        except BaseException as error:
            failure = error
        me = who()
        self._callbacks.add(me)
        try:
            done(result, failure)
        except Exception:
            _log.exception("a callback of submit failed")
        finally:
            self._callbacks.discard(me)

    # --- closing ----------------------------------------------------------------------------------------

    def close(self) -> None:
        me = who()
        if me in self._running or me in self._callbacks:
            raise TransactionMisuse("a store may not be closed from inside an operation or a callback")
        with self._lock:
            if self._closing:
                return
            self._closing = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)
        deadline = time.monotonic() + DEADLINE_SECONDS
        if self._hub is not None and self._hub.may_start():
            deadline = 0.0  # while this waits, none of its tasks can go on
        while not all(lane.is_idle for lane in self._lanes) and time.monotonic() < deadline:
            time.sleep(_CLOSE_POLL_SECONDS)
        self._closed = True
        while self._running and time.monotonic() < deadline:
            time.sleep(_CLOSE_POLL_SECONDS)
        self._disconnect()
        if self._hub is not None:
            self._hub.stop()
        _stores.discard(self)

    def _enter(self) -> None:
        """This thread, or task, uses the store."""
        me = who()
        self._running[me] = self._running.get(me, 0) + 1
        if self._closed:
            self._leave()
            raise StoreError("the store is closed")

    def _leave(self) -> None:
        me = who()
        depth = self._running.get(me, 1) - 1
        if depth:
            self._running[me] = depth
        else:
            self._running.pop(me, None)

    def _require_open(self) -> None:
        if self._closing:
            raise StoreError("the store is closed")


_stores: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
