"""A transaction on Citus, which has a snapshot on each worker, taken at the first look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from oastfs.store.sql_driver.layout import Layout
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import Session
from oastfs.store.sql_driver.statements import Statements
from oastfs.store.sql_driver.watched import Rows, Scanned, WatchedTransaction
from oastfs.store.staged import Writes
from oastfs.store.table import Key, Table


class CitusTransaction(WatchedTransaction):
    """It knows of which partitions it has seen rows, and which transaction of its worker made each row."""

    def __init__(self, server: Server, session: Session, recording: bool) -> None:
        super().__init__(server.tables, server.batches, session, recording)
        self.partitions: set[int] = set()
        self.is_everywhere = False
        """Rows of any partition were seen."""
        self._stamps: dict[tuple[Table[Any], Key], int] = {}

    @property
    def has_read(self) -> bool:
        """Whether anything was asked."""
        return self.is_everywhere or bool(self.partitions)

    @property
    def is_within_partition(self) -> bool:
        """Whether all that was seen is of one snapshot for certain: a partition is on one worker."""
        return not self.is_everywhere and len(self.partitions) < 2

    def unproven(self, rows: Rows, scans: Sequence[Scanned]) -> Set[int] | None:
        """The partitions (None: any) in which these may have been different between two equal looks.

        A row that was made by the same transaction both times was there all the time. One that was absent
        may have been made and removed again, and so may what a scan has not found.
        """
        if any(scanned.partition is None for scanned in scans):
            return None
        found = {scanned.partition for scanned in scans if scanned.partition is not None}
        for table, some in rows.items():
            found |= {table.partition(key) for key in some if (table, key) not in self._stamps}
        return found

    def is_as_in(self, other: CitusTransaction, rows: Rows, but: Set[int] | None) -> bool:
        """Whether the same transactions made these rows, but for those of some partitions (None: all)."""
        return but is None or all(
            self._stamps.get((table, key)) == other._stamps.get((table, key)) or table.partition(key) in but
            for table, some in rows.items()
            for key in some
        )

    def _found(self, layout: Layout, key: Key, row: tuple[Any, ...]) -> Any:
        self._note_stamp(layout.table, key, row[0])
        return super()._found(layout, key, row[1:])

    def _fetch_many(self, session: Session, statements: Statements, missing: list[Key]) -> None:
        finish = super().start_prefetch({statements.layout.table: missing}, 1)
        if finish is not None:
            finish()

    def _note_stamp(self, table: Table[Any], key: Key, stamp: int) -> None:
        self._stamps[table, key] = stamp

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
