"""Staged writes over a base that only reads: what is seen, and what is handed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from oastfs.core.errors import TransactionMisuse
from oastfs.store.schema import INODE, LEASE, Lease
from oastfs.store.staged import StagedTransaction
from oastfs.store.table import Index, Key, Lock, Table
from oastfs.store.transaction import Transaction
from tests.contract.rows import inode


class Base(Transaction):
    """Rows in a dict; remembers the limits that it was asked for and the locks that were taken."""

    def __init__(self, rows: dict[Key, Any]) -> None:
        self.rows = rows
        self.limits: list[int | None] = []
        self.locks: list[Lock] = []

    def get(self, table: Table[Any], key: Key, lock: Lock = Lock.NONE) -> Any:
        self.locks.append(lock)
        return self.rows.get(key) if table is INODE else None

    def get_many(self, table: Table[Any], keys: Sequence[Key], lock: Lock = Lock.NONE) -> list[Any]:
        return [self.get(table, key, lock) for key in keys]

    def scan(
        self,
        table: Table[Any],
        prefix: Key = (),
        after: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        index: Index | None = None,
    ) -> Iterator[tuple[Key, Any]]:
        self.limits.append(limit)
        rows = sorted(self.rows.items(), reverse=reverse) if table is INODE else []
        return iter(rows[:limit])

    def put(self, table: Table[Any], key: Key, value: Any) -> None:
        raise AssertionError("the base must not be written")

    def delete(self, table: Table[Any], key: Key) -> None:
        raise AssertionError("the base must not be written")


@pytest.fixture
def base() -> Base:
    return Base({(1, "a"): inode(1), (1, "b"): inode(2), (1, "c"): inode(3)})


def test_finish_hands_over_the_last_write_of_each_row(base: Base) -> None:
    tx = StagedTransaction(base)
    tx.put(INODE, (1, "x"), inode(8))
    tx.put(INODE, (1, "x"), inode(9))
    tx.delete(INODE, (1, "a"))
    tx.put(LEASE, ("h",), Lease(1))
    assert tx.finish() == {INODE: {(1, "x"): inode(9), (1, "a"): None}, LEASE: {("h",): Lease(1)}}
    with pytest.raises(TransactionMisuse):
        tx.put(INODE, (1, "x"), inode(8))
    with pytest.raises(TransactionMisuse):
        tx.get(INODE, (1, "x"))


def test_locks_reach_the_base(base: Base) -> None:
    tx = StagedTransaction(base)
    tx.get(INODE, (1, "a"), Lock.EXCLUSIVE)
    tx.put(INODE, (1, "b"), inode(7))
    tx.get_many(INODE, [(1, "b"), (1, "c")], Lock.SHARED)
    assert base.locks == [Lock.EXCLUSIVE, Lock.SHARED, Lock.SHARED]


def test_a_limit_reaches_the_base_made_larger_by_what_is_removed(base: Base) -> None:
    tx = StagedTransaction(base)
    assert [key[1] for key, _ in tx.scan(INODE, limit=2)] == ["a", "b"]
    tx.delete(INODE, (1, "a"))
    assert [key[1] for key, _ in tx.scan(INODE, limit=2)] == ["b", "c"]
    tx.put(INODE, (1, "aa"), inode(5))
    assert [key[1] for key, _ in tx.scan(INODE, limit=1)] == ["aa"]
    assert base.limits == [2, 3, 2]


def test_tables_without_writes_are_the_bases_own(base: Base) -> None:
    tx = StagedTransaction(base)
    tx.put(LEASE, ("h",), Lease(1))
    assert [key[1] for key, _ in tx.scan(INODE, reverse=True)] == ["c", "b", "a"]
    assert [key for key, _ in tx.scan(LEASE)] == [("h",)]
