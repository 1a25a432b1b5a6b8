"""The Store on Citus: plain transactions, and care for what its snapshots are not.

Citus has each transaction in one snapshot per worker, refuses changes of what was changed since, and commits
on all workers or none; but not at one moment, and snapshots of two workers are not of one moment either. So a
transaction that has read rows of one partition looks whether these are being committed; if there are more, it
reads them again as well, after that look: if they are as they were, all was so at the moment of the look.

As they were means that the same transactions made them: a row may have changed and changed back. Of what was
not there, or not in a scan, nothing can tell that. If there is such a thing in one partition, its second
snapshot is the moment that counts: it is taken before those of the other rows, and between two looks at what
is being committed. If there are several, they are read while nobody commits in any of them. A transaction
that writes is content with equal values: what it relies on it has locked or writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from oastfs.store.schema import SETTING
from oastfs.store.sql_driver.citus import figures, objects
from oastfs.store.sql_driver.citus.recovery import Recovery
from oastfs.store.sql_driver.citus.transaction import CitusTransaction
from oastfs.store.sql_driver.failures import Unsettled
from oastfs.store.sql_driver.freeze import frozen, thaw
from oastfs.store.sql_driver.rechecking import RecheckingStore, Torn
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import READ, Session
from oastfs.store.sql_driver.threaded import FREE_BYTES
from oastfs.store.sql_driver.turns import Turn
from oastfs.store.sql_driver.watched import SCANNED_ROWS_MAX
from oastfs.store.staged import Writes
from oastfs.store.table import Key, Table, V

T = TypeVar("T")


class CitusStore(RecheckingStore[CitusTransaction]):
    """A handle on a database of a coordinator, with its own connections."""

    def __init__(self, server: Server, threads: int) -> None:
        super().__init__(threads, threads)
        self._server = server
        table = server.tables.get(SETTING) or next(iter(server.tables.values()))
        self._look = objects.Look(table.layout.name)
        server.connections.greeting = objects.RECOVER
        self.recovery = Recovery(server.connections)
        self._begin_process()

    def trips(self) -> int:
        return self._server.traffic.trips

    def usage(self) -> tuple[int, int]:
        self._enter()
        try:
            return self._server.ask(figures.size_bytes), FREE_BYTES
        finally:
            self._leave()

    def count(self, table: Table[Any]) -> int:
        self._enter()
        try:
            name = self._server.tables[table].layout.name
            return self._server.ask(lambda connection: figures.count(connection, name))
        finally:
            self._leave()

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        self._enter()
        try:
            self._server.load(table, rows)
        finally:
            self._leave()

    # --- transactions -----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, how: str, torn: Torn, recording: bool) -> Iterator[CitusTransaction]:
        with self._slot(), ExitStack() as stack:

            def open_session() -> Session:
                return stack.enter_context(self._server.connections.session(how))

            if torn.frozen:
                (session,) = stack.enter_context(frozen([open_session], self._look.touch))
            else:
                session = open_session()
            tx = CitusTransaction(self._server, session, recording)
            try:
                yield tx
            finally:
                tx.end()

    def _commit(self, base: CitusTransaction, writes: Writes, turn: Turn, torn: Torn) -> bool:
        base.see_removals(writes)
        calls = base.calls(writes) if writes else []
        if not calls:
            self._require_read_consistent(base, torn)
            return True
        if not turn.take(base.contended(writes)):
            return False
        if not torn.frozen and (base.scans or base.looked_at(writes, True)):
            self._look_again(base, writes, True, torn)
        changed = {table.partition(key) for table, rows in writes.items() for key in rows}
        # Of a ROLLBACK where a commit had failed before, say.
        base.session.forget_warnings()
        base.session.commit([*calls, objects.hold(changed)])
        if len(changed) > 1 and base.session.was_warned():
            self.recovery.settle(changed)
        return True

    def _require_read_consistent(self, tx: CitusTransaction, torn: Torn) -> None:
        if tx.has_read and not torn.frozen:
            self._look_again(tx, {}, False, torn)

    def _look_again(self, tx: CitusTransaction, writes: Writes, committing: bool, torn: Torn) -> None:
        """Raise a Conflict unless all was as it was seen when nobody was committing any of it."""
        if tx.scanned_rows > SCANNED_ROWS_MAX:
            raise torn.again(too_much=True)
        within = tx.is_within_partition
        rows = {} if within else tx.looked_at(writes, committing)
        scans = [] if within else tx.scans
        unproven = frozenset() if committing else tx.unproven(rows, scans)
        opening = self._look.at(None if tx.is_everywhere else tx.partitions, unproven)
        with self._server.connections.session(READ, opening) as session:
            now = CitusTransaction(self._server, session, recording=False)
            try:
                finish = now.start_second_look(rows)
                if finish is not None:
                    finish()
                elif not scans:
                    session.fetch(objects.LOOKED, ())
                is_as_it_was = now.gives_the_same(rows, scans)
            except BaseException as error:
                if unproven is None or len(unproven) > 1:
                    thaw(session)
                if isinstance(error, Unsettled):
                    raise torn.again(too_much=False) from error
                raise
            finally:
                now.end()
        if not (is_as_it_was and (committing or now.is_as_in(tx, rows, unproven))):
            raise torn.again(too_much=False)

    # --- closing ----------------------------------------------------------------------------------------

    def _may_wait_in_tasks(self) -> bool:
        return self._server.connections.are_awaitable

    def _await_end_of_older(self) -> None:
        self._server.await_end_of_older()

    def _disconnect(self) -> None:
        self.recovery.stop()
        self._server.connections.close()

    def _disown(self) -> None:
        self._server.after_fork_in_child()
        self.recovery.begin_process()
