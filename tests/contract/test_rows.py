"""Single rows: what is put is got, in and after the transaction, until it is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from oastfs.store.schema import (
    CONTENT,
    INODE,
    LEASE,
    LINK,
    RETRY,
    XATTR,
    Content,
    Inode,
    Lease,
    Link,
    RetryEntry,
    Xattr,
)
from oastfs.store.table import Lock, Table
from oastfs.store.transaction import Store, Transaction, Wanted
from tests.contract.rows import fill, inode

BIGGEST = (1 << 63) - 1


def test_missing_rows_are_none(store: Store) -> None:
    assert store.read(lambda tx: tx.get(INODE, (1, "a"))) is None
    assert store.write(lambda tx: tx.get(INODE, (1, "a"))) is None
    assert store.read(lambda tx: tx.get_many(INODE, [(1, "a"), (1, "b")])) == [None, None]


@pytest.mark.parametrize("lock", list(Lock))
def test_put_then_get(store: Store, lock: Lock) -> None:
    row = Inode(BIGGEST, 0o40755, 0, 2**32 - 1, BIGGEST, 1, 2, 3, 4, 5, 6, 7, 8)

    def write(tx: Transaction) -> Inode | None:
        tx.put(INODE, (7, "name"), row)
        return tx.get(INODE, (7, "name"), lock)

    assert store.write(write) == row
    assert store.read(lambda tx: tx.get(INODE, (7, "name"), lock)) == row


def test_put_replaces_and_last_write_wins(store: Store) -> None:
    fill(store, 1, ["a"])

    def write(tx: Transaction) -> None:
        tx.put(INODE, (1, "a"), inode(5))
        tx.delete(INODE, (1, "a"))
        tx.put(INODE, (1, "a"), inode(6))

    store.write(write)
    assert store.read(lambda tx: tx.get(INODE, (1, "a"))) == inode(6)


def test_delete_is_seen_at_once_and_may_miss(store: Store) -> None:
    fill(store, 1, ["a"])

    def write(tx: Transaction) -> Inode | None:
        tx.delete(INODE, (1, "a"))
        tx.delete(INODE, (1, "never was"))
        return tx.get(INODE, (1, "a"))

    assert store.write(write) is None
    assert store.read(lambda tx: tx.get(INODE, (1, "a"))) is None


def test_get_many_keeps_order_and_sees_own_writes(store: Store) -> None:
    fill(store, 1, ["a", "b", "c"])

    def write(tx: Transaction) -> list[Inode | None]:
        tx.put(INODE, (1, "b"), inode(20))
        tx.delete(INODE, (1, "c"))
        return tx.get_many(INODE, [(1, "c"), (1, "b"), (1, "x"), (1, "a"), (1, "b")])

    assert store.write(write) == [None, inode(20), None, inode(0), inode(20)]
    assert store.read(lambda tx: tx.get_many(INODE, [])) == []


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 127, "z" * 255, "\U0001f600" * 63, "a/b c\n", "\x01", "\x7f"]
)
def test_texts_of_every_kind(store: Store, text: str) -> None:
    def write(tx: Transaction) -> None:
        tx.put(XATTR, (1, text), Xattr(b"\0\xff"))
        tx.put(LEASE, (text,), Lease(1))
        tx.put(LINK, (1, BIGGEST, text), Link())
        tx.put(RETRY, (1, text, BIGGEST), RetryEntry(b"", 0))

    def read(tx: Transaction) -> list[object]:
        rows = [tx.get(XATTR, (1, text)), tx.get(LEASE, (text,))]
        return [*rows, tx.get(LINK, (1, BIGGEST, text)), tx.get(RETRY, (1, text, BIGGEST))]

    store.write(write)
    assert store.read(read) == [Xattr(b"\0\xff"), Lease(1), Link(), RetryEntry(b"", 0)]
    tables: tuple[Table[Any], ...] = (XATTR, LEASE, LINK, RETRY)
    keys = store.read(lambda tx: [next(tx.scan(table))[0] for table in tables])
    assert keys == [(1, text), (text,), (1, BIGGEST, text), (1, text, BIGGEST)]


@pytest.mark.parametrize("size_bytes", [0, 1, 2000, 4096, 65536, 1024 * 1024])
def test_contents_of_every_size(store: Store, size_bytes: int) -> None:
    data = bytes(range(256)) * (size_bytes // 256 + 1)
    store.write(lambda tx: tx.put(CONTENT, (1,), Content(data[:size_bytes])))
    assert store.read(lambda tx: tx.get(CONTENT, (1,))) == Content(data[:size_bytes])


def test_count(store: Store) -> None:
    assert store.count(INODE) == 0
    fill(store, 1, ["a", "b", "c"])
    assert store.count(INODE) == 3


def test_usage(store: Store) -> None:
    fill(store, 1, [f"name{number}" for number in range(1000)])
    used_bytes, free_bytes = store.usage()
    assert used_bytes > 1000 * 8
    assert free_bytes > 0


@pytest.mark.parametrize("through", ["read", "write"])
def test_prefetching_changes_no_answer(store: Store, through: str) -> None:
    fill(store, 1, ["a", "b"])
    store.write(lambda tx: (tx.put(LEASE, ("x",), Lease(1)), tx.put(LINK, (1, 2, "c"), Link())))

    def operation(tx: Transaction) -> list[object]:
        wanted: Wanted = {
            INODE: [(1, "b"), (1, "no"), (1, "b")],
            LEASE: [("x",), ("y",)],
            LINK: [(1, 2, "c")],
        }
        tx.prefetch(wanted)
        tx.prefetch({})
        tx.prefetch({INODE: [], CONTENT: [(5,)]})
        if through == "write":
            tx.put(LEASE, ("y",), Lease(2))
            tx.delete(INODE, (1, "a"))
            tx.prefetch(wanted)
        found: list[object] = [tx.get(INODE, (1, name)) for name in ("a", "b", "no")]
        return [*found, tx.get(LEASE, ("x",)), tx.get(LEASE, ("y",)), tx.get(LINK, (1, 2, "c"))]

    written = through == "write"
    expected = [
        None if written else inode(0),
        inode(1),
        None,
        Lease(1),
        Lease(2) if written else None,
        Link(),
    ]
    assert getattr(store, through)(operation) == expected
