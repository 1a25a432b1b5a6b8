"""After a worker's death in the middle of a commit: what was to be committed there is held until it is.

Citus answers such a commit as one that has succeeded, with a warning, for it will be carried out in the end:
when the worker is back, by Citus's own recovery, or by ours, which does not wait for its turn. Until then
readers would see half of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Set
from typing import Any, Final

import sqlalchemy as sa

from oastfs.core.errors import StoreError
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.citus import objects
from oastfs.store.sql_driver.connections import Connections

_PAUSE_SECONDS: Final = 0.25
_WORKERS: Final = sa.text(
    "SELECT bool_and(success) FROM run_command_on_all_nodes('SELECT 1', parallel => false)"
)

_log = logging.getLogger(__name__)


class Recovery:
    """Of one store in one process."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.begin_process()

    def begin_process(self) -> None:
        """What a forked child needs anew."""
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def settle(self, partitions: Set[int]) -> None:
        """Hold these until all workers are there and nothing is in doubt; returns at once."""
        _log.warning("a worker failed in the middle of a commit: holding what was changed until it is back")
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(
            target=self._settle, args=(partitions,), name="oastfs-citus-recovery", daemon=True
        )
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Hold nothing any more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _settle(self, partitions: Set[int]) -> None:
        while not self._stopping.is_set():
            try:
                self._connections.ask(lambda connection: self._hold(connection, partitions))
                return
            except (Conflict, StoreError):  # the coordinator is away
                self._stopping.wait(_PAUSE_SECONDS)

    def _hold(self, connection: Any, partitions: Set[int]) -> None:
        connection.exec_driver_sql(objects.hold_text(partitions))
        while not self._stopping.is_set():
            if self._connections.ask(_recover):
                return
            self._stopping.wait(_PAUSE_SECONDS)


def _recover(connection: Any) -> bool:
    """Whether all workers were there for it."""
    if not connection.execute(_WORKERS).scalar():
        return False
    connection.exec_driver_sql(objects.RECOVER)
    return True
