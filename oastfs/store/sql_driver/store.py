"""The Store on one PostgreSQL server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from oastfs.core.errors import StoreError
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.reading import LookingTransaction, OneServer
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import WRITE
from oastfs.store.sql_driver.threaded import FREE_BYTES, ThreadedStore
from oastfs.store.sql_driver.transaction import SqlTransaction
from oastfs.store.sql_driver.turns import Turn
from oastfs.store.staged import StagedTransaction
from oastfs.store.table import Key, Table, V
from oastfs.store.transaction import Transaction

T = TypeVar("T")


class SqlStore(ThreadedStore):
    """A handle on a database, with its own connections."""

    def __init__(self, server: Server, threads: int) -> None:
        super().__init__(threads)
        self._server = server
        self._begin_process()

    def trips(self) -> int:
        return self._server.traffic.trips

    def usage(self) -> tuple[int, int]:
        self._enter()
        try:
            return self._server.size_bytes(), FREE_BYTES
        finally:
            self._leave()

    def count(self, table: Table[Any]) -> int:
        self._enter()
        try:
            return self._server.count(table)
        finally:
            self._leave()

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        self._enter()
        try:
            self._server.load(table, rows)
        finally:
            self._leave()

    def _reader(self, operation: Callable[[Transaction], T]) -> Callable[[], T]:
        server = self._server
        runs = 0

        def attempt() -> T:
            nonlocal runs
            runs += 1
            source = OneServer(server)
            tx = LookingTransaction(server.tables, source, patient=runs > 1)
            try:
                result = operation(tx)
                tx.require_no_conflict()
                if tx.base is not None:
                    tx.base.require_no_conflict()
                return result
            finally:
                tx.end()
                source.close()

        return attempt

    def _writer(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> Callable[[], T]:
        return lambda: self._attempt(operation, turn, deadline)

    def _attempt(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> T:
        """Run the operation once and commit what it staged."""
        server = self._server
        with server.connections.session(WRITE) as session:
            base = SqlTransaction(server.tables, server.batches, session, recording=True)
            tx = StagedTransaction(base, locking=True)
            try:
                result = operation(tx)
                base.require_no_conflict()
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

    def _may_wait_in_tasks(self) -> bool:
        return self._server.connections.are_awaitable

    def _await_end_of_older(self) -> None:
        self._server.await_end_of_older()

    def _disconnect(self) -> None:
        self._server.connections.close()

    def _disown(self) -> None:
        self._server.after_fork_in_child()
