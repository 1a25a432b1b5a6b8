"""Group commit: many operations, one LMDB write transaction, one sync.

Whoever holds the leadership may write. A caller that finds it free takes it and commits its own
operation on its own thread: alone, nobody waits for a thread switch. Who finds it taken queues up. A leader
that resigns hands a queue that has formed to the store's thread, which leads group after
group until nobody comes. A leader resigns before it syncs, so that the next group, here or in another
process, goes on meanwhile. Callers are answered after the sync, those of ``submit`` back to back.

A group takes in what arrives while it runs, up to GROUP_OPERATIONS or GROUP_SECONDS. Callers who were
just answered are likely to come back: until as many have come as wrote at the same time before, a group
that runs out of operations waits for another LINGER_SECONDS. Otherwise callers would fall into two halves
that wait for each other's syncs.

Handing over: a job is queued before its caller tries for the leadership, and a leader looks at the queue
after it has resigned; so either of them sees the other.

LMDB binds a write transaction to its thread: a group begins and ends on its leader's.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import lmdb

from oastfs.core.errors import StoreError, StoreFull
from oastfs.store.lmdb_driver.environment import Environment, State
from oastfs.store.lmdb_driver.recent import Recent
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.transaction import Change, ReadTransaction, apply_changes, encode_writes
from oastfs.store.run import run
from oastfs.store.schema import TABLES
from oastfs.store.staged import StagedTransaction
from oastfs.store.transaction import Transaction

GROUP_OPERATIONS = 256
GROUP_SECONDS = 0.005
LINGER_SECONDS = 0.0001

_log = logging.getLogger(__name__)

Operation = Callable[[Transaction], Any]
Done = Callable[[Any, BaseException | None], None]


class _Job:
    """One queued operation: answered through ``done``, or a thread waits for ``answered``.

    ``returns``: whoever gets the answer is likely to queue another one, and may be worth waiting for.
    """

    __slots__ = ("answered", "done", "error", "operation", "result", "returns")

    def __init__(self, operation: Operation, done: Done | None = None, returns: bool = True) -> None:
        self.operation = operation
        self.done = done
        self.returns = returns
        self.answered: Any = None
        self.result: Any = None
        self.error: BaseException | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Committer:
    """The write path of one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._expected = 0
        self._lingering = False
        self._arrival = threading.Lock()
        self._arrival.acquire()
        self._leadership = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._unsettles = False
        self._recent = Recent(TABLES)
        self.running: set[int] = set()
        """The threads that are running an operation or callbacks."""
        environment.journal.start(self._nudge)

    def write(self, operation: Operation) -> Any:
        """Run and commit; returns after the sync."""
        job = _Job(operation)
        if self._queue.empty() and self._leadership.acquire(False):
            try:
                self._commit([job], iter(()))
            finally:
                self._resign()
            self._sync([job])
            return job.outcome()
        job.answered = threading.Lock()
        job.answered.acquire()
        self._enqueue(job)
        job.answered.acquire()
        return job.outcome()

    def submit(self, operation: Operation, done: Done) -> None:
        """Queue; ``done`` is called on the store's thread after the sync."""
        self._enqueue(_Job(operation, done))

    def submit_together(self, jobs: Sequence[tuple[Operation, Done]]) -> None:
        """Commit and answer on this thread if nobody leads, else queue: no switch of threads, if possible."""
        group = [_Job(operation, done, returns=False) for operation, done in jobs]
        if not self._queue.empty() or not self._leadership.acquire(False):
            for job in group:
                self._enqueue(job)
            return
        try:
            self._commit_whole(group, iter(()))
        finally:
            self._resign()
        self._sync(group)
        for job in group:
            self._tell(job)

    def is_quick(self) -> bool:
        """Whether a group is likely to take but a moment: no other process holds it up, nor the disk."""
        return self._recent.alone and self._environment.journal.is_quick()

    def settle(self) -> None:
        """Put right what a reader found in need of it."""
        with self._leadership:
            if not self._closed:
                self._environment.settle()
        self._pass_on()

    def flush(self) -> None:
        """Return once everything that was queued before is answered."""
        with suppress(StoreError):  # a sync that failed: who waited for it has been told
            self.write(_nothing)

    def close(self) -> None:
        """Commit what was queued, close the environment, end the store's thread."""
        self.flush()
        self._leadership.acquire()
        try:
            self._environment.close()
        except BaseException:
            self._resign()
            raise
        self._closed = True
        if self._thread is None:
            self._leadership.release()
        else:
            self._wake.release()
            self._thread.join()
        self._pass_on()

    def _nudge(self) -> None:
        """Have a group begin soon."""
        self.submit(_nothing, lambda result, error: None)

    # --- leadership -----------------------------------------------------------------------------------

    def _enqueue(self, job: _Job) -> None:
        self._queue.put(job)
        if self._lingering:
            try:
                self._arrival.release()
            except RuntimeError:
                pass  # another caller has been quicker
        self._pass_on()

    def _resign(self) -> None:
        self._leadership.release()
        self._pass_on()

    def _pass_on(self) -> None:
        """Let the store's thread lead if somebody waits and nobody leads."""
        while not self._queue.empty() and self._leadership.acquire(False):
            if self._closed:
                if self._lead():
                    self._leadership.release()
                continue
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="oastfs-store", daemon=True)
                self._thread.start()
            self._wake.release()
            return

    def _serve(self) -> None:
        """The store's thread: woken with the leadership in its hands."""
        while not self._closed:
            self._wake.acquire()
            while self._lead():
                self._leadership.release()
                if self._queue.empty() or not self._leadership.acquire(False):
                    break

    def _lead(self) -> bool:
        """Commit group after group until nobody comes; False if another took the lead during a sync."""
        while (first := self._next(lingering=self._expected > 1)) is not None:
            group = [first]
            self._commit_whole(group, self._draw())
            self._expected = sum(job.returns for job in group) + self._queue.qsize()
            self._leadership.release()
            self._sync(group)
            self._answer(group)
            if not self._leadership.acquire(False):
                return False
        self._expected = 0
        return True

    def _sync(self, group: list[_Job]) -> None:
        """Make a group durable; if that fails, none of it succeeded."""
        try:
            self._environment.journal.sync()
        except StoreError as error:
            for job in group:
                job.error = job.error or error

    def _commit_whole(self, group: list[_Job], more: Iterator[_Job]) -> None:
        """``_commit``, so that every job has an outcome whatever happens."""
        try:
            self._commit(group, more)
        except BaseException as error:
            _log.exception("a group failed")
            for job in group:
                job.error = error

    def _answer(self, group: list[_Job]) -> None:
        thread = threading.get_ident()
        self.running.add(thread)
        for job in group:
            if job.done is None:
                job.answered.release()
            else:
                self._tell(job)
        self.running.discard(thread)

    @staticmethod
    def _tell(job: _Job) -> None:
        assert job.done is not None
        try:
            job.done(job.result, job.error)
        except Exception:
            _log.exception("a callback of submit failed")

    def _draw(self) -> Iterator[_Job]:
        """Further jobs for one group, as they arrive."""
        deadline = time.monotonic() + GROUP_SECONDS
        for count in range(1, GROUP_OPERATIONS):
            job = self._next(lingering=count < self._expected)
            if job is None:
                return
            yield job
            if time.monotonic() > deadline:
                return

    def _next(self, lingering: bool) -> _Job | None:
        """The next job, if there is one or, with ``lingering``, comes soon.

        SimpleQueue's own timeout is not used: CPython may wait for ever when it runs out while the
        thread is preempted in the middle of ``get``.
        """
        if lingering and self._queue.empty():
            self._lingering = True
            if self._queue.empty():
                self._arrival.acquire(timeout=LINGER_SECONDS)
            self._lingering = False
        try:
            return self._queue.get(False)
        except Empty:
            return None

    # --- committing -----------------------------------------------------------------------------------

    def _commit(self, group: list[_Job], more: Iterator[_Job]) -> None:
        """Run the group and what ``more`` adds to it; afterwards each job has its outcome."""
        try:
            try:
                run(lambda: self._attempt(group, more))
            except StoreFull:
                if not self._environment.journal.relieve():
                    raise
                run(lambda: self._attempt(group, more))
        except StoreError as error:
            group.extend(more)
            if len(group) == 1:
                group[0].error = error
                return
            # One job may be too large, or want the space that the others do without: each for itself.
            for job in group:
                self._commit([job], iter(()))
        self._environment.maintain()

    def _attempt(self, group: list[_Job], more: Iterator[_Job]) -> None:
        """One LMDB transaction for the group. Raises Conflict if it may be tried again."""
        if self._closed:
            raise StoreError("the store is closed")
        environment = self._environment
        journal = environment.journal
        if all(job.operation is _nothing for job in group):
            more = iter(())  # the group is to write nothing: that needs no pin
            journal.rest()
        elif not journal.ready:
            journal.establish()
        self._unsettles = False
        txn = environment.begin_write()
        base = ReadTransaction(environment.tables, txn)
        logged: Changes = {}
        failure: lmdb.Error | StoreError
        self._recent.begin(environment.tables, txn.id())
        try:
            journal.entered(txn)
            for job, is_new in self._jobs(group, more):
                if is_new:
                    group.append(job)
                changes = self._run(job, base)
                if environment.state is State.INHERITED:
                    raise StoreError("an operation may not fork: its transaction is the parent's")
                if changes:
                    apply_changes(txn, changes, logged)
            self._finish(txn, logged)
            return
        except (lmdb.Error, StoreError) as error:
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None  # their frames hold the transaction, too
        finally:
            base.forget()
            unfinished = weakref.ref(txn)
            del txn
            if environment.state is not State.INHERITED:
                self._undo(unfinished)
        if isinstance(failure, StoreError):
            raise failure
        raise environment.write_failed(failure) from failure

    @staticmethod
    def _jobs(group: list[_Job], more: Iterator[_Job]) -> Iterator[tuple[_Job, bool]]:
        """The group, and what joins it."""
        for job in list(group):
            yield job, False
        for job in more:
            yield job, True

    def _finish(self, txn: Any, logged: Changes) -> None:
        """Log a group's changes and make them visible."""
        journal, snapshot = self._environment.journal, txn.id()
        if not logged:
            journal.depend(txn)
            self._recent.end(snapshot)
            return
        journal.append(txn, logged)
        try:
            txn.commit()
        except BaseException:
            journal.retract()
            raise
        self._recent.end(snapshot + 1)
        self._environment.committed(snapshot, self._unsettles)

    @staticmethod
    def _undo(unfinished: weakref.ref[Any]) -> None:
        """See that a transaction which was not committed is gone.

        It goes with the last reference to it. Its method ``abort`` waits for a moment at which no other
        thread reads, and readers who follow each other closely leave none; so that is for transactions
        which are still held, by a cursor that an operation kept.
        """
        txn = unfinished()
        if txn is not None:
            txn.abort()

    def _run(self, job: _Job, base: ReadTransaction) -> list[Change]:
        """Run one operation; what it changes. One that raises changes nothing."""
        recent = self._recent
        tx = StagedTransaction(base, recent.rows, recent.memo)
        job.error = None
        thread = threading.get_ident()
        self.running.add(thread)
        try:
            job.result = job.operation(tx)
            writes = tx.finish()
            changes = encode_writes(self._environment.tables, writes)
            if changes:
                recent.absorb(writes, tx.unsettles)
                self._unsettles = self._unsettles or tx.unsettles
            return changes
        except BaseException as error:
            tx.finish()
            job.error = error
            return []
        finally:
            self.running.discard(thread)


def _nothing(tx: Transaction) -> None:
    """An operation for the sake of having had a group."""
