"""The Store on LMDB: reads on the caller's thread, writes through group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import lmdb

from oastfs.core.errors import InvalidArgument, StoreError, TransactionMisuse
from oastfs.store.lmdb_driver import registry
from oastfs.store.lmdb_driver.environment import CLOSED, Environment, Options, State
from oastfs.store.lmdb_driver.tables import OpenTables
from oastfs.store.lmdb_driver.transaction import ReadTransaction
from oastfs.store.run import Conflict, run
from oastfs.store.table import Table
from oastfs.store.transaction import Store, Transaction

T = TypeVar("T")


def open_lmdb(urls: list[str], *, create: bool = False, **options: Any) -> LmdbStore:
    """A store by its URL, ``lmdb:///path``. Raises WrongStore, InvalidArgument."""
    if len(urls) != 1:
        raise InvalidArgument("an LMDB store has one URL: it is not sharded")
    parts = urlsplit(urls[0])
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise InvalidArgument(f"an LMDB store is written lmdb:///absolute/path, not {urls[0]}")
    return LmdbStore(Path(unquote(parts.path)), create=create, options=Options(**options))


class LmdbStore(Store):
    """A handle on an environment. Handles on one directory share its environment."""

    reads_inline = True

    def __init__(self, path: Path, *, create: bool, options: Options) -> None:
        self._path = path
        self._options = options
        self._closed = False
        self._watched: list[int] = []
        self._memo: tuple[OpenTables, int, dict[Any, Any]] = {}, 0, {}
        """What readers found out from the last snapshot, which many share while nothing changes that it rests
        upon. An environment that was opened again has other tables, and may count its snapshots anew."""
        self._use(registry.acquire(path, options, create=create))

    def _use(self, shared: registry.Shared) -> None:
        self._shared = shared
        self._environment = shared.environment
        self._committer = shared.committer

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watched.append(self._committer.attend(loop))

    @property
    def environment(self) -> Environment:
        """What this store has open at present."""
        return self._environment

    def read(self, operation: Callable[[Transaction], T]) -> T:
        if self._committer.kept.pending and self._environment.barrier is None:
            if self._committer.kept.owner == get_ident():
                return self._committer.read_kept(operation)
            self._committer.show()
        try:
            return self._read_once(operation)
        except Conflict:
            return run(lambda: self._read_settled(operation))

    def _read_once(self, operation: Callable[[Transaction], T]) -> T:
        environment = self._environment
        active = environment.active
        thread = get_ident()
        nested = thread in active
        active.add(thread)
        try:
            if environment.barrier is not None and not nested:
                raise Conflict("the store is being resized", at_once=True)
            try:
                txn = environment.begin()
            except lmdb.Error as error:
                raise environment.read_failed(error) from error
            tables, snapshot = environment.tables, txn.id()
            shared = self._memo
            if shared[1] != snapshot or shared[0] is not tables:
                holds = shared[0] is tables and environment.holds(shared[1], snapshot)
                shared = self._memo = tables, snapshot, shared[2] if holds else {}
            tx = ReadTransaction(tables, txn, shared[2])
            try:
                return operation(tx)
            finally:
                # Whoever forked inside an operation must not end the parent's snapshot as well.
                if environment.state is not State.INHERITED:
                    tx.end()
        finally:
            if not nested:
                active.discard(thread)

    def _read_settled(self, operation: Callable[[Transaction], T]) -> T:
        self.settle()
        return self._read_once(operation)

    def write(self, operation: Callable[[Transaction], T]) -> T:
        if self._environment.barrier is not None:
            self.settle()
        thread = get_ident()
        committer = self._committer
        if thread in committer.running or thread in self._environment.active:
            raise TransactionMisuse("an operation may not call write: it is in a transaction already")
        return committer.write(operation)  # type: ignore[no-any-return]

    def submit(
        self,
        operation: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if self._environment.barrier is not None:
            self.settle()
        self._committer.submit(operation, done)

    def submit_together(
        self,
        jobs: Sequence[tuple[Callable[[Transaction], Any], Callable[[Any, BaseException | None], None]]],
        wait: bool = True,
    ) -> None:
        if self._environment.barrier is not None:
            self.settle()
        self._committer.submit_together(jobs, wait)

    def is_quick(self) -> bool:
        return self._environment.state is State.OPEN and self._committer.is_quick()

    def close(self) -> None:
        if get_ident() in self._committer.running:
            raise TransactionMisuse("a store may not be closed from inside an operation or a callback")
        with registry.lock:
            if self._closed:
                return
            self._closed = True
            environment, self._environment = self._environment, CLOSED
        if environment.state is not State.INHERITED:
            self._committer.flush()
            while self._watched:
                self._committer.leave(self._watched.pop())
            registry.release(self._shared)

    def usage(self) -> tuple[int, int]:
        if self._environment.barrier is not None:
            self.settle()
        return self._environment.usage()

    def count(self, table: Table[Any]) -> int:
        def entries(tx: Transaction) -> int:
            assert isinstance(tx, ReadTransaction)
            return tx.count(table)

        return self.read(entries)

    def settle(self) -> None:
        """Make the environment usable again for who found that it was not. Raises StoreError if closed."""
        if self._closed:
            raise StoreError("the store is closed")
        if get_ident() in self._committer.running:
            raise TransactionMisuse("an operation may not use the store: it is in a transaction already")
        environment = self._environment
        if environment.state is State.INHERITED:
            self._open_after_fork(environment)
            return
        barrier = environment.barrier
        if barrier is not None:
            barrier.wait()
        if environment.needs_settling:
            self._committer.settle()

    def _open_after_fork(self, inherited: Environment) -> None:
        with registry.lock:
            if self._environment is inherited:
                self._use(registry.acquire(self._path, self._options, create=False))
