"""A store whose rows are on several servers with a snapshot each: what was read is looked at again.

Where that finds too much or something else too often, the snapshots are taken in a freeze. How a transaction
is begun, looked at again and committed is for the subclass.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar

from oastfs.core.errors import StoreError
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.session import READ, WRITE
from oastfs.store.sql_driver.tasks import on_thread
from oastfs.store.sql_driver.threaded import ThreadedStore
from oastfs.store.sql_driver.turns import Turn
from oastfs.store.staged import StagedTransaction, Writes
from oastfs.store.transaction import Transaction

T = TypeVar("T")
B = TypeVar("B", bound=Any)
"""The transaction that reads."""

_TRIES_BEFORE_FREEZE: Final = 3
"""So often a transaction may find that what it saw has changed, before others are made to wait for it."""
_SLOT_SECONDS: Final = 30.0


class Torn:
    """How one call has fared over all its attempts."""

    __slots__ = ("frozen", "times")

    def __init__(self) -> None:
        self.times = 0
        self.frozen = False
        """From now on, snapshots of all shards are taken in a freeze."""

    def again(self, too_much: bool) -> Conflict:
        """Not all that was seen was there at one moment; ``too_much``: to be looked at twice."""
        self.times += 1
        if too_much or self.times >= _TRIES_BEFORE_FREEZE:
            self.frozen = True
        return Conflict("what was read on several servers has changed meanwhile", at_once=True)


class RecheckingStore(ThreadedStore, Generic[B]):
    """What the stores on several servers have in common."""

    def __init__(self, threads: int, slots_max: int) -> None:
        super().__init__(threads)
        # Each transaction has one connection to a server, and perhaps another one to look at it again.
        self._slots_max = slots_max

    def _begin_process(self) -> None:
        super()._begin_process()
        self._slots = threading.BoundedSemaphore(self._slots_max)

    @abstractmethod
    def _transaction(self, how: str, torn: Torn, recording: bool) -> AbstractContextManager[B]:
        """Begin one, and end it."""

    @abstractmethod
    def _commit(self, base: B, writes: Writes, turn: Turn, torn: Torn) -> bool:
        """Commit what was staged. False: another transaction of this process is to come first."""

    @abstractmethod
    def _require_read_consistent(self, tx: B, torn: Torn) -> None:
        """Raise a Conflict unless there was a moment when all was there that was read."""

    def _reader(self, operation: Callable[[Transaction], T]) -> Callable[[], T]:
        torn = Torn()

        def attempt() -> T:
            with self._transaction(READ, torn, recording=False) as tx:
                result = self._run(operation, tx, tx, torn)
                self._require_read_consistent(tx, torn)
                return result

        return attempt

    def _writer(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> Callable[[], T]:
        torn = Torn()

        def attempt() -> T:
            with self._transaction(WRITE, torn, recording=True) as base:
                tx = StagedTransaction(base, locking=True)
                try:
                    result = self._run(operation, tx, base, torn)
                    writes = tx.finish()
                finally:
                    tx.finish()
                if self._commit(base, writes, turn, torn):
                    return result
            # The connections are given back before the wait: whoever has the turn may need some.
            if not turn.wait(max(0.0, deadline - time.monotonic())):
                raise StoreError("waited too long for others who change the same rows")
            raise Conflict("another transaction of this process changed the same rows", at_once=True)

        return attempt

    def _run(self, operation: Callable[[Transaction], T], tx: Transaction, base: B, torn: Torn) -> T:
        """The operation's result; if it fails, it does so over what was really there."""
        try:
            result = operation(tx)
            base.require_no_conflict()
            return result
        except Conflict:
            raise
        except Exception:
            base.require_no_conflict()
            self._require_read_consistent(base, torn)
            raise

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """So few at once that each gets all the connections that it needs: nobody waits who holds some."""
        if _in_slot.get():
            yield  # a read inside of another one
            return
        slots = self._slots
        if not slots.acquire(blocking=False) and not on_thread(lambda: slots.acquire(timeout=_SLOT_SECONDS)):
            raise StoreError("all connections to the database are in use")
        before = _in_slot.set(True)
        try:
            yield
        finally:
            _in_slot.reset(before)
            slots.release()


_in_slot: Final[ContextVar[bool]] = ContextVar("in_slot", default=False)
