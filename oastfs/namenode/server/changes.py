"""How changes that clients ask for reach the store: brief ones on the event loop's thread, with all that have
come together (``turns.py``); those that may take long, or wait on a network, on the store's own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from oastfs.namenode import quotas
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.turns import Done, Operation, Turns
from oastfs.store.transaction import Store, Transaction


class _TakesLongError(Exception):
    """Raised by a change that is not for the loop's thread, before it has done anything."""


class Changes:
    """One for all protocols of a server, so that changes of all their clients share groups.

    ``done`` as of ``Store.submit``, or on the loop's thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._store = store
        self._reads_inline = store.reads_inline
        self.turns = Turns(loop, store)

    def submit(self, operation: Operation, done: Done) -> None:
        """Have a change made that may take long."""
        self._store.submit(operation, done)

    def submit_brief(self, caller: RpcConnection, operation: Operation, done: Done) -> None:
        """Have a change made that takes no longer than a read: it may hold up others for so long."""
        if self._reads_inline:
            self.turns.add(caller, operation, done)
        else:
            self._store.submit(operation, done)

    def submit_rename(self, caller: RpcConnection, operation: Operation, done: Done) -> None:
        """Have a rename made: a brief change, but for trees that have to be counted for a quota."""
        if not self._reads_inline:
            self._store.submit(operation, done)
            return

        def unless_counted(tx: Transaction) -> Any:
            if quotas.active(tx):
                raise _TakesLongError
            return operation(tx)

        def made(result: Any, error: BaseException | None) -> None:
            if isinstance(error, _TakesLongError):
                self.submit_again(operation, done)
            else:
                done(result, error)

        self.turns.add(caller, unless_counted, made)

    def submit_again(self, operation: Operation, done: Done) -> None:
        """``submit`` that answers also if it cannot be."""
        try:
            self._store.submit(operation, done)
        except Exception as error:
            done(None, error)
