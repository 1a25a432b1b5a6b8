"""How changes that clients ask for reach the store: brief ones on the event loop's thread, with all that have
come together (``turns.py``); those that may take long, or wait on a network, on the store's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from oastfs.namenode.context import TakesLongError
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.turns import Done, Operation, Turns
from oastfs.store.transaction import Store


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

    def submit_of_tree(self, caller: RpcConnection, make: Callable[[bool], Operation], done: Done) -> None:
        """Have a change made that is brief as long as no tree has to be walked, to count it for a quota or to
        look at its permissions: ``make(True)``, where that raises TakesLongError, or else ``make(False)``."""
        if not self._reads_inline:
            self._store.submit(make(False), done)
            return

        def made(result: Any, error: BaseException | None) -> None:
            if isinstance(error, TakesLongError):
                self.submit_again(make(False), done)
            else:
                done(result, error)

        self.turns.add(caller, make(True), made)

    def submit_again(self, operation: Operation, done: Done) -> None:
        """``submit`` that answers also if it cannot be."""
        try:
            self._store.submit(operation, done)
        except Exception as error:
            done(None, error)
