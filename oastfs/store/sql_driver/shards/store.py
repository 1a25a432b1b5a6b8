"""The Store on several PostgreSQL servers: rows on shard ``partition % count``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from oastfs.core.errors import InvalidArgument
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.freeze import frozen
from oastfs.store.sql_driver.looks import UNDER_WAY_MAX
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.reading import LookingTransaction
from oastfs.store.sql_driver.rechecking import RecheckingStore, Torn
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import READ, Session
from oastfs.store.sql_driver.shards import consistency, identity, objects
from oastfs.store.sql_driver.shards.commit import Committer, Participant
from oastfs.store.sql_driver.shards.looking import SETTINGS, ShardLook
from oastfs.store.sql_driver.shards.recovery import Recovery
from oastfs.store.sql_driver.shards.transaction import ShardedTransaction, ShardPart
from oastfs.store.sql_driver.tasks import current_hub
from oastfs.store.sql_driver.threaded import FREE_BYTES, THREADS
from oastfs.store.sql_driver.turns import Turn
from oastfs.store.sql_driver.watched import SCANNED_ROWS_MAX
from oastfs.store.staged import Writes
from oastfs.store.table import Key, Table, V
from oastfs.store.transaction import Transaction

T = TypeVar("T")

SHARDS_MAX: Final = 256


class ShardedStore(RecheckingStore[ShardedTransaction]):
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
        super().__init__(threads, 2 * threads)
        if len(urls) > SHARDS_MAX:
            raise InvalidArgument(f"a store has at most {SHARDS_MAX} shards")
        self.servers: list[Server] = []
        known = declared or Declared()
        try:
            for url in urls:
                self.servers.append(Server(url, 2 * self._slots_max + UNDER_WAY_MAX))
            store_id, partitioned = identity.prepare(self.servers, create, partition_column, known)
        except BaseException:
            self._disconnect_servers()
            raise
        for server in self.servers:
            server.learn(partitioned, known, objects.PENDING)
            server.connections.set(SETTINGS)
        self.recovery = Recovery(self.servers, store_id)
        self._committer = Committer(store_id, self.recovery)
        self._begin_process()

    def _begin_process(self) -> None:
        super()._begin_process()
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
        torn = Torn()
        runs = 0

        def attempt() -> T:
            nonlocal runs
            runs += 1
            with ExitStack() as stack:
                if current_hub() is None:
                    stack.enter_context(self._slot())  # each look of a thread has connections of its own

                def open_base() -> ShardedTransaction:
                    return stack.enter_context(self._transaction(READ, torn, recording=False))

                look = ShardLook(self.servers, self.recovery.settle_if_decided, open_base)
                tx = LookingTransaction(self.servers[0].tables, look, patient=runs > 1)
                stack.callback(tx.end)
                return self._read(operation, tx, look, torn)

        return attempt

    def _read(
        self,
        operation: Callable[[Transaction], T],
        tx: LookingTransaction[ShardedTransaction],
        look: ShardLook,
        torn: Torn,
    ) -> T:
        """The operation's result; if it fails, it does so over what was really there."""

        def require_consistent() -> None:
            tx.require_no_conflict()
            if tx.base is None:
                look.require_consistent(tx.used)
            else:
                tx.base.require_no_conflict()
                self._require_read_consistent(tx.base, torn)

        try:
            result = operation(tx)
        except Conflict:
            raise
        except Exception:
            require_consistent()
            raise
        require_consistent()
        return result

    def _commit(self, base: ShardedTransaction, writes: Writes, turn: Turn, torn: Torn) -> bool:
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
        self, tx: ShardedTransaction, by_shard: dict[int, Writes] | None, torn: Torn
    ) -> None:
        if torn.frozen or consistency.is_consistent(tx, by_shard, self.recovery.settle_if_decided):
            return
        raise torn.again(any(part.scanned_rows > SCANNED_ROWS_MAX for part in tx.parts.values()))

    def _require_read_consistent(self, tx: ShardedTransaction, torn: Torn) -> None:
        self._require_consistent(tx, None, torn)

    @contextmanager
    def _transaction(self, how: str, torn: Torn, recording: bool) -> Iterator[ShardedTransaction]:
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
                snapshots = stack.enter_context(frozen(openers))
            tx = ShardedTransaction(len(self.servers), open_part)
            try:
                yield tx
            finally:
                tx.end()

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
            server.after_fork_in_child()


def _partitions(writes: Writes) -> frozenset[int]:
    return frozenset(table.partition(key) for table, rows in writes.items() for key in rows)
