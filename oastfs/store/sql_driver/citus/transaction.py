"""A transaction on Citus, which has a snapshot on each worker, taken at the first look at it."""

from __future__ import annotations

from collections.abc import Iterable

from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import Session
from oastfs.store.sql_driver.watched import WatchedTransaction
from oastfs.store.staged import Writes


class CitusTransaction(WatchedTransaction):
    """It knows of which partitions it has seen rows."""

    def __init__(self, server: Server, session: Session, recording: bool) -> None:
        super().__init__(server.tables, server.batches, session, recording)
        self.partitions: set[int] = set()
        self.is_everywhere = False
        """Rows of any partition were seen."""

    @property
    def has_read(self) -> bool:
        """Whether anything was asked."""
        return self.is_everywhere or bool(self.partitions)

    @property
    def is_within_partition(self) -> bool:
        """Whether all that was seen is of one snapshot for certain: a partition is on one worker."""
        return not self.is_everywhere and len(self.partitions) < 2

    def _begin(self) -> None:
        pass

    def _answered(self) -> None:
        pass

    def _look(self, partitions: Iterable[int] | None) -> None:
        if partitions is None:
            self.is_everywhere = True
        else:
            self.partitions.update(partitions)

    def see_removals(self, writes: Writes) -> None:
        """Look at rows that are to be removed and were not read.

        The snapshot may be too old for such a row, and its removal would be none.
        """
        unseen = self.unseen_removals(writes)
        if unseen:
            self.prefetch(unseen)
            for table, keys in unseen.items():
                for key in keys:
                    self.get(table, key)
