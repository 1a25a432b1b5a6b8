"""What the leader knows of the newest state of a store, for the next operation that it runs.

Changes read the same few rows again and again: the directories above, the settings, what the call before
wrote. Rows of tables that are ``kept``, and what operations found out from them (``Transaction.memo``), stay
in mind from one operation to the next, and from one group to the next as long as nobody else has committed
in between: LMDB counts its transactions, so that is seen by a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from oastfs.store.lmdb_driver.tables import OpenTables
from oastfs.store.staged import Writes
from oastfs.store.table import Key, Table

_ROWS_MAX: Final = 256
"""Of one table: some 500 bytes each."""


class Recent:
    """Rows and findings of the state that the next write transaction will see. Not for several threads."""

    __slots__ = ("_next", "_tables", "alone", "memo", "rows")

    def __init__(self, tables: Sequence[Table[Any]]) -> None:
        self._tables: OpenTables = {}
        self._next = -1
        """The next transaction's number if no other process makes one before; -1 while one is under way."""
        self.alone = False
        """Whether nobody else has committed between the last two transactions here."""
        self.rows: dict[Table[Any], dict[Key, Any]] = {table: {} for table in tables if table.kept}
        self.memo: dict[Any, Any] = {}

    def begin(self, tables: OpenTables, number: int) -> None:
        """A write transaction has begun. An environment that was opened again has other tables, and may count
        its transactions anew."""
        self.alone = number == self._next and tables is self._tables
        if not self.alone:
            for known in self.rows.values():
                known.clear()
            self.memo = {}
            self._tables = tables
        self._next = -1
        for known in self.rows.values():
            if len(known) > _ROWS_MAX:
                known.clear()

    def absorb(self, writes: Writes, unsettles: bool) -> None:
        """An operation's writes were put into the transaction."""
        for table, changed in writes.items():
            known = self.rows.get(table)
            if known is not None:
                known.update(changed)
        if unsettles:
            self.memo = {}

    def end(self, next_number: int) -> None:
        """The state as the transaction has it is the newest, and what a transaction of this number will see.
        One that is not ended thus was undone."""
        self._next = next_number
