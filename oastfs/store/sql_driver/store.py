"""The Store on PostgreSQL: reads and writes on the caller's thread, submitted writes on a few of its own."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from oastfs.core.errors import InvalidArgument, StoreError, TransactionMisuse, Unsupported
from oastfs.store.run import DEADLINE_SECONDS, Conflict, run
from oastfs.store.sql_driver.batches import Batches
from oastfs.store.sql_driver.bulk import copy_rows
from oastfs.store.sql_driver.connections import Connections
from oastfs.store.sql_driver.layout import layouts
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.session import READ, WRITE, Traffic
from oastfs.store.sql_driver.statements import Statements
from oastfs.store.sql_driver.transaction import SqlTransaction
from oastfs.store.sql_driver.turns import Turn, Turns
from oastfs.store.staged import StagedTransaction
from oastfs.store.table import Key, Table, V
from oastfs.store.transaction import Store, Transaction

T = TypeVar("T")

THREADS: Final = 16
FREE_BYTES: Final = 1 << 50
"""PostgreSQL does not tell how much its disk has left; it tells when there is nothing left."""
_EXACT_BYTES: Final = 8 << 20
"""Tables up to this size are counted; of larger ones the server's statistics are believed."""
_ASK_SECONDS: Final = 5.0
"""How long a figure is waited for when the database does not answer."""
_CLOSE_POLL_SECONDS: Final = 0.001

_log = logging.getLogger(__name__)


def open_postgresql(urls: list[str], *, create: bool = False, **options: Any) -> SqlStore:
    """A store by its URL. Raises WrongStore, InvalidArgument, StoreError, Unsupported.

    ``partition_column``: lay a new store out for an engine that shards by a column of the primary keys.
    ``threads``: how many submitted writes run at once.
    """
    if len(urls) != 1:
        raise Unsupported("a store on several PostgreSQL servers is not supported yet: give one URL")
    unknown = set(options) - {"partition_column", "threads", "declared"}
    if unknown:
        raise InvalidArgument(f"not options of a store on PostgreSQL: {', '.join(sorted(unknown))}")
    return SqlStore(urls[0], create=create, **options)


class SqlStore(Store):
    """A handle on a database, with its own connections."""

    reads_inline = False

    def __init__(
        self,
        url: str,
        *,
        create: bool,
        partition_column: bool = False,
        threads: int = THREADS,
        declared: Declared | None = None,
    ) -> None:
        self.traffic = Traffic()
        self._threads = threads
        self._connections = Connections(url, 2 * threads, self.traffic)
        known = declared or Declared()
        try:
            partitioned = self._connections.prepare(create, partition_column, known)
        except BaseException:
            self._connections.close()
            raise
        self._tables = {
            table: Statements(layout) for table, layout in layouts(partitioned, known.tables).items()
        }
        self._batches = Batches({table: one.layout for table, one in self._tables.items()})
        self._begin_process()
        _stores.add(self)

    def _begin_process(self) -> None:
        """What a forked child needs anew."""
        self._closed = False
        self._turns = Turns()
        self._running: dict[int, int] = {}
        self._callbacks: set[int] = set()
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """The parent's connections and threads are not ours."""
        closed = self._closed
        self._connections.after_fork_in_child()
        self._begin_process()
        self._closed = closed

    # --- transactions -----------------------------------------------------------------------------------

    def read(self, operation: Callable[[Transaction], T]) -> T:
        def attempt() -> T:
            with self._connections.session(READ) as session:
                tx = SqlTransaction(self._tables, self._batches, session, recording=False)
                try:
                    return operation(tx)
                finally:
                    tx.end()

        self._enter()
        try:
            return run(attempt, deadline_seconds=DEADLINE_SECONDS)
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
            return run(lambda: self._attempt(operation, turn, deadline), deadline_seconds=DEADLINE_SECONDS)
        finally:
            turn.end()
            self._leave()

    def _attempt(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> T:
        """Run the operation once and commit what it staged."""
        with self._connections.session(WRITE) as session:
            base = SqlTransaction(self._tables, self._batches, session, recording=True)
            tx = StagedTransaction(base, locking=True)
            try:
                result = operation(tx)
                writes = tx.finish()
                calls = base.calls(writes) if writes else []
                if not calls:
                    return result
                if turn.take(base.contended(writes)):
                    session.commit(calls)
                    return result
            finally:
                tx.finish()
                base.end()
        # The connection is given back before the wait: whoever has the turn may need one.
        if not turn.wait(max(0.0, deadline - time.monotonic())):
            raise StoreError("waited too long for others who change the same rows")
        raise Conflict("another transaction of this process changed the same rows", at_once=True)

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

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        layout = self._tables[table].layout
        self._enter()
        try:
            self._connections.ask(lambda connection: copy_rows(connection, layout, rows))
        finally:
            self._leave()

    # --- closing, figures -------------------------------------------------------------------------------

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
        self._connections.close()
        _stores.discard(self)

    def usage(self) -> tuple[int, int]:
        def ask(connection: Any) -> int:
            return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar())

        return self._ask(ask), FREE_BYTES

    def trips(self) -> int:
        return self.traffic.trips

    def count(self, table: Table[Any]) -> int:
        def ask(connection: Any) -> int:
            name = self._tables[table].layout.name
            size_bytes, guess = connection.execute(
                sa.text(
                    "SELECT pg_relation_size(oid), greatest(reltuples, pg_stat_get_live_tuples(oid)) "
                    "FROM pg_class WHERE oid = CAST(:name AS regclass)"
                ),
                {"name": name},
            ).one()
            if size_bytes > _EXACT_BYTES:
                return int(guess)
            return int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar())

        return self._ask(ask)

    def _ask(self, question: Callable[[Any], T]) -> T:
        self._enter()
        try:
            return run(lambda: self._connections.ask(question), deadline_seconds=_ASK_SECONDS)
        finally:
            self._leave()

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


_stores: weakref.WeakSet[SqlStore] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
