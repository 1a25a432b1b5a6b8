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

An event loop that attends the store runs its groups on its own thread. If it has others to serve meanwhile,
another thread syncs them (``syncer.py``); the loop hears of that by a descriptor, and answers.

Handing over: a job is queued before its caller tries for the leadership, and a leader looks at the queue
after it has resigned; so either of them sees the other.

LMDB binds a write transaction to its thread: a group begins and ends on its leader's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import lmdb

from oastfs.core.errors import StoreError, StoreFull
from oastfs.store.lmdb_driver.changes import Change, apply_changes, encode_writes, note_changes
from oastfs.store.lmdb_driver.environment import Environment, State
from oastfs.store.lmdb_driver.job import Done, Job, Operation
from oastfs.store.lmdb_driver.recent import Recent
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.transaction import ReadTransaction
from oastfs.store.run import run
from oastfs.store.schema import TABLES
from oastfs.store.staged import StagedTransaction
from oastfs.store.transaction import Transaction

GROUP_OPERATIONS = 256
GROUP_SECONDS = 0.005
LINGER_SECONDS = 0.0001

_log = logging.getLogger(__name__)


class Committer:
    """The write path of one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._queue: SimpleQueue[Job] = SimpleQueue()
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
        self._telling = threading.Lock()
        self._syncing: deque[tuple[int, list[Job]]] = deque()
        """Groups of event loops' threads that are answered when so much of the log is durable."""
        self._watched: dict[int, asyncio.AbstractEventLoop] = {}
        """Event loops that attend the store, by the descriptors by which they hear of syncs."""
        self.running: set[int] = set()
        """The threads that are running an operation or callbacks."""
        environment.journal.start(self._nudge)

    def write(self, operation: Operation) -> Any:
        """Run and commit; returns after the sync."""
        job = Job(operation)
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
        self._enqueue(Job(operation, done))

    def submit_together(self, jobs: Sequence[tuple[Operation, Done]], wait: bool) -> None:
        """Commit and answer on this thread if nobody leads, else queue: no switch of threads, if possible.

        The thread of a loop that attends is answered later, unless it wants to ``wait`` and is likely to
        wait but a moment.
        """
        group = [Job(operation, done, returns=False) for operation, done in jobs]
        if not self._queue.empty() or not self._leadership.acquire(False):
            for job in group:
                self._enqueue(job)
            return
        journal = self._environment.journal
        meanwhile = bool(self._watched) and not (wait and journal.syncs_quickly())
        synced = False
        journal.sync_meanwhile(meanwhile)
        try:
            self._commit_whole(group, iter(()))
            if meanwhile:
                synced = self._begin_sync(group)
        finally:
            journal.sync_meanwhile(False)
            self._resign()
        if not meanwhile:
            self._sync(group)
            for job in group:
                self._tell(job)
        elif synced:
            self._tell_synced()

    def attend(self, loop: asyncio.AbstractEventLoop) -> int:
        """Have this loop, on whose thread this is called, answer its groups when they have been synced, until
        ``leave`` is called with what this returns."""
        watched = os.dup(self._environment.journal.synced_descriptor())
        loop.add_reader(watched, self._tell_synced)
        self._watched[watched] = loop
        return watched

    def leave(self, watched: int) -> None:
        """A loop attends the store no longer. From any thread."""
        loop = self._watched.pop(watched, None)
        if loop is None:
            return  # of the process that this one was forked from

        def forget() -> None:
            loop.remove_reader(watched)
            os.close(watched)

        try:
            loop.call_soon_threadsafe(forget)
        except RuntimeError:  # it is closed
            os.close(watched)

    def is_quick(self) -> bool:
        """Whether a group is likely to be committed within a moment: no other process holds it up."""
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
        self._finish_syncs()

    def close(self) -> None:
        """Commit what was queued, close the environment, end the store's thread."""
        self.flush()
        self._leadership.acquire()
        try:
            self._finish_syncs()
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

    def _enqueue(self, job: Job) -> None:
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

    def _sync(self, group: list[Job]) -> None:
        """Make a group durable; if that fails, none of it succeeded."""
        try:
            self._environment.journal.sync()
        except StoreError as error:
            for job in group:
                job.error = job.error or error

    def _begin_sync(self, group: list[Job]) -> bool:
        """Have a group made durable meanwhile; whether it need not be any more, and can be told."""
        try:
            number = self._environment.journal.begin_sync()
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
            return self._environment.journal.synced() >= number
        except StoreError:
            return True

    def _finish_syncs(self) -> None:
        """Wait for what is being synced, and answer."""
        with suppress(StoreError):  # they are told
            self._environment.journal.sync()
        self._tell_synced()

    def _tell_synced(self) -> None:
        """Answer the groups that have been synced meanwhile."""
        failure: StoreError | None = None
        synced = 0
        try:
            synced = self._environment.journal.synced()
        except StoreError as error:
            failure = error
        synced_groups: list[list[Job]] = []
        with self._telling:
            while self._syncing and (failure or self._syncing[0][0] <= synced):
                synced_groups.append(self._syncing.popleft()[1])
        for group in synced_groups:
            for job in group:
                job.error = job.error or failure
                self._tell(job)

    def _commit_whole(self, group: list[Job], more: Iterator[Job]) -> None:
        """``_commit``, so that every job has an outcome whatever happens."""
        try:
            self._commit(group, more)
        except BaseException as error:
            _log.exception("a group failed")
            for job in group:
                job.error = error

    def _answer(self, group: list[Job]) -> None:
        thread = threading.get_ident()
        self.running.add(thread)
        for job in group:
            if job.done is None:
                job.answered.release()
            else:
                self._tell(job)
        self.running.discard(thread)

    @staticmethod
    def _tell(job: Job) -> None:
        assert job.done is not None
        try:
            job.done(job.result, job.error)
        except Exception:
            _log.exception("a callback of submit failed")

    def _draw(self) -> Iterator[Job]:
        """Further jobs for one group, as they arrive."""
        deadline = time.monotonic() + GROUP_SECONDS
        for count in range(1, GROUP_OPERATIONS):
            job = self._next(lingering=count < self._expected)
            if job is None:
                return
            yield job
            if time.monotonic() > deadline:
                return

    def _next(self, lingering: bool) -> Job | None:
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

    def _commit(self, group: list[Job], more: Iterator[Job]) -> None:
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

    def _attempt(self, group: list[Job], more: Iterator[Job]) -> None:
        """One LMDB transaction for the group. Raises Conflict if it may be tried again."""
        if self._closed:
            raise StoreError("the store is closed")
        environment = self._environment
        journal = environment.journal
        if group[0].operation is _nothing and all(job.operation is _nothing for job in group):
            more = iter(())  # the group is to write nothing: that needs no pin
            journal.rest()
        elif not journal.ready:
            journal.establish()
        self._unsettles = False
        txn = environment.begin_write()
        base = ReadTransaction(environment.tables, txn)
        logged: Changes = {}
        changes: list[Change] = []
        committed = False
        failure: lmdb.Error | StoreError
        self._recent.begin(environment.tables, txn.id())
        try:
            journal.entered(txn)
            for job, is_new in self._jobs(group, more):
                if is_new:
                    group.append(job)
                if changes:  # of the job before
                    apply_changes(txn, changes)
                changes = self._run(job, base)
                if environment.state is State.INHERITED:
                    raise StoreError("an operation may not fork: its transaction is the parent's")
                note_changes(changes, logged)
            committed = self._finish(txn, logged, changes)
            return
        except (lmdb.Error, StoreError) as error:
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None  # their frames hold the transaction, too
        finally:
            base.forget()
            if not committed:
                unfinished = weakref.ref(txn)
                del txn
                if environment.state is not State.INHERITED:
                    self._undo(unfinished)
        if isinstance(failure, StoreError):
            raise failure
        raise environment.write_failed(failure) from failure

    @staticmethod
    def _jobs(group: list[Job], more: Iterator[Job]) -> Iterator[tuple[Job, bool]]:
        """The group, and what joins it."""
        for job in list(group):
            yield job, False
        for job in more:
            yield job, True

    def _finish(self, txn: Any, logged: Changes, changes: list[Change]) -> bool:
        """Log a group's changes, if there are any, and make them visible. The last are put while the disk
        writes the log."""
        journal, snapshot = self._environment.journal, txn.id()
        if not logged:
            journal.depend(txn)
            self._recent.end(snapshot)
            return False
        journal.append(txn, logged)
        try:
            apply_changes(txn, changes)
            txn.commit()
        except BaseException:
            journal.retract()
            raise
        self._recent.end(snapshot + 1)
        self._environment.committed(snapshot, self._unsettles)
        return True

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

    def _run(self, job: Job, base: ReadTransaction) -> list[Change]:
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
