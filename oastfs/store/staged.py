"""Writes of one operation, kept aside until it has returned; its reads see them.

Any driver's write transaction is this class around the driver's own reading transaction. An operation
that raises is undone by forgetting its stage, and one that returns hands over all its writes at once: the
LMDB driver puts them into the transaction of the group, an SQL driver sends them in one batch. LMDB's
child transactions would give the same atomicity, but each copies the parent's list of dirty pages and
free pages at its begin and merges them at its end, for a handful of rows.

A key's order is the order of its tuple: integers by value, texts by code point, which is the order of
their UTF-8 bytes. Knows no engine.

If there was a C compiler when OastFS was installed, ``_staged`` does what ``PythonStage`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from oastfs.core.errors import TransactionMisuse
from oastfs.store.keys import check_key, check_prefix, index_columns, positions
from oastfs.store.table import Index, Key, Lock, Table, V
from oastfs.store.transaction import ENDED, Transaction, Wanted

T = TypeVar("T")
_ABSENT: Final = object()
_NO_LOCK: Final = Lock.NONE

Writes = dict[Table[Any], dict[Key, Any]]
"""New values by table and key; None is a removal."""


class PythonStage(Transaction):
    """What was read and is to be written, and the calls that every operation makes a dozen times.

    A row that was read once is remembered: operations are made of others, each of which walks the path.
    ``rows`` of some tables, and ``memo``, are known beforehand, and are added to. ``locking``: the engine
    locks rows, so a read with a lock goes to it, and may find a newer row.
    """

    __slots__ = ("_base", "_get", "_known", "_locking", "_writes", "memo", "overlapped", "unsettles")

    def __init__(
        self,
        base: Transaction,
        rows: dict[Table[Any], dict[Key, Any]] | None = None,
        memo: dict[Any, Any] | None = None,
        *,
        locking: bool = False,
    ) -> None:
        self.memo = {} if memo is None else memo
        self.unsettles = False
        """Whether it changes or removes a row that memos may rest upon."""
        self._base = base
        self._locking = self.overlapped = locking
        self._get = base.get
        self._known: dict[Table[Any], dict[Key, Any]] = {} if rows is None else rows.copy()
        """Rows that were read."""
        self._writes: Writes = {}

    def finish(self) -> Writes:
        """End the transaction and give its writes. Every later call on it raises TransactionMisuse."""
        writes = self._writes
        self._base = ENDED
        self._get = ENDED.get
        self._known = {}
        self._writes = {}
        return writes

    def get(self, table: Table[V], key: Key, lock: Lock = Lock.NONE) -> V | None:
        known = self._known.get(table)
        if known is None:
            known = self._known[table] = {}
        try:
            value = known.get(key, _ABSENT)
            if self._writes and (written := self._writes.get(table)) is not None and key in written:
                return written[key]  # type: ignore[no-any-return]  # of rows of all tables
        except TypeError:
            check_key(table, key)  # says what is wrong with a key that has no hash
            raise
        if value is not _ABSENT and (lock is _NO_LOCK or not self._locking):
            return value  # type: ignore[no-any-return]  # as above
        value = known[key] = self._get(table, key, lock)
        return value

    def put(self, table: Table[V], key: Key, value: V) -> None:
        check_key(table, key)
        if type(value) is not table.value:
            raise TransactionMisuse(f"table {table.name} holds {table.value.__name__}, not {value!r}")
        self._stage(table, key, value)

    def delete(self, table: Table[Any], key: Key) -> None:
        check_key(table, key)
        self._stage(table, key, None)

    def _stage(self, table: Table[Any], key: Key, value: Any) -> None:
        if self._base is ENDED:
            raise TransactionMisuse("the transaction has ended")
        rows = self._writes.get(table)
        if rows is None:
            rows = self._writes[table] = {}
        if (remembered := table.remembered) is not None:
            known = self._known.get(table)
            before = _ABSENT if known is None else known.get(key, _ABSENT)
            if before is _ABSENT or (before is not None and remembered(before)):
                self.unsettles = True
                self.memo = {}
            elif value is not None and remembered(value):
                # It is new: nothing rests upon it yet, and what will is nobody else's before this is done.
                self.memo = {}
        rows[key] = value


try:
    from oastfs.store import _staged as compiled
except ImportError:  # there was no C compiler
    compiled = None  # type: ignore[assignment]

if TYPE_CHECKING:
    Stage = PythonStage
else:
    Stage = PythonStage if compiled is None else compiled.Stage


class StagedTransaction(Stage, Transaction):
    """A write transaction: reads come from ``base``, writes stay in the stage until ``finish``."""

    __slots__ = ()

    def get_many(self, table: Table[V], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[V | None]:
        rows = self._writes.get(table)
        if rows is None:
            return self._base.get_many(table, keys, lock)
        for key in keys:
            check_key(table, key)
        found = self._base.get_many(table, keys, lock)
        return [rows.get(key, value) for key, value in zip(keys, found, strict=True)]

    def prefetch(self, wanted: Wanted, more: bool = False) -> None:
        self._base.prefetch(wanted, more)

    def scan(
        self,
        table: Table[V],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, V]]:
        rows = self._writes.get(table)
        if not rows:
            return self._base.scan(table, prefix, after, limit, reverse, index)
        columns = table.key if index is None else index_columns(table, index)
        check_prefix(table, columns, prefix, after)
        order = None if index is None else positions(table.key, columns)
        staged = _select(rows, order, prefix, after or (), reverse)
        # Every row that the stage removes may take one of the base's first ``limit`` rows away.
        removed = sum(1 for _, _, value in staged if value is None)
        base_limit = None if limit is None else limit + removed
        base = self._base.scan(table, prefix, after, base_limit, reverse, index)
        merged = _merge(staged, base, order, reverse)
        return merged if limit is None else islice(merged, max(limit, 0))


def keep_if_done(tx: Transaction, operation: Callable[[Transaction], T]) -> T:
    """Run a part of an operation so that none of its writes stay if it raises, and all if it returns."""
    stage = StagedTransaction(tx)
    result = operation(stage)
    for table, rows in stage.finish().items():
        for key, value in rows.items():
            if value is None:
                tx.delete(table, key)
            else:
                tx.put(table, key, value)
    return result


_Staged = tuple[Key, Key, Any]
"""(key in the order of the scan, key, new value) of a staged row."""


def _select(
    rows: dict[Key, Any], order: tuple[int, ...] | None, prefix: Key, after: Key, reverse: bool
) -> list[_Staged]:
    """The staged rows that a scan covers, in its order."""
    depth = len(prefix)
    end = depth + len(after)
    selected: list[_Staged] = []
    for key, value in rows.items():
        place = key if order is None else tuple(key[position] for position in order)
        if place[:depth] != prefix:
            continue
        rest = place[depth:end]
        if after and (rest == after or (rest > after) is reverse):
            continue
        selected.append((place, key, value))
    selected.sort(key=_place, reverse=reverse)
    return selected


def _place(staged: _Staged) -> Key:
    return staged[0]


def _merge(
    staged: list[_Staged], base: Iterator[tuple[Key, Any]], order: tuple[int, ...] | None, reverse: bool
) -> Iterator[tuple[Key, Any]]:
    """Rows of both in order; a staged row hides the base's of the same key."""
    at = 0
    for row in base:
        place = row[0] if order is None else tuple(row[0][position] for position in order)
        while at < len(staged) and staged[at][0] != place and (staged[at][0] > place) is reverse:
            if staged[at][2] is not None:
                yield staged[at][1:]
            at += 1
        if at < len(staged) and staged[at][0] == place:
            if staged[at][2] is not None:
                yield staged[at][1:]
            at += 1
        else:
            yield row
    yield from (entry[1:] for entry in staged[at:] if entry[2] is not None)
