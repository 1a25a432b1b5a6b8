"""What every store on SQL servers has in common: who may call it when, submitted writes, closing, forks.

Reads and writes run on the caller's thread, submitted writes on a few threads of the store's own. How an
operation is run once is for the subclass: ``_reader`` and ``_writer`` give the attempt that ``store/run``
makes until it has come through.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from oastfs.core.errors import StoreError, TransactionMisuse
from oastfs.store.run import DEADLINE_SECONDS, run
from oastfs.store.sql_driver.turns import Turn, Turns
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
        self._closed = False
        self._turns = Turns()
        self._running: dict[int, int] = {}
        self._callbacks: set[int] = set()
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        _stores.add(self)

    def after_fork_in_child(self) -> None:
        """The parent's connections and threads are not ours."""
        closed = self._closed
        self._disown()
        self._begin_process()
        self._closed = closed

    @abstractmethod
    def _reader(self, operation: Callable[[Transaction], T]) -> Callable[[], T]:
        """What reads once; it may be called again after a Conflict."""

    @abstractmethod
    def _writer(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> Callable[[], T]:
        """What runs the operation and commits, once; it may be called again after a Conflict."""

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
            return run(self._reader(operation), deadline_seconds=DEADLINE_SECONDS)
        finally:
            self._leave()

    def write(self, operation: Callable[[Transaction], T]) -> T:
        if threading.get_ident() in self._running or threading.get_ident() in self._callbacks:
            self._require_open()
            raise TransactionMisuse("an operation may not call write: it is in a transaction already")
        return self._write(operation)

    def _write(self, operation: Callable[[Transaction], T]) -> T:
        turn = Turn(self._turns)
        deadline = time.monotonic() + DEADLINE_SECONDS
        self._enter()
        try:
            return run(self._writer(operation, turn, deadline), deadline_seconds=DEADLINE_SECONDS)
        finally:
            turn.end()
            self._leave()

    # --- writes without waiting -------------------------------------------------------------------------

    def submit(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        with self._lock:
            self._require_open()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="oastfs-store")
            self._executor.submit(self._run_submitted, operation, done)

    def _run_submitted(
        self, operation: Callable[[Transaction], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = self._write(operation)
        except BaseException as error:
            failure = error
        thread = threading.get_ident()
        self._callbacks.add(thread)
        try:
            done(result, failure)
        except Exception:
            _log.exception("a callback of submit failed")
        finally:
            self._callbacks.discard(thread)

    # --- closing ----------------------------------------------------------------------------------------

    def close(self) -> None:
        thread = threading.get_ident()
        if thread in self._running or thread in self._callbacks:
            raise TransactionMisuse("a store may not be closed from inside an operation or a callback")
        with self._lock:
            if self._closed:
                return
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)
        self._closed = True
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._running and time.monotonic() < deadline:
            time.sleep(_CLOSE_POLL_SECONDS)
        self._disconnect()
        _stores.discard(self)

    def _enter(self) -> None:
        """This thread uses the store."""
        thread = threading.get_ident()
        self._running[thread] = self._running.get(thread, 0) + 1
        if self._closed:
            self._leave()
            raise StoreError("the store is closed")

    def _leave(self) -> None:
        thread = threading.get_ident()
        depth = self._running.get(thread, 1) - 1
        if depth:
            self._running[thread] = depth
        else:
            self._running.pop(thread, None)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


_stores: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
