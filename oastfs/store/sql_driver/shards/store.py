"""The Store on several PostgreSQL servers: rows on shard ``partition % count``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from oastfs.core.errors import InvalidArgument, StoreError
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import READ, WRITE, Session
from oastfs.store.sql_driver.shards import consistency, identity, objects
from oastfs.store.sql_driver.shards.commit import Committer, Participant
from oastfs.store.sql_driver.shards.recovery import Recovery
from oastfs.store.sql_driver.shards.transaction import SCANNED_ROWS_MAX, ShardedTransaction, ShardPart
from oastfs.store.sql_driver.tasks import on_thread
from oastfs.store.sql_driver.threaded import FREE_BYTES, THREADS, ThreadedStore
from oastfs.store.sql_driver.turns import Turn
from oastfs.store.staged import StagedTransaction, Writes
from oastfs.store.table import Key, Table, V
from oastfs.store.transaction import Transaction

T = TypeVar("T")

SHARDS_MAX: Final = 256
_TRIES_BEFORE_FREEZE: Final = 3
"""So often a transaction may find that what it saw has changed, before others are made to wait for it."""
_SLOT_SECONDS: Final = 30.0


class ShardedStore(ThreadedStore):
    """A handle on the databases of one store, with its own connections to each."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        create: bool,
        partition_column: bool = False,
        threads: int = THREADS,
        declared: Declared | None = None,
    ) -> None:
        super().__init__(threads)
        if len(urls) > SHARDS_MAX:
            raise InvalidArgument(f"a store has at most {SHARDS_MAX} shards")
        # Each transaction has one connection to a shard, and perhaps another one to look at it again.
        self._slots_max = 2 * threads
        self.servers: list[Server] = []
        known = declared or Declared()
        try:
            for url in urls:
                self.servers.append(Server(url, 2 * self._slots_max))
            store_id, partitioned = identity.prepare(self.servers, create, partition_column, known)
        except BaseException:
            self._disconnect_servers()
            raise
        for server in self.servers:
            server.learn(partitioned, known)
        self.recovery = Recovery(self.servers, store_id)
        self._committer = Committer(store_id, self.recovery)
        self._begin_process()

    def _begin_process(self) -> None:
        super()._begin_process()
        self._slots = threading.BoundedSemaphore(self._slots_max)
        self.recovery.begin_process()
        self._committer.begin_process()
        if not self._closed:
            self.recovery.start()

    def trips(self) -> int:
        return sum(server.traffic.trips for server in self.servers)

    def usage(self) -> tuple[int, int]:
        self._enter()
        try:
            return sum(server.size_bytes() for server in self.servers), FREE_BYTES
        finally:
            self._leave()

    def count(self, table: Table[Any]) -> int:
        self._enter()
        try:
            return sum(server.count(table) for server in self.servers)
        finally:
            self._leave()

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        by_shard: dict[int, list[tuple[Key, V]]] = {}
        for row in rows:
            by_shard.setdefault(table.partition(row[0]) % len(self.servers), []).append(row)
        self._enter()
        try:
            for number, some in by_shard.items():
                self.servers[number].load(table, some)
        finally:
            self._leave()

    # --- transactions -----------------------------------------------------------------------------------

    def _reader(self, operation: Callable[[Transaction], T]) -> Callable[[], T]:
        torn = _Torn()

        def attempt() -> T:
            with self._transaction(READ, torn, recording=False) as tx:
                result = self._run(operation, tx, tx, torn)
                self._require_consistent(tx, None, torn)
                return result

        return attempt

    def _writer(self, operation: Callable[[Transaction], T], turn: Turn, deadline: float) -> Callable[[], T]:
        torn = _Torn()

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

    def _run(
        self, operation: Callable[[Transaction], T], tx: Transaction, base: ShardedTransaction, torn: _Torn
    ) -> T:
        """The operation's result; if it fails, it does so over what was really there."""
        try:
            result = operation(tx)
            base.require_no_conflict()
            return result
        except Conflict:
            raise
        except Exception:
            base.require_no_conflict()
            self._require_consistent(base, None, torn)
            raise

    def _commit(self, base: ShardedTransaction, writes: Writes, turn: Turn, torn: _Torn) -> bool:
        """Commit what was staged. False: another transaction of this process is to come first."""
        by_shard = base.split(writes) if writes else {}
        base.see_removals(by_shard)
        calls = base.calls(by_shard) if writes else {}
        if calls and not turn.take(base.contended(by_shard)):
            return False
        self._require_consistent(base, by_shard if calls else None, torn)
        if calls:
            self._committer.commit(
                [
                    Participant(
                        number, base.part(number).session, some, _partitions(by_shard.get(number, {}))
                    )
                    for number, some in calls.items()
                ]
            )
        return True

    def _require_consistent(
        self, tx: ShardedTransaction, by_shard: dict[int, Writes] | None, torn: _Torn
    ) -> None:
        if torn.frozen or consistency.is_consistent(tx, by_shard, self.recovery.settle_if_decided):
            return
        torn.times += 1
        too_much = any(part.scanned_rows > SCANNED_ROWS_MAX for part in tx.parts.values())
        if too_much or torn.times >= _TRIES_BEFORE_FREEZE:
            torn.frozen = True
        raise Conflict("what was read on several shards has changed meanwhile", at_once=True)

    @contextmanager
    def _transaction(self, how: str, torn: _Torn, recording: bool) -> Iterator[ShardedTransaction]:
        with self._slot(), ExitStack() as stack:

            def open_session(number: int) -> Session:
                connections = self.servers[number].connections
                return stack.enter_context(connections.session(how, objects.PENDING))

            def open_part(number: int) -> ShardPart:
                session = snapshots[number] if snapshots else open_session(number)
                return ShardPart(
                    self.servers[number], number, session, recording, self.recovery.settle_if_decided
                )

            snapshots: list[Session] = []
            if torn.frozen:
                every = range(len(self.servers))
                openers = [partial(open_session, number) for number in every]
                snapshots = stack.enter_context(consistency.frozen(openers))
            tx = ShardedTransaction(len(self.servers), open_part)
            try:
                yield tx
            finally:
                tx.end()

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

    # --- closing ----------------------------------------------------------------------------------------

    def _may_wait_in_tasks(self) -> bool:
        return all(server.connections.are_awaitable for server in self.servers)

    def _await_end_of_older(self) -> None:
        for server in self.servers:
            server.await_end_of_older()

    def _disconnect(self) -> None:
        self.recovery.stop()
        self._disconnect_servers()

    def _disconnect_servers(self) -> None:
        for server in self.servers:
            server.connections.close()

    def _disown(self) -> None:
        for server in self.servers:
            server.connections.after_fork_in_child()


_in_slot: Final[ContextVar[bool]] = ContextVar("in_slot", default=False)


class _Torn:
    """How one call has fared over all its attempts."""

    __slots__ = ("frozen", "times")

    def __init__(self) -> None:
        self.times = 0
        self.frozen = False
        """From now on, snapshots of all shards are taken in a freeze."""


def _partitions(writes: Writes) -> frozenset[int]:
    return frozenset(table.partition(key) for table, rows in writes.items() for key in rows)
