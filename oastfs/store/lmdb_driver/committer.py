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
another thread syncs them (``syncer.py``); the loop hears of that by a descriptor, and answers. While nobody
else uses the store, such a loop keeps the leadership, and the transaction open (``kept.py``).

Handing over: a job is queued before its caller tries for the leadership, and a leader looks at the queue
after it has resigned; so either of them sees the other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from oastfs.core.errors import StoreError
from oastfs.store.lmdb_driver.attended import Attended
from oastfs.store.lmdb_driver.environment import Environment
from oastfs.store.lmdb_driver.groups import Groups
from oastfs.store.lmdb_driver.job import Done, Job, Operation, nothing
from oastfs.store.lmdb_driver.kept import KEPT_SECONDS

GROUP_OPERATIONS = 256
GROUP_SECONDS = 0.005
LINGER_SECONDS = 0.0001
SHOW_SECONDS = 30.0
_LOOP_ENDED = "an event loop ended before it had shown its changes: they are there once the process has ended"


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
        self._groups = Groups(environment)
        self._attended = Attended(environment.journal, self._show_if_kept)
        self.kept = self._groups.kept
        self.running = self._groups.running
        """The threads that are running an operation or callbacks."""
        self.read_kept = self._groups.read_kept
        """``Store.read``, on the thread of a loop that keeps a transaction."""
        self.attend, self.leave = self._attended.attend, self._attended.leave
        self._looking = False
        """Whether a look at what is kept is due."""
        environment.journal.start(self._nudge)

    def write(self, operation: Operation) -> Any:
        """Run and commit; returns after the sync."""
        job = Job(operation)
        if self.kept.owner:
            self._have_shown()
        if self._queue.empty() and self._leadership.acquire(False):
            try:
                self._groups.commit([job], iter(()))
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
        if self.kept.owner != threading.get_ident() and (
            not self._queue.empty() or not self._leadership.acquire(False)
        ):
            for job in group:
                self._enqueue(job)
            return
        journal = self._environment.journal
        meanwhile = bool(self._attended.loops) and not (wait and journal.syncs_quickly())
        synced = False
        journal.sync_meanwhile(meanwhile)
        self._groups.keeper = self._find_keeper()
        try:
            self._groups.commit_whole(group, iter(()))
            if meanwhile:
                synced = self._attended.begin(group)
        finally:
            self._groups.keeper = None
            journal.sync_meanwhile(False)
            self._keep_or_resign()
        if not meanwhile:
            self._sync(group)
            for job in group:
                job.tell()
        elif synced:
            self._attended.tell()

    def is_quick(self) -> bool:
        """Whether a group is likely to be committed within a moment: no other process holds it up."""
        return self._groups.recent.alone and self._environment.journal.is_quick()

    def settle(self) -> None:
        """Put right what a reader found in need of it."""
        self.show()
        with self._leadership:
            if not self._groups.closed:
                self._environment.settle()
        self._pass_on()

    def flush(self) -> None:
        """Return once everything that was queued before is answered."""
        with suppress(StoreError):  # a sync that failed: who waited for it has been told
            self.write(nothing)
        self._attended.finish()

    def close(self) -> None:
        """Commit what was queued, close the environment, end the store's thread."""
        self.flush()
        if self.kept.owner and not self.kept.loop.is_running():
            raise StoreError(_LOOP_ENDED)
        self._leadership.acquire()
        try:
            self._attended.finish()
            self._environment.close(whole=not self.kept.pending)
        except BaseException:
            self._resign()
            raise
        self._groups.closed = True
        if self._thread is None:
            self._leadership.release()
        else:
            self._wake.release()
            self._thread.join()
        self._pass_on()

    def _nudge(self) -> None:
        """Have a group begin soon."""
        self.submit(nothing, lambda result, error: None)

    # --- what is kept ---------------------------------------------------------------------------------

    def show(self) -> None:
        """Have what is kept committed, for somebody who wants to see it. Raises StoreError."""
        if self.kept.owner:
            self._have_shown()
        if self.kept.pending and not self.kept.owner:
            self.write(nothing)  # it failed then; and now this caller is told why

    def _have_shown(self) -> None:
        """Have the loop that keeps a transaction try to commit it. Raises StoreError if it does not come to
        that."""
        kept = self.kept
        if kept.owner == threading.get_ident():
            self._show()
            return
        with kept.shown:
            before = kept.shows
            self._want()
            if not kept.shown.wait_for(lambda: kept.shows != before or not kept.owner, SHOW_SECONDS):
                raise StoreError(f"an event loop did not show its changes for {SHOW_SECONDS:g} s")

    def _find_keeper(self) -> asyncio.AbstractEventLoop | None:
        """This thread's loop, if it attends the store and nobody else seems to want it."""
        kept = self.kept
        if not (self._attended.loops and (kept.owner or kept.is_welcome)):
            return None
        if kept.is_full or self._environment.journal.is_due or not self._queue.empty():
            return None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # of a thread without one
            return None
        return loop if loop in self._attended.loops.values() else None

    def _keep_or_resign(self) -> None:
        """After a loop's group: go on to lead, if its transaction is kept."""
        kept = self.kept
        if not kept.owner:
            self._resign()
        elif not self._queue.empty() or kept.txn is None:
            self._show()
        elif not self._looking:
            self._looking = True
            kept.loop.call_later(KEPT_SECONDS, self._look)

    def _look(self) -> None:
        """On the keeper's thread: show what is kept, unless more is coming."""
        self._looking = False
        kept = self.kept
        if kept.owner != threading.get_ident():
            return
        idle = time.monotonic() - kept.last
        if idle < KEPT_SECONDS:
            self._looking = True
            kept.loop.call_later(KEPT_SECONDS - idle, self._look)
        else:
            self._show()

    def _show(self) -> None:
        """Commit what is kept, and give up the leadership. On the keeper's thread."""
        if self.kept.pending:
            self._groups.commit_whole([Job(nothing)], iter(()))
        self.kept.release()
        self._resign()

    def _want(self) -> None:
        """Have the loop that keeps a transaction, if one does, show it soon."""
        loop = self.kept.want()
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._show_if_kept)
            except RuntimeError:
                raise StoreError(_LOOP_ENDED) from None

    def _show_if_kept(self) -> None:
        if self.kept.owner == threading.get_ident():
            self._show()

    # --- leadership -----------------------------------------------------------------------------------

    def _enqueue(self, job: Job) -> None:
        self._queue.put(job)
        if self.kept.owner == threading.get_ident() and not self._groups.is_busy:
            self._show()
        elif self.kept.owner:  # an operation of the owner's may submit another
            self._want()
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
            if self._groups.closed:
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
        while not self._groups.closed:
            self._wake.acquire()
            while self._lead():
                self._leadership.release()
                if self._queue.empty() or not self._leadership.acquire(False):
                    break

    def _lead(self) -> bool:
        """Commit group after group until nobody comes; False if another took the lead during a sync."""
        while (first := self._next(lingering=self._expected > 1)) is not None:
            group = [first]
            self._groups.commit_whole(group, self._draw())
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

    def _answer(self, group: list[Job]) -> None:
        thread = threading.get_ident()
        self.running.add(thread)
        for job in group:
            if job.done is None:
                job.answered.release()
            else:
                job.tell()
        self.running.discard(thread)

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
