"""Running a group of operations in one LMDB transaction, for whoever has the leadership.

Each operation is staged, so one that raises changes nothing. What all of them changed is logged as one
record, and the transaction is committed, or kept (``kept.py``). A group that fails is tried again if that may
help; if it is too large, each operation is tried by itself.

LMDB binds a write transaction to its thread: a group begins and ends on its leader's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import lmdb

from oastfs.core.errors import StoreError, StoreFull
from oastfs.store.lmdb_driver.changes import Change, apply_changes, encode_writes, note_changes, put_logged
from oastfs.store.lmdb_driver.environment import Environment, State
from oastfs.store.lmdb_driver.job import Job, nothing
from oastfs.store.lmdb_driver.kept import WANTED_SECONDS, Kept
from oastfs.store.lmdb_driver.recent import Recent
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.transaction import ReadTransaction
from oastfs.store.run import run
from oastfs.store.schema import TABLES
from oastfs.store.staged import StagedTransaction
from oastfs.store.transaction import Transaction

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Groups:
    """Commits groups to one environment. Not for several threads at once."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.recent = Recent(TABLES)
        self.kept = Kept()
        self.keeper: asyncio.AbstractEventLoop | None = None
        """The loop on whose thread the next group is run, if its transaction may be kept."""
        self._base: ReadTransaction | None = None
        """The transaction of the group that is being run, or of a read of what is kept."""
        self.running: set[int] = set()
        """The threads that are running an operation or callbacks."""
        self.unsettles = False
        """Whether the transaction that is run, or kept, changes what memos may rest upon."""
        self.closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a group is being run, or what is kept is being read."""
        return self._base is not None

    def commit_whole(self, group: list[Job], more: Iterator[Job]) -> None:
        """``commit``, so that every job has an outcome whatever happens."""
        try:
            self.commit(group, more)
        except BaseException as error:
            _log.exception("a group failed")
            for job in group:
                job.error = error

    def commit(self, group: list[Job], more: Iterator[Job]) -> None:
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
                self.commit([job], iter(()))
        self._environment.maintain()

    def _attempt(self, group: list[Job], more: Iterator[Job]) -> None:
        """One LMDB transaction for the group. Raises Conflict if it may be tried again."""
        if self.closed:
            raise StoreError("the store is closed")
        environment, journal = self._environment, self._environment.journal
        idle = all(job.operation is nothing for job in group)
        if idle and not self.kept.pending:
            more = iter(())  # the group is to write nothing: that needs no pin
            journal.rest()
        elif not journal.ready:
            journal.establish()
        txn = self._begin()
        base = self._base = ReadTransaction(environment.tables, txn)
        logged: Changes = {}
        changes: list[Change] = []
        committed = False
        failure: lmdb.Error | StoreError
        try:
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
            self._base = None
            base.forget()
            if not committed:
                unfinished = weakref.ref(txn)
                del txn
                if environment.state is not State.INHERITED:
                    self._undo(unfinished)
        if isinstance(failure, StoreError):
            raise failure
        raise environment.write_failed(failure) from failure

    def _begin(self) -> Any:
        """The transaction that is kept, or a new one with what was kept in one that failed."""
        kept, environment = self.kept, self._environment
        txn = kept.take()
        if txn is not None:
            return txn
        txn = environment.begin_write()
        self.recent.begin(environment.tables, txn.id())
        self.unsettles = kept.pending
        try:
            environment.journal.entered(txn)
            if kept.pending:
                put_logged(txn, environment.tables, kept.rows)
                environment.journal.move(txn, kept.position)
        except (lmdb.Error, StoreError) as error:
            failure = error.with_traceback(None)  # its frames hold the transaction, too
        else:
            return txn
        unfinished = weakref.ref(txn)
        del txn
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
        journal, kept = self._environment.journal, self.kept
        if logged:
            position = journal.append(txn, logged)
            try:
                apply_changes(txn, changes)
                keeps = self.keeper is not None and (kept.pending or self._claim())
                if not keeps:
                    self._commit_transaction(txn)
            except BaseException:
                journal.retract()
                raise
            if keeps and self.keeper is not None:
                kept.keep(txn, logged, position, self.keeper)
        elif self.keeper is not None and kept.owner:
            kept.txn = txn
        elif kept.pending:
            self._commit_transaction(txn)
        else:
            journal.depend(txn)
            self.recent.end(txn.id())
            return False
        return True

    def _claim(self) -> bool:
        """Keep other processes out, unless one is in."""
        claimed = self._environment.claim()
        if not claimed:
            self.kept.hold_off(WANTED_SECONDS)
        return claimed

    def _commit_transaction(self, txn: Any) -> None:
        """Make a group visible, and all that was kept before it."""
        snapshot = txn.id()
        txn.commit()
        self.recent.end(snapshot + 1)
        self._environment.committed(snapshot, self.unsettles)
        self.unsettles = False
        if self.kept.pending:
            self.kept.clear()
            self._environment.share()

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
        recent = self.recent
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
                self.unsettles = self.unsettles or tx.unsettles
            return changes
        except BaseException as error:
            tx.finish()
            job.error = error
            return []
        finally:
            self.running.discard(thread)

    def read_kept(self, operation: Callable[[Transaction], T]) -> T:
        """``Store.read``, on the thread of a loop that keeps a transaction."""
        base = self._base
        if base is not None:  # in an operation
            return operation(base)
        environment, thread = self._environment, threading.get_ident()
        tx = self._base = ReadTransaction(environment.tables, self.kept.txn, self.recent.memo)
        environment.active.add(thread)
        try:
            return operation(tx)
        finally:
            self._base = None
            environment.active.discard(thread)
            if environment.state is not State.INHERITED:
                tx.forget()
